"""The exceptions of arvo_transport.

* ArvoError
  x TransportError              the engine failed, or refused a call
    + TransportClosedError      the transport was closed before the call
  x DeliveryLostError           another worker has the event now; nothing was stored
  x SettleRefusedError          what was to be stored with a settlement was refused
  x InvalidValueError
    + AnswersNothingError       an event to a client does not say which request it answers
    + EventTooLargeError        the engine takes no event of this size
    + TopicConflictError        a topic has another order than its declaration says
    + UnknownTopicError         nobody has declared a topic
    + UnknownTransportError     no installed package has a transport for a URL
"""

from collections.abc import Iterable, Sequence

from arvo_core import ArvoError, ArvoEvent, InvalidValueError
from arvo_event_handler.delivery import Order
from arvo_time import Outcome


class TransportError(ArvoError):
    """The engine of a transport failed, or refused a call. Raised `from` the driver's error.

    Args:
        message: What failed.
        retryable: See the attribute.
        outcome: See the attribute.
        stored: See the attribute.

    Attributes:
        retryable: Whether the same call may succeed later without a change to this program.
        outcome: "failed" when nothing was changed but for what is in `stored`, "unknown" when more
            may have been stored. Publishing or settling the same again is right in both cases: ids
            do not change.
        stored: The events that are stored all the same, of several that were to be published.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool,
        outcome: Outcome,
        stored: Sequence[ArvoEvent] = (),
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.outcome: Outcome = outcome
        self.stored: tuple[ArvoEvent, ...] = tuple(stored)


class TransportClosedError(TransportError):
    """The transport, or the inbox, was closed before the call, so nothing was sent."""

    def __init__(self, what: str = "the transport") -> None:
        super().__init__(f"{what} was closed; connect again", retryable=False, outcome="failed")


class TopicFullError(TransportError):
    """A topic has as many events waiting as it may (`TopicSpec.max_waiting`); nothing was stored.

    The same call succeeds once workers have handled some of them.

    Attributes:
        topic: The topic.
        waiting: How many events wait in it, as of the latest look.
        limit: How many may.
    """

    def __init__(self, topic: str, *, waiting: int, limit: int) -> None:
        super().__init__(
            f"the topic {topic!r} is full: {waiting} events waiting, {limit} allowed; publish again "
            "later, or start more workers of its handler",
            retryable=True,
            outcome="failed",
        )
        self.topic = topic
        self.waiting = waiting
        self.limit = limit


class DeliveryLostError(ArvoError):
    """An event is not in hand any more: its lease ended, and another worker may have it.

    Where outputs and acknowledgement are one step (`TransportCapabilities.atomic_settle`), nothing
    was stored.

    Attributes:
        event: The event.
    """

    def __init__(self, event: ArvoEvent) -> None:
        super().__init__(
            f"event {event.id!r} of type {event.type!r} is not in hand any more; it was given to "
            "another worker, or settled before"
        )
        self.event = event


class SettleRefusedError(ArvoError):
    """The work or an output of a settlement was refused; nothing was stored, the event is in hand.

    Attributes:
        retryable: Whether another try of the handler may help.
    """

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class AnswersNothingError(InvalidValueError):
    """An event to the address of a client has no `parentid` that says which request it answers.

    It is kept as a dead letter, `answers nothing`.

    Attributes:
        event: The event.
    """

    def __init__(self, event: ArvoEvent) -> None:
        super().__init__(
            f"event {event.id!r} of type {event.type!r} is addressed to a client, and has no parentid: "
            "set it to the id of the request that the event answers"
        )
        self.event = event


class EventTooLargeError(InvalidValueError):
    """The engine takes no event of this size. Nothing was stored.

    Attributes:
        event: The event.
        size: Its length as JSON, in bytes.
        max_bytes: What `TransportCapabilities.max_event_bytes` allows.
    """

    def __init__(self, event: ArvoEvent, *, size: int, max_bytes: int) -> None:
        super().__init__(
            f"event {event.id!r} of type {event.type!r} takes {size} bytes; this transport takes "
            f"{max_bytes}: send a reference to what is large"
        )
        self.event = event
        self.size = size
        self.max_bytes = max_bytes


class TopicConflictError(InvalidValueError):
    """A topic was laid out with another order than its handler needs.

    Attributes:
        topic: The topic.
        order: What it has.
        wanted: What was to be declared.
        declared_by: Who declared it.
    """

    def __init__(self, topic: str, *, order: Order, wanted: Order, declared_by: str) -> None:
        super().__init__(
            f"topic {topic!r} has the order {order!r}, declared by {declared_by}, and not "
            f"{wanted!r}; give its handlers one order, or change the topic: "
            f"arvo topics relayout --order {wanted} {topic}"
        )
        self.topic = topic
        self.order = order
        self.wanted = wanted
        self.declared_by = declared_by


class UnknownTopicError(InvalidValueError):
    """Nobody has declared a topic.

    Attributes:
        topic: The topic.
    """

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"nobody has declared the topic {topic!r}: start a worker of its handler, or of a "
            "workflow that asks it; `arvo topics list` shows all topics"
        )
        self.topic = topic


class UnknownTransportError(InvalidValueError):
    """No installed package has a transport for a URL. The message shows its scheme only.

    Attributes:
        scheme: The scheme of the URL in lower case; None when it is not a URL.
        installed: The schemes of the transports that are installed, sorted.
        package: The package to install; None when no known one has that scheme.
    """

    def __init__(
        self, *, scheme: str | None, installed: Iterable[str], package: str | None = None
    ) -> None:
        self.scheme = scheme
        self.installed: tuple[str, ...] = tuple(sorted(installed))
        self.package = package
        known = ", ".join(f"{name}:" for name in self.installed) or "none"
        if scheme is None:
            why = "a transport is named by a URL, such as redis://localhost"
        else:
            why = f"no installed package has a transport for {scheme}:"
        if package is not None:
            why += f" Install {package}."
        super().__init__(f"{why} (installed: {known})")

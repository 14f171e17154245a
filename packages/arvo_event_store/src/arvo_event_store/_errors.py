"""Every error that this package raises, but for TypeErrors and ValueErrors about arguments."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from arvo_time import Outcome

from ._expect import Expect


class EventStoreError(Exception):
    """The base of all errors of the event store."""


class ConflictError(EventStoreError):
    """A stream is not at the version that the caller expected; nothing was stored.

    Load the stream and decide again: somebody else was faster.

    Args:
        stream: See the attribute.
        expected: See the attribute.
        actual: See the attribute.

    Attributes:
        stream: The stream.
        expected: What was expected: a version, `Expect.NO_STREAM` or `Expect.STREAM_EXISTS`.
        actual: The version of the stream's last event; None if there is no such stream.

    Example:
        >>> print(ConflictError("order-7", expected=2, actual=None))
        stream 'order-7': expected version 2, but there is no such stream; load it again and decide anew
    """

    def __init__(self, stream: str, *, expected: Expect | int, actual: int | None) -> None:
        wanted = expected.value if isinstance(expected, Expect) else f"version {expected}"
        found = "there is no such stream" if actual is None else f"it is at version {actual}"
        super().__init__(
            f"stream {stream!r}: expected {wanted}, but {found}; load it again and decide anew"
        )
        self.stream = stream
        self.expected = expected
        self.actual = actual


class StreamClosedError(EventStoreError):
    """A stream was closed and takes no more events; nothing was stored.

    Args:
        stream: See the attribute.

    Attributes:
        stream: The stream. `reopen_stream` opens it again.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(f"stream {stream!r} is closed; `reopen_stream` opens it again")
        self.stream = stream


class EventIdReusedError(EventStoreError):
    """An id is already in the log with other content; nothing was stored.

    The same append again is no error. This one differs from what was stored: by its stream, a name,
    data, the order, or because only a part of it is known. `Append(known="skip")` leaves known
    events out, whatever is in them.

    Args:
        stream: See the attribute.
        id: See the attribute.
        reason: How the append differs from what is stored.

    Attributes:
        stream: The stream of the append.
        id: The first id of the append that is known.
    """

    def __init__(self, stream: str, *, id: UUID, reason: str) -> None:
        super().__init__(f"stream {stream!r}: event {id} is already stored, {reason}")
        self.stream = stream
        self.id = id


class InvalidEventError(EventStoreError):
    """A name, an id or JSON breaks the rules that all stores share; nothing was stored.

    Args:
        problem: What is wrong, and what is allowed.
        stream: See the attribute.
        event: See the attribute.
        path: See the attribute.

    Attributes:
        stream: The stream of the call; None if the call was not about one, or its name is the
            problem.
        event: The number of the event in its append, from 0; None if the problem is not in an event.
        path: Where, such as `data.items[2]`, or the argument.

    Example:
        >>> print(InvalidEventError("must not be empty", stream="order-7", event=0, path="name"))
        stream 'order-7', event 0: name must not be empty
    """

    def __init__(
        self, problem: str, *, stream: str | None = None, event: int | None = None, path: str
    ) -> None:
        places = [] if stream is None else [f"stream {stream!r}"]
        if event is not None:
            places.append(f"event {event}")
        where = f"{', '.join(places)}: " if places else ""
        super().__init__(f"{where}{path} {problem}")
        self.stream = stream
        self.event = event
        self.path = path


class LeaseLostError(EventStoreError):
    """Somebody else has the lease of a target by now; nothing was stored under the old one."""


class PendingWorkError(EventStoreError):
    """A stream still has work for reactions, so it was not closed or deleted.

    Args:
        stream: See the attribute.
        targets: See the attribute.

    Attributes:
        stream: The stream.
        targets: The first of the targets that have work there, as `group/reaction/key`.
    """

    def __init__(self, stream: str, *, targets: Sequence[str]) -> None:
        super().__init__(
            f"stream {stream!r} has work for {', '.join(targets)}; let it be done, or skip it"
        )
        self.stream = stream
        self.targets: tuple[str, ...] = tuple(targets)


class ReactionChangedError(EventStoreError):
    """A reaction was registered with another definition under the same name."""


class UnknownEventError(EventStoreError):
    """An event cannot be read by the program: its name, its schema number or its data is unknown."""


class TruncatedStreamError(EventStoreError):
    """The beginning of a stream was cut off, and no snapshot that the program can read covers it.

    Args:
        stream: See the attribute.
        first_version: See the attribute.

    Attributes:
        stream: The stream.
        first_version: The first version that is still there; the next one to come if none is.
    """

    def __init__(self, stream: str, *, first_version: int) -> None:
        super().__init__(
            f"stream {stream!r} begins at version {first_version}, and there is no snapshot of what "
            "was before; restore it from its archive"
        )
        self.stream = stream
        self.first_version = first_version


class ArchiveError(EventStoreError):
    """An archive is damaged or incomplete, or of another stream; the message names the file."""


class NotSupportedError(EventStoreError):
    """The store cannot do that; the message says what can."""


class SchemaError(EventStoreError):
    """The store's tables are missing, older or newer than the program; the message has the remedy."""


class UnknownStoreError(EventStoreError, ValueError):
    """No installed package has an event store for a URL. The message shows its scheme only.

    Args:
        scheme: See the attribute.
        installed: See the attribute.

    Attributes:
        scheme: The scheme of the URL in lower case; None when it is not a URL.
        installed: The schemes of the event stores that are installed, sorted.
    """

    def __init__(self, *, scheme: str | None, installed: Iterable[str]) -> None:
        self.scheme = scheme
        self.installed: tuple[str, ...] = tuple(sorted(installed))
        known = ", ".join(f"{name}:" for name in self.installed) or "none"
        why = (
            "an event store is named by a URL, such as sqlite:///events.db"
            if scheme is None
            else f"no installed package has an event store for {scheme}:"
        )
        super().__init__(f"{why} (installed: {known})")


class StoreFailure(EventStoreError):
    """The database failed, or the store was closed.

    Args:
        message: What failed.
        retryable: See the attribute.
        outcome: See the attribute.

    Attributes:
        retryable: Whether the same call may succeed later, without a change of the program.
        outcome: "failed" if the call certainly stored nothing, "unknown" if it may have. The same
            append may be sent again in both cases: what is stored already is not stored twice.
    """

    def __init__(self, message: str, *, retryable: bool, outcome: Outcome) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.outcome: Outcome = outcome

"""What every handler can do, whether written as a function or as a workflow."""

from typing import Protocol, runtime_checkable

from opentelemetry.context import Context

from arvo_core import ArvoEvent
from arvo_time import RetryPolicy
from arvo_time.settings import check_instance


class IArvoEventHandler(Protocol):
    """Whatever handles events: what brokers carry events to."""

    @property
    def source(self) -> str:
        """The topic it listens to, and the `source` of what it emits."""
        ...

    @property
    def stateful(self) -> bool:
        """Whether events of one subject must be handled one after another."""
        ...

    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        """Handle one event and return the events to publish, in order.

        Args:
            event: The event.
            parent: The OpenTelemetry context to attach to. None: the event's trace, else the
                current span.

        Raises:
            ViolationError: The event cannot be handled; nothing may be published.
            RetryableFailure: Handling it failed and is worth another try; when there is none,
                its `replies` may be published.
        """
        ...


@runtime_checkable
class IRetriedEventHandler(IArvoEventHandler, Protocol):
    """A handler that says itself how often and when a broker tries an event again."""

    @property
    def retry(self) -> RetryPolicy | None:
        """How often and when; None leaves it to the broker."""
        ...


def check_handler(value: object, *, name: str = "handler") -> None:
    """Make sure that an object can handle events.

    Raises:
        TypeError: It lacks something of `IArvoEventHandler`, or is a class instead of an object.
    """
    if isinstance(value, type):
        raise TypeError(
            f"{name} must be a handler, got the class {value.__name__}; "
            f"did you mean {value.__name__}(...)?"
        )
    if not callable(getattr(value, "execute", None)):
        raise TypeError(f"{name} must be a handler, got {value!r}: it lacks execute()")
    if not isinstance(getattr(value, "source", None), str):
        raise TypeError(f"{name} must be a handler, got {value!r}: its source is not a str")
    if not isinstance(getattr(value, "stateful", None), bool):
        raise TypeError(f"{name} must be a handler, got {value!r}: its stateful is not a bool")


def own_retry_policy(handler: IArvoEventHandler) -> RetryPolicy | None:
    """Return what a handler says itself of retries; None when it leaves that to the broker.

    Raises:
        TypeError: Its `retry` is neither a `RetryPolicy` nor None.
    """
    if not isinstance(handler, IRetriedEventHandler) or handler.retry is None:
        return None
    return check_instance(handler.retry, kind=RetryPolicy, name=f"{handler.source}: retry")

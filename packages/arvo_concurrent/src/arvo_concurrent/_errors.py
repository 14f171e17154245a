"""What the concurrent broker raises. Everything is an ArvoError."""

from arvo_core import ArvoError, ArvoEvent


class BrokerClosedError(ArvoError):
    """The broker does not run: it was not entered yet, or it is closing or closed."""

    def __init__(self) -> None:
        super().__init__(
            "the broker is not running, so nothing was taken; use it inside of `async with broker:`"
        )


class QueueFullError(ArvoError):
    """As many events wait as `max_queued` allows.

    Attributes:
        event: The event that was not taken; publish it again later, or await `publish`.
    """

    def __init__(self, event: ArvoEvent, *, max_queued: int) -> None:
        super().__init__(
            f"event {event.id!r} of type {event.type!r} was not taken: {max_queued} events wait "
            "already, which is max_queued; await `publish`, or try again later"
        )
        self.event = event

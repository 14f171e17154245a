"""Exceptions of the concurrent broker. All of them are ArvoErrors."""

from arvo_core import ArvoError, ArvoEvent
from arvo_event_handler import ConfigViolation


class QueueFullError(ArvoError):
    """As many events wait as `max_queued` allows.

    Attributes:
        event: The event that was not taken; publish it again later, or await `publish`.
    """

    def __init__(self, event: ArvoEvent, *, max_queued: int) -> None:
        super().__init__(
            f"event {event.id!r} of type {event.type!r} was not taken: {max_queued} events already "
            "wait, which is max_queued; await `publish`, or try again later"
        )
        self.event = event


def self_wait(event: ArvoEvent) -> ConfigViolation:
    """Return the error for a handler that would wait, directly or not, for itself."""
    return ConfigViolation(
        f"a handler awaits the broker for event {event.id!r} of type {event.type!r}, which waits "
        "for that handler, or for others that wait likewise; return the event as an output "
        "instead of awaiting the broker",
        # The slots and places that it waits for may be free at the next try.
        retryable=True,
    )

"""An event that a worker has in hand."""

from collections.abc import Callable
from contextvars import Context
from typing import Final

from typing_extensions import override

from arvo_event_handler.delivery import Seats, Trial
from arvo_transport._settlement import Received

_REDRIVEN: Final = "redrive:"


class HeldDelivery(Trial):
    """A delivery of an event, from its receipt until it is settled, given back or lost.

    Args:
        received: What the inbox handed out.
        on_move: Called when it begins to sleep, and when its topic is rid of it.
    """

    __slots__ = ("_on_move", "acquitted", "begun", "due", "lost", "received")

    def __init__(self, received: Received, *, on_move: Callable[[], None]) -> None:
        super().__init__(
            received.event,
            context=Context(),
            redelivered=received.deliveries > 1 or received.again.startswith(_REDRIVEN),
        )
        self.failed = received.failed
        self.received: Received = received
        """What the inbox handed out."""
        self.acquitted: bool = False
        """Whether a try of it has ended here, so that it does not end its workers."""
        self.begun: bool = False
        """Whether something may have been stored on its account, so that another delivery is to be
        known as one."""
        self.lost: bool = False
        """Whether another worker has it, or may have it, by now."""
        self.due: float = 0
        """When its next try begins, by the clock's `monotonic`, while it sleeps."""
        self._on_move = on_move

    @override
    def start(self, seats: Seats) -> None:
        self._on_move()

    @override
    def pause(self) -> None:
        self._on_move()

    @override
    def end(self) -> None:
        self._on_move()

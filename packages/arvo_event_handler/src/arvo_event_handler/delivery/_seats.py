"""Which handlers hold a slot or a lane while they wait for an answer, to find waits for oneself."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from arvo_core import ArvoEvent


class Seats:
    """The slots and lanes of a topic, as far as handlers hold them that wait for an answer.

    Args:
        broker: Identifies the broker whose handler or listeners it is.
        slots: Maximum number of events that are handled at a time.
        lane_of: Names the lane that an event holds; None when there are no lanes.
        of_listeners: Whether the topic is that of the listeners.
    """

    __slots__ = ("_lane_of", "_lanes", "_slots", "_taken", "broker", "of_listeners")

    def __init__(
        self,
        broker: object,
        *,
        slots: int,
        lane_of: Callable[[ArvoEvent], str] | None,
        of_listeners: bool = False,
    ) -> None:
        self.broker: object = broker
        """Identifies the broker."""
        self.of_listeners: bool = of_listeners
        """Whether the topic is that of the listeners."""
        self._slots = slots
        self._lane_of = lane_of
        self._taken = 0
        self._lanes: Counter[str] = Counter()

    def lane(self, event: ArvoEvent) -> str:
        """Return the lane that an event holds or waits for; empty when there are no lanes."""
        return "" if self._lane_of is None else self._lane_of(event)

    def blocked(self, lane: str) -> bool:
        """Return whether an event must wait for handlers that wait for answers themselves."""
        full = self._taken >= self._slots
        return full or (self._lane_of is not None and self._lanes[lane] > 0)

    def take(self, lane: str) -> None:
        """One more handler waits for an answer."""
        self._taken += 1
        self._lanes[lane] += 1

    def leave(self, lane: str) -> None:
        """One handler waits no more."""
        self._taken -= 1
        self._lanes[lane] -= 1
        if not self._lanes[lane]:
            del self._lanes[lane]


class Handling:
    """One try of a handler: what it holds while it runs, and whether it waits for answers.

    Each try has one of its own, as a task that it started may outlive it.

    Args:
        seats: Those of the handler's topic.
        event: The event.
        asker: The try that waits for what comes of the event; None when none does.
    """

    __slots__ = ("_asking", "_event", "asker", "seats")

    def __init__(self, seats: Seats, event: ArvoEvent, asker: "Handling | None") -> None:
        self.seats: Seats | None = seats
        """Those of the handler's topic; None when the try has ended."""
        self.asker: Handling | None = asker
        """The try that waits for what comes of the event; None when none does."""
        self._event = event
        self._asking = 0  # answers that this one, or one that waits for it, waits for

    def end(self) -> None:
        """The try has ended."""
        if self._asking and self.seats is not None:
            self.seats.leave(self.seats.lane(self._event))
        self.seats = None

    def ask(self) -> None:
        """One more answer is waited for."""
        self._asking += 1
        if self._asking == 1 and self.seats is not None:
            self.seats.take(self.seats.lane(self._event))

    def hear(self) -> None:
        """One answer is waited for no more."""
        self._asking -= 1
        if not self._asking and self.seats is not None:
            self.seats.leave(self.seats.lane(self._event))


_current: Final[ContextVar[Handling | None]] = ContextVar("arvo_handling", default=None)


enter: Final = _current.set
"""Says what is being handled in the current context."""


def current_handling() -> Handling | None:
    """Return what is being handled where this is called; None outside of handlers."""
    return next(_running(), None)


def handled_by(broker: object) -> bool:
    """Return whether a handler of a broker waits, directly or not, for the caller."""
    return any(seats.broker is broker and not seats.of_listeners for seats in _held())


def runs_within(broker: object) -> bool:
    """Return whether a handler or listener of a broker waits, directly or not, for the caller."""
    return any(seats.broker is broker for seats in _held())


def holds(seats: Seats) -> bool:
    """Return whether a handler of one topic waits, directly or not, for the caller."""
    return any(held is seats for held in _held())


@contextmanager
def asking() -> Iterator[None]:
    """Count all handlers that wait for the caller as waiting for an answer."""
    waiting = [*_running()]
    for handling in waiting:
        handling.ask()
    try:
        yield
    finally:
        for handling in waiting:
            handling.hear()


def _running() -> Iterator[Handling]:
    handling = _current.get()
    while handling is not None:
        if handling.seats is not None:
            yield handling
        handling = handling.asker


def _held() -> Iterator[Seats]:
    return (handling.seats for handling in _running() if handling.seats is not None)

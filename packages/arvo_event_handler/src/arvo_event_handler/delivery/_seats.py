"""Which handlers hold a slot or a lane while they wait for an answer, to find waits for oneself."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final


class Seats:
    """The slots and lanes of a topic, as far as handlers hold them that wait for an answer.

    Args:
        broker: Identifies the broker whose handler or listeners it is.
        slots: Maximum number of events that are handled at a time.
        by_subject: Whether an event holds the lane of its subject.
        of_listeners: Whether the topic is that of the listeners.
    """

    __slots__ = ("_by_subject", "_slots", "_subjects", "_taken", "broker", "of_listeners")

    def __init__(
        self, broker: object, *, slots: int, by_subject: bool, of_listeners: bool = False
    ) -> None:
        self.broker: object = broker
        """Identifies the broker."""
        self.of_listeners: bool = of_listeners
        """Whether the topic is that of the listeners."""
        self._slots = slots
        self._by_subject = by_subject
        self._taken = 0
        self._subjects: Counter[str] = Counter()

    def blocked(self, subject: str) -> bool:
        """Return whether an event must wait for handlers that wait for answers themselves."""
        full = self._taken >= self._slots
        return full or (self._by_subject and self._subjects[subject] > 0)

    def take(self, subject: str) -> None:
        """One more handler waits for an answer."""
        self._taken += 1
        self._subjects[subject] += 1

    def leave(self, subject: str) -> None:
        """One handler waits no more."""
        self._taken -= 1
        self._subjects[subject] -= 1
        if not self._subjects[subject]:
            del self._subjects[subject]


class Handling:
    """One try of a handler: what it holds while it runs, and whether it waits for answers.

    Each try has one of its own, as a task that it started may outlive it.

    Args:
        seats: Those of the handler's topic.
        subject: The subject of the event.
        asker: The try that waits for what comes of the event; None when none does.
    """

    __slots__ = ("_asking", "_subject", "asker", "seats")

    def __init__(self, seats: Seats, subject: str, asker: "Handling | None") -> None:
        self.seats: Seats | None = seats
        """Those of the handler's topic; None when the try has ended."""
        self.asker: Handling | None = asker
        """The try that waits for what comes of the event; None when none does."""
        self._subject = subject
        self._asking = 0  # answers that this one, or one that waits for it, waits for

    def end(self) -> None:
        """The try has ended."""
        if self._asking and self.seats is not None:
            self.seats.leave(self._subject)
        self.seats = None

    def ask(self) -> None:
        """One more answer is waited for."""
        self._asking += 1
        if self._asking == 1 and self.seats is not None:
            self.seats.take(self._subject)

    def hear(self) -> None:
        """One answer is waited for no more."""
        self._asking -= 1
        if not self._asking and self.seats is not None:
            self.seats.leave(self._subject)


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

"""Which handlers hold a slot while they wait for an answer, so that none waits for itself."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final


class Seats:
    """The slots and lanes of a topic, as far as handlers hold them that wait for an answer.

    Args:
        slots: How many events are handled at once, at most.
        by_subject: Whether an event holds the lane of its subject.
        broker: Identifies the broker whose handler it is; None for a topic of listeners.
    """

    __slots__ = ("_by_subject", "_slots", "_subjects", "_taken", "broker")

    def __init__(self, slots: int, *, by_subject: bool, broker: object | None) -> None:
        self.broker = broker
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
        asker: The try that waits for the causal tree of the event; None when none does.

    Attributes:
        seats: Those of the handler's topic; None when the try has ended.
        asker: The try that waits for the causal tree of the event; None when none does.
    """

    __slots__ = ("_asking", "_subject", "asker", "seats")

    def __init__(self, seats: Seats, subject: str, asker: "Handling | None") -> None:
        self.seats: Seats | None = seats
        self.asker = asker
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


def current() -> Handling | None:
    """Return what is being handled where this is called; None outside of handlers."""
    handling = _current.get()
    while handling is not None and handling.seats is None:
        handling = handling.asker
    return handling


def handled_by(broker: object) -> Handling | None:
    """Return what a broker is handling and waits, at some remove, for who calls this."""
    for handling in _running():
        if handling.seats is not None and handling.seats.broker is broker:
            return handling
    return None


@contextmanager
def asking() -> Iterator[None]:
    """Count all that wait for who calls this as waiting for an answer."""
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

"""An event, all its consequences, and the caller that waits for the answer."""

from asyncio import Future
from collections import Counter

from arvo_core import ArvoEvent
from arvo_event_handler import ResolveError
from arvo_event_handler.delivery import Handling, Seats

from ._admission import Admission
from ._errors import self_wait


class CausalTree:
    """Counts the consequences of an event that are still on their way.

    Args:
        root: The event that started it.
        answer_to: The address of the answer.
        admission: Counts its events, and those of all other trees.
        waiter: Gets the answer, None, or a `ResolveError`; None when no caller waits.
        asker: What is being handled by the handler that waits; None when no handler waits.
    """

    __slots__ = (
        "_failures",
        "_queued",
        "_waiter",
        "admission",
        "answer_to",
        "answered",
        "asker",
        "open",
        "root",
    )

    def __init__(
        self,
        root: ArvoEvent,
        *,
        answer_to: str,
        admission: Admission,
        waiter: "Future[ArvoEvent | None] | None" = None,
        asker: Handling | None = None,
    ) -> None:
        self.root = root
        self.asker = asker
        self.answer_to = answer_to
        self.admission = admission
        self._waiter = waiter
        # No list for each of the many that never fail: the garbage collector would visit each.
        self._failures: tuple[tuple[ArvoEvent, Exception], ...] = ()
        self.open = 0
        """How many events are on their way."""
        self.answered: list[CausalTree] | None = None
        """The trees whose callers got the same answer, this one included; None: no others did."""
        # Where what is open waits for a handler; None unless a handler waits for the answer.
        self._queued: Counter[tuple[Seats, str]] | None = None if asker is None else Counter()

    @property
    def ended(self) -> bool:
        """Whether no event of it is on its way."""
        return self.open == 0

    @property
    def trees(self) -> "tuple[CausalTree, ...]":
        """This tree alone."""
        return (self,)

    def begin(self) -> None:
        """One more event is on its way."""
        self.open += 1

    def end(self) -> None:
        """One event has arrived, and what came of it is counted already."""
        self.open -= 1
        if self._waiter is None or self._waiter.done():
            return
        if self.open:
            if self._queued and self._stands_still(self._queued):
                # What is open is handled once the waiting handler has given up.
                self._waiter.set_exception(self_wait(self.root))
            return
        if self._failures:
            error = ResolveError(self.root, failures=self._failures)
            error.__cause__ = self._failures[0][1]
            self._waiter.set_exception(error)
        else:
            self._waiter.set_result(None)

    def expects(self, event: ArvoEvent) -> bool:
        """Return whether an event is addressed to the caller as an answer."""
        return event is not self.root and event.to == self.answer_to

    def answer(self, event: ArvoEvent) -> bool:
        """Deliver an answer; return False when no caller waits for it (any more)."""
        if self._waiter is None or self._waiter.done():
            return False
        self._waiter.set_result(event)
        return True

    def unanswer(self) -> bool:
        """Return whether no caller is left for the answer, now that this one was cancelled."""
        if self.answered is None:
            return True
        self.answered.remove(self)
        return not self.answered

    def queued(self, seats: Seats, subject: str) -> None:
        """An event waits for a handler."""
        if self._queued is not None:
            self._queued[seats, subject] += 1

    def taken(self, seats: Seats, subject: str) -> None:
        """An event no longer waits for a handler."""
        if self._queued is not None:
            self._queued[seats, subject] -= 1
            if not self._queued[seats, subject]:
                del self._queued[seats, subject]

    def failed(self, event: ArvoEvent, error: Exception) -> None:
        """Keep a failure for the caller that waits."""
        if self._waiter is not None:
            self._failures += ((event, error),)

    def _stands_still(self, queued: Counter[tuple[Seats, str]]) -> bool:
        """Return whether all that is open waits for handlers that wait for answers themselves.

        It suffices to look when an event has ended. Of the trees that block each other, the one
        that was asked for last finds all the others' slots held already.
        """
        if queued.total() < self.open:
            return False
        return all(seats.blocked(subject) for seats, subject in queued)

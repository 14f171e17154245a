"""An event, all its consequences, and the caller that waits for the answer."""

from asyncio import Future
from collections import Counter
from collections.abc import Callable

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
        redelivered: Whether an earlier delivery of the root may have been lost, with what came of
            it.
    """

    __slots__ = (
        "_failures",
        "_followers",
        "_queued",
        "_waiter",
        "admission",
        "answer_to",
        "answered",
        "asker",
        "on_end",
        "open",
        "redelivered",
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
        redelivered: bool = False,
    ) -> None:
        self.root = root
        self.asker = asker
        # What a handler waits for cannot join the work of others, so it must lead to an answer.
        self.redelivered = redelivered or asker is not None
        """Whether earlier deliveries of its events may have been lost."""
        self.answer_to = answer_to
        self.admission = admission
        self._waiter = waiter
        # No list for each of the many that never fail: the garbage collector would visit each.
        self._failures: tuple[tuple[ArvoEvent, Exception], ...] = ()
        self._followers: tuple[CausalTree, ...] = ()
        self.open = 0
        """How many events are on their way, and trees that are followed."""
        self.on_end: Callable[[], None] | None = None
        """Called, once, when no event of it is on its way."""
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
        if self._waiter is not None and not self._waiter.done():
            self._look_after(self._waiter)
        if not self.open:
            if self.on_end is not None:
                on_end, self.on_end = self.on_end, None
                on_end()
            followers, self._followers = self._followers, ()
            for follower in followers:
                follower.end()

    def lead(self, follower: "CausalTree") -> None:
        """Let another tree wait for all that comes of this one as well, and get its answer.

        Not for a tree that a handler waits for: it might wait for itself.
        """
        follower.begin()
        self._followers += (follower,)

    def covers(self, other: "CausalTree") -> bool:
        """Return whether another tree waits for this one: it is this one, or follows it."""
        return other is self or any(each.covers(other) for each in self._followers)

    def _look_after(self, waiter: "Future[ArvoEvent | None]") -> None:
        if self.open:
            if self._queued and self._stands_still(self._queued):
                # What is open is handled once the waiting handler has given up.
                waiter.set_exception(self_wait(self.root))
            return
        if self._failures:
            error = ResolveError(self.root, failures=self._failures)
            error.__cause__ = self._failures[0][1]
            waiter.set_exception(error)
        else:
            waiter.set_result(None)

    def expects(self, event: ArvoEvent) -> bool:
        """Return whether an event is addressed to the caller, or to that of a follower."""
        if event is not self.root and event.to == self.answer_to:
            return True
        return any(follower.expects(event) for follower in self._followers_of(event))

    def answer(self, event: ArvoEvent) -> bool:
        """Deliver an answer; return False when no caller waits for it (any more)."""
        if not self._followers:
            return self._take_answer(event)
        return have_in_common(self.reached(event))

    def reached(self, event: ArvoEvent) -> "list[CausalTree]":
        """Deliver an answer; return the trees whose callers have it now."""
        reached = [self] if self._take_answer(event) else []
        for follower in self._followers_of(event):
            reached += follower.reached(event)
        return reached

    def _followers_of(self, answer: ArvoEvent) -> "list[CausalTree]":
        """Return the followers that an answer may be for: it names the event that it answers."""
        return [each for each in self._followers if answer.parentid == each.root.id]

    def _take_answer(self, event: ArvoEvent) -> bool:
        waiter = self._waiter
        if waiter is None or event is self.root or event.to != self.answer_to:
            return False
        if waiter.done():
            # A tree that follows others may come upon the same answer twice.
            return not waiter.cancelled() and not waiter.exception() and waiter.result() == event
        waiter.set_result(event)
        return True

    def unanswer(self) -> bool:
        """Return whether no caller is left for the answer, now that this one was cancelled."""
        if self.answered is None:
            return True
        self.answered.remove(self)
        return not self.answered

    def queued(self, seats: Seats, lane: str) -> None:
        """An event waits for a handler."""
        if self._queued is not None:
            self._queued[seats, lane] += 1

    def taken(self, seats: Seats, lane: str) -> None:
        """An event no longer waits for a handler."""
        if self._queued is not None:
            self._queued[seats, lane] -= 1
            if not self._queued[seats, lane]:
                del self._queued[seats, lane]

    def failed(self, event: ArvoEvent, error: Exception) -> None:
        """Keep a failure for the caller that waits."""
        if self._waiter is not None:
            self._failures += ((event, error),)
        for follower in self._followers:
            follower.failed(event, error)

    @property
    def waits(self) -> bool:
        """Whether a caller waits for the answer."""
        return self._waiter is not None and not self._waiter.done()

    def _stands_still(self, queued: Counter[tuple[Seats, str]]) -> bool:
        """Return whether all that is open waits for handlers that wait for answers themselves.

        It suffices to look when an event has ended. Of the trees that block each other, the one
        that was asked for last finds all the others' slots held already.
        """
        if queued.total() < self.open:
            return False
        return all(seats.blocked(lane) for seats, lane in queued)


def have_in_common(trees: list[CausalTree]) -> bool:
    """Remember which trees' callers got the same answer; return False when there are none."""
    for tree in trees:
        tree.answered = trees
    return bool(trees)

"""Several causal trees that wait for the same events."""

from typing import TypeAlias

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import Handling, Seats

from ._admission import Admission
from ._causal_tree import CausalTree, have_in_common


class JoinedTrees:
    """Causal trees that wait for the same event, and for all that comes of it.

    It takes the place of a `CausalTree`.

    Args:
        trees: At least two trees, each of them once. A handler may wait for the first only.
    """

    __slots__ = ("trees",)

    def __init__(self, trees: tuple[CausalTree, ...]) -> None:
        self.trees = trees
        """The trees; the first one has had the event from the beginning."""

    @property
    def admission(self) -> Admission:
        """Counts their events, each of them once."""
        return self.trees[0].admission

    @property
    def asker(self) -> Handling | None:
        """As `CausalTree.asker`."""
        return self.trees[0].asker

    @property
    def redelivered(self) -> bool:
        """Whether earlier deliveries of the events of one of them may have been lost."""
        return any(tree.redelivered for tree in self.trees)

    @property
    def ended(self) -> bool:
        """Whether no event of any of them is on its way."""
        return all(tree.ended for tree in self.trees)

    def begin(self) -> None:
        """One more event is on its way."""
        for tree in self.trees:
            tree.begin()

    def end(self) -> None:
        """One event has arrived, and what came of it is counted already."""
        for tree in self.trees:
            tree.end()

    def expects(self, event: ArvoEvent) -> bool:
        """Return whether an event is addressed to the caller of one of them."""
        return any(tree.expects(event) for tree in self.trees)

    def answer(self, event: ArvoEvent) -> bool:
        """Deliver an answer to each caller; return False when none waits for it (any more)."""
        reached = [each for tree in self.trees for each in tree.reached(event)]
        return have_in_common(list(dict.fromkeys(reached)))

    def queued(self, seats: Seats, lane: str) -> None:
        """An event waits for a handler."""
        self.trees[0].queued(seats, lane)

    def taken(self, seats: Seats, lane: str) -> None:
        """An event no longer waits for a handler."""
        self.trees[0].taken(seats, lane)

    def failed(self, event: ArvoEvent, error: Exception) -> None:
        """Keep a failure for each caller that waits."""
        for tree in self.trees:
            tree.failed(event, error)


AnyTree: TypeAlias = CausalTree | JoinedTrees
"""What an event belongs to."""

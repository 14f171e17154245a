"""An event on its way within one process."""

from contextvars import Context
from typing import TypeAlias

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import Seats, Trial

from ._joined_trees import AnyTree, JoinedTrees

Identity: TypeAlias = tuple[str, str, str]
"""An event's address, source and id."""


class Delivery(Trial):
    """An event on its way.

    Args:
        event: The event.
        tree: The causal tree it belongs to, or the trees.
        context: The context variables it carries along.
    """

    __slots__ = ("identity", "tree")

    context: Context

    def __init__(self, event: ArvoEvent, tree: AnyTree, context: Context) -> None:
        # Every event has one: what `Trial` sets is set here, without a call of it.
        self.event = event
        self.tree = tree
        self.identity: Identity | None = None
        """Recognises a repeated event; None for what no event may join."""
        self.context = context
        self.asker = tree.asker
        self.redelivered = tree.redelivered
        self.failed = 0
        self.contention = None
        self.errors = ()
        self.given_up = False

    def join(self, tree: AnyTree) -> bool:
        """Let another tree wait for the event too, and for all that comes of it.

        Returns:
            False when a handler waits for that tree: the event may be the one that this handler
            handles, and nothing would find out that it waits for itself.
        """
        own = self.tree.trees
        others = tuple(other for other in tree.trees if not any(each.covers(other) for each in own))
        if any(other.asker is not None for other in others):
            return False
        self.redelivered = self.redelivered or tree.redelivered
        for other in others:
            other.begin()
        if others:
            self.tree = JoinedTrees(own + others)
        return True

    @override
    def beside(self, event: ArvoEvent) -> "Delivery":
        return Delivery(event, self.tree, self.context.copy())

    @override
    def enter(self, seats: Seats) -> None:
        tree = self.tree
        tree.admission.enter()
        tree.begin()
        if self.asker is not None:
            self.tree.queued(seats, seats.lane(self.event))

    @override
    def start(self, seats: Seats) -> None:
        self.tree.admission.release()
        if self.asker is not None:
            self.tree.taken(seats, seats.lane(self.event))

    @override
    def pause(self) -> None:
        self.tree.admission.waiting += 1

    @override
    def resume(self, seats: Seats) -> None:
        if self.asker is not None:
            self.tree.queued(seats, seats.lane(self.event))

    @override
    def end(self) -> None:
        tree = self.tree
        tree.end()
        tree.admission.done()

    @override
    def fail(self, event: ArvoEvent, *, error: Exception) -> None:
        self.tree.failed(event, error)

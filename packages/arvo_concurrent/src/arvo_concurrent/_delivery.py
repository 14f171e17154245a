"""An event on its way within one process."""

from contextvars import Context

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import Seats, Trial

from ._causal_tree import CausalTree


class Delivery(Trial):
    """An event on its way.

    Args:
        event: The event.
        tree: The causal tree it belongs to.
        context: The context variables it carries along.
    """

    __slots__ = ("tree",)

    context: Context

    def __init__(self, event: ArvoEvent, tree: CausalTree, context: Context) -> None:
        # Every event has one: what `Trial` sets is set here, without a call of it.
        self.event = event
        self.tree = tree
        self.context = context
        self.asker = tree.asker
        self.failed = 0
        self.contention = None
        self.errors = ()
        self.given_up = False

    @override
    def beside(self, event: ArvoEvent) -> "Delivery":
        return Delivery(event, self.tree, self.context.copy())

    @override
    def enter(self, seats: Seats) -> None:
        tree = self.tree
        tree.admission.enter()
        tree.open += 1
        if self.asker is not None:
            self.tree.queued(seats, self.event.subject)

    @override
    def start(self, seats: Seats) -> None:
        self.tree.admission.release()
        if self.asker is not None:
            self.tree.taken(seats, self.event.subject)

    @override
    def pause(self) -> None:
        self.tree.admission.waiting += 1

    @override
    def resume(self, seats: Seats) -> None:
        if self.asker is not None:
            self.tree.queued(seats, self.event.subject)

    @override
    def end(self) -> None:
        tree = self.tree
        tree.end()
        tree.admission.done()

    @override
    def fail(self, event: ArvoEvent, *, error: Exception) -> None:
        self.tree.failed(event, error)

"""An event on its way within one process."""

from contextvars import Context

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import Seats, Trial

from ._backlog import Backlog
from ._causal_tree import CausalTree


class Delivery(Trial):
    """An event on its way.

    Args:
        event: The event.
        tree: What it belongs to.
        context: The context variables it carries along.
        backlog: What counts it.
    """

    __slots__ = ("_backlog", "tree")

    context: Context

    def __init__(
        self, event: ArvoEvent, *, tree: CausalTree, context: Context, backlog: Backlog
    ) -> None:
        super().__init__(event, context=context, asker=tree.asker)
        self.tree = tree
        """What it belongs to."""
        self._backlog = backlog

    @override
    def beside(self, event: ArvoEvent) -> "Delivery":
        context = self.context.copy()
        return Delivery(event, tree=self.tree, context=context, backlog=self._backlog)

    @override
    def enter(self, seats: Seats) -> None:
        self._backlog.enter()
        self.tree.begin()
        if self.asker is not None:
            self.tree.queued(seats, self.event.subject)

    @override
    def start(self, seats: Seats) -> None:
        self._backlog.leave()
        if self.asker is not None:
            self.tree.taken(seats, self.event.subject)

    @override
    def pause(self) -> None:
        self._backlog.waiting += 1

    @override
    def resume(self, seats: Seats) -> None:
        if self.asker is not None:
            self.tree.queued(seats, self.event.subject)

    @override
    def end(self) -> None:
        self.tree.end()
        self._backlog.done()

    @override
    def fail(self, event: ArvoEvent, *, error: Exception) -> None:
        self.tree.failed(event, error)

"""An event on its way to a handler, and errands to the broker's owner."""

from collections.abc import Awaitable, Callable
from contextvars import Context

from arvo_core import ArvoEvent
from arvo_event_handler import Contention

from ._causal_tree import CausalTree


class Delivery:
    """An event on its way.

    Args:
        event: The event.
        tree: What it belongs to.
        context: The context variables it carries along.
    """

    __slots__ = ("contention", "context", "event", "failed", "given_up", "tree")

    def __init__(self, event: ArvoEvent, tree: CausalTree, context: Context) -> None:
        self.event = event
        self.tree = tree
        self.context = context
        self.failed = 0
        """How many tries failed."""
        self.contention: Contention | None = None
        """The latest tries that failed because others handled its workflow; None when the latest
        did not."""
        self.given_up = False
        """Whether it was reported as undelivered although its handler still ran: what comes of
        that later is not published."""


class Errand(Delivery):
    """Something to tell or hand to the owner of the broker on account of an event.

    Args:
        event: The event.
        tree: What it belongs to.
        context: The context variables it carries along.
        call: Does it.
        name: Which listener it calls, for errors.
    """

    __slots__ = ("call", "name")

    def __init__(
        self,
        event: ArvoEvent,
        tree: CausalTree,
        context: Context,
        *,
        call: Callable[[], Awaitable[None]],
        name: str,
    ) -> None:
        super().__init__(event, tree, context)
        self.call = call
        self.name = name

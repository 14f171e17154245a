"""An event on its way through a handler, try after try."""

from collections.abc import Callable
from contextvars import Context
from typing import TypeVar, TypeVarTuple

from arvo_core import ArvoEvent

from ._contention import Contention
from ._seats import Handling, Seats

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Trial:
    """An event that is to be handled, and what its tries have come to so far.

    A broker derives its own kind of delivery from it, which knows what waits for the event and what
    counts it. Its methods are called as the event moves; here they do nothing.

    Args:
        event: The event.
        context: The context variables it carries along; nothing else may run in them meanwhile.
            None: it runs in those of the task that handles it.
        asker: The try that waits for what comes of the event; None when none does.
        redelivered: Whether an earlier delivery of the event may have been lost.
    """

    __slots__ = (
        "asker",
        "contention",
        "context",
        "errors",
        "event",
        "failed",
        "given_up",
        "redelivered",
    )

    def __init__(
        self,
        event: ArvoEvent,
        *,
        context: Context | None,
        asker: Handling | None = None,
        redelivered: bool = False,
    ) -> None:
        self.event: ArvoEvent = event
        """The event."""
        self.context: Context | None = context
        """The context variables it carries along; None for those of the task that handles it."""
        self.asker: Handling | None = asker
        """The try that waits for what comes of the event; None when none does."""
        self.redelivered: bool = redelivered
        """Whether an earlier delivery of the event may have been lost."""
        self.failed: int = 0
        """How many tries failed; contention does not count."""
        self.contention: Contention | None = None
        """The latest tries that failed because others handled its workflow; None when the latest
        did not."""
        self.errors: tuple[Exception, ...] = ()
        """Side errors, such as an exception of `on_error` itself, that no verdict has reported yet."""
        self.given_up: bool = False
        """Whether it was reported as undelivered although its handler still ran: what comes of
        that later is not published."""

    def call(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call a function with the context variables of the event."""
        return function(*args) if self.context is None else self.context.run(function, *args)

    def beside(self, event: ArvoEvent) -> "Trial":
        """Return what stands for another event on account of this one.

        It has a copy of the context variables, and is counted where this one is.
        """
        context = None if self.context is None else self.context.copy()
        return Trial(event, context=context, asker=self.asker)

    def enter(self, seats: Seats) -> None:
        """It was put into a topic, and waits for a worker or for its lane."""

    def start(self, seats: Seats) -> None:
        """It waits no more: a worker has it, or it was taken out."""

    def pause(self) -> None:
        """A try failed, and it sleeps until the next one."""

    def resume(self, seats: Seats) -> None:
        """It has slept, and waits again."""

    def end(self) -> None:
        """It is done, and what came of it is on its way already."""

    def fail(self, event: ArvoEvent, *, error: Exception) -> None:
        """Something failed for good: the event itself, or one that came of it."""

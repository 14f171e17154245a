"""Which workflows are being handled where something is called, so that none waits for itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from arvo_event_handler._handler import IArvoEventHandler


class _InHand:
    __slots__ = ("handler", "outer", "running", "subject")

    def __init__(self, handler: IArvoEventHandler, subject: str, outer: "_InHand | None") -> None:
        self.handler = handler
        self.subject = subject
        self.outer = outer
        self.running = True  # a task that the handler started may outlive it


_innermost: ContextVar[_InHand | None] = ContextVar("arvo_workflow_in_hand", default=None)


@contextmanager
def in_hand(handler: IArvoEventHandler, subject: str) -> Iterator[None]:
    """Say that a handler works on a workflow, in this context and those that are made in it."""
    working = _InHand(handler, subject, _innermost.get())
    before = _innermost.set(working)
    try:
        yield
    finally:
        working.running = False
        _innermost.reset(before)


def is_in_hand(handler: IArvoEventHandler, subject: str) -> bool:
    """Return whether a handler works on a workflow, and the caller, directly or not, for it."""
    working = _innermost.get()
    while working is not None:
        if working.running and working.handler is handler and working.subject == subject:
            return True
        working = working.outer
    return False

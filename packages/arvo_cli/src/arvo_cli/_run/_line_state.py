"""One line of the input while it is run, and after it."""

from contextvars import ContextVar
from dataclasses import dataclass, field

from arvo_cli._input._lines import Line
from arvo_cli._input._request import Request
from arvo_core import ArvoEvent


@dataclass(slots=True, kw_only=True, eq=False)
class LineState:
    """What has come of a line so far."""

    line: Line
    request: Request
    started: float
    """When it was taken, by the monotonic clock, in seconds."""
    failures: list[str] = field(default_factory=list)
    answered: bool = False
    """Whether the line has its result."""
    answer: ArvoEvent | None = None
    """Its final event, where a timer has led to it while nobody waited for it."""


# Handlers run deep inside the broker; the context says which line they run for.
line_state: ContextVar[LineState | None] = ContextVar("line_state", default=None)

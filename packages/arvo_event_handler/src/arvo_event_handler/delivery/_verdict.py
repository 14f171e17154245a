"""What a runner decides after a try, and what the broker is to do. A verdict is not changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from arvo_core import ArvoEvent
from arvo_event_handler._emission._delayed_output import DelayedOutput

from ._dead_letter import DeadLetter


@dataclass(slots=True, kw_only=True)
class Handled:
    """The event is done: publish what came of it, and acknowledge it."""

    outputs: Sequence[ArvoEvent]
    """What to publish, in order."""
    troubles: Sequence["GiveUp"] = ()
    """Outputs that will not be published, each given up by itself, in order."""
    errors: Sequence[Exception] = ()
    """What failed beside the handling, such as `on_error` itself."""
    delayed: Sequence[DelayedOutput] = ()
    """What to publish as well, for later; never any for a broker that cannot."""


@dataclass(slots=True, kw_only=True)
class TryAgain:
    """The try failed, and another one is due."""

    after: timedelta
    """How long to wait before it."""
    counts: bool
    """Whether the try costs one of the budget; contention does not."""
    error: Exception
    """What the try ended with."""
    elsewhere: bool = False
    """Whether it is for another worker: the event needs newer code than this one has."""
    errors: Sequence[Exception] = ()
    """As `Handled.errors`."""


@dataclass(slots=True, kw_only=True)
class GiveUp:
    """The event will not be handled: keep it as a dead letter."""

    letter: DeadLetter
    """The event, the last error and the reason."""
    replies: Sequence[ArvoEvent] = ()
    """What to publish after the letter was kept, so that the asker does not wait indefinitely."""
    reply_error: Exception | None = None
    """Why there are no replies although the handler is to reply; None when nothing failed."""
    errors: Sequence[Exception] = ()
    """As `Handled.errors`."""


Verdict: TypeAlias = Handled | TryAgain | GiveUp
"""What a runner decides after a try."""

"""Where in its life a worker is, for its log and for who asks after its health."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from arvo_time import Clock


class Stage(StrEnum):
    """Where in its life a worker is."""

    STARTING = "starting"
    """It has not reached its engine yet."""
    READY = "ready"
    """It handles events."""
    DEGRADED = "degraded"
    """It handles events, or would, but something is wrong."""
    DRAINING = "draining"
    """It takes no more events, and finishes what it has in hand."""
    GIVING_BACK = "giving back"
    """It gives back what it has in hand, for others to handle."""
    ENDED = "ended"
    """It has nothing in hand any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A state, and what is to be said of it."""

    stage: Stage
    """The stage of its life."""
    detail: str = ""
    """Why, or with what."""


class WorkerLife:
    """The states of one worker; each change is one line of its log.

    Args:
        say: Writes a line.
        clock: For the time before each line.
    """

    def __init__(self, *, say: Callable[[str], None], clock: Clock) -> None:
        self._say = say
        self._clock = clock
        self.phase: Phase = Phase(stage=Stage.STARTING)
        """Where it is; it begins with an `enter` of this stage and a detail."""

    def enter(self, stage: Stage, detail: str = "") -> None:
        """Enter a state. Does nothing when it is the one already, for the same reason."""
        phase = Phase(stage=stage, detail=detail)
        if phase == self.phase:
            return
        self.phase = phase
        self.note(f"{stage:<11}  {detail}".rstrip())

    def note(self, text: str) -> None:
        """Write a line that is no change."""
        at = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        self._say(f"{at}  {text}")

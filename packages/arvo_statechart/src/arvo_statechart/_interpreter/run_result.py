"""What a host gets from running a step."""

from dataclasses import dataclass
from typing import Any

from arvo_statechart._event import Event

from .snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a host gets from running a step: the new state and the events for the outside."""

    snapshot: Snapshot
    """The state of the machine after the step."""
    emitted: tuple[Event, ...] = ()
    """The emitted events in order; none if the step failed."""

    @property
    def done(self) -> bool:
        """Whether the machine has reached its end."""
        return self.snapshot.status == "done"

    @property
    def output(self) -> Any:
        """What the machine computed at its end; None before, and if its root has no `output`."""
        return self.snapshot.output

    @property
    def error(self) -> Any:
        """What failed: an exception, or what was stored of it. None unless status is error."""
        return self.snapshot.error

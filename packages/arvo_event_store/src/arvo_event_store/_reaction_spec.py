"""What a store keeps of a reaction."""

from dataclasses import dataclass
from typing import Literal

from ._target import PER_STREAM, TargetKind

Start = int | Literal["beginning", "now"]
"""Where a new reaction begins: with the first event, after the last one, or after a position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionSpec:
    """What a reaction listens to, as it is registered.

    All but `name` and `start` is its definition, which must not change under the same name.
    """

    name: str
    """Its name, unique in its group."""
    events: tuple[str, ...] | None
    """The names of the events it takes; None is any."""
    to: TargetKind = PER_STREAM
    """What its targets are."""
    lane: str = "default"
    """The lane of its targets."""
    stream_prefix: str = ""
    """How the names of the streams begin whose events it takes, literally."""
    addressed: bool = False
    """Whether only appends wake its targets, so that it needs no scan."""
    start: Start = "beginning"
    """Where it begins when it is registered for the first time."""

    def takes(self, *, name: str, stream: str) -> bool:
        """Return whether it takes an event of that name in that stream."""
        return (self.events is None or name in self.events) and stream.startswith(
            self.stream_prefix
        )

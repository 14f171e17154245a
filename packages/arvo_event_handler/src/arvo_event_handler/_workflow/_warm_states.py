"""States of workflows that were stepped lately, so that the next step need not build them again."""

from collections import OrderedDict
from dataclasses import dataclass

from arvo_event_handler.memory._journal_entry import Mark
from arvo_event_handler.memory._state import WorkflowState


@dataclass(slots=True, kw_only=True)
class WarmState:
    """A state, and which history it says."""

    state: WorkflowState
    """What follows from entries; the rest is the record's, and not kept."""
    last: Mark
    """The last entry."""
    last_chunk: int
    """The number of the last chunk that it includes."""
    closed: int
    """How many bytes the chunks have that are not freed."""
    size: int
    """How many bytes it has as stored: those chunks and the tail."""


class WarmStates:
    """States by workflow, the least recently used dropped first.

    A state is taken by whoever steps it, and put back when the step is stored, or none was taken:
    two steps never share one.

    Args:
        most: How many bytes the kept states may have as stored; decoded they take about twice that.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._states: OrderedDict[str, WarmState] = OrderedDict()
        self._size = 0

    def last_chunk(self, subject: str) -> int:
        """Return up to which chunk a state is known; 0 when none is kept."""
        warm = self._states.get(subject)
        return 0 if warm is None else warm.last_chunk

    def take(self, subject: str) -> WarmState | None:
        """Remove a state and return it; None when none is kept."""
        warm = self._states.pop(subject, None)
        if warm is not None:
            self._size -= warm.size
        return warm

    def put(self, subject: str, warm: WarmState) -> None:
        """Keep a state, unless it alone is above what may be kept; do not use it afterwards."""
        self.take(subject)
        if warm.size > self._most:
            return
        # A context may be large, and is not counted.
        warm.state.keep_entries_only()
        self._states[subject] = warm
        self._size += warm.size
        while self._size > self._most:
            _, oldest = self._states.popitem(last=False)
            self._size -= oldest.size

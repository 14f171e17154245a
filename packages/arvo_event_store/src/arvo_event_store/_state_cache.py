"""The last states of an aggregate, so that they need not be folded again."""

from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

S = TypeVar("S")


class CachedState(NamedTuple, Generic[S]):
    """The state of a stream after one of its events."""

    version: int
    """The version of that event."""
    id: UUID
    """Its id. Another event with that version is of another stream of the same name."""
    state: S
    """The state."""


class StateCache(Generic[S]):
    """States by stream; the one that was not used for longest goes first.

    Args:
        size: How many states it keeps; 0 is none.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._states: OrderedDict[str, CachedState[S]] = OrderedDict()

    def get(self, stream: str) -> CachedState[S] | None:
        """Return the state of a stream; None if it is not kept."""
        found = self._states.get(stream)
        if found is not None:
            self._states.move_to_end(stream)
        return found

    def put(self, stream: str, state: CachedState[S]) -> None:
        """Keep the state of a stream."""
        if self._size:
            self._states[stream] = state
            self._states.move_to_end(stream)
            while len(self._states) > self._size:
                self._states.popitem(last=False)

    def drop(self, stream: str) -> None:
        """Forget the state of a stream."""
        self._states.pop(stream, None)

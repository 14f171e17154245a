"""When and how the state of an aggregate is stored."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from arvo_time.settings import check_callable, check_count

from ._json import JsonValue

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class SnapshotPolicy(Generic[S]):
    """Stores the state now and then, so that a load reads the events after it only.

    Raises:
        TypeError: A field is of another type.
        ValueError: `every` or `schema` is below 1.

    Example:
        >>> policy = SnapshotPolicy[int](dump=lambda total: total, load=int, every=50)
        >>> policy.is_due(before=48, now=49), policy.is_due(before=49, now=60)
        (True, False)
    """

    dump: Callable[[S], JsonValue]
    """Returns the state as JSON."""
    load: Callable[[Any], S]
    """Returns the state, given what `dump` returned."""
    every: int = 100
    """After how many events of a stream one is stored, counted from its beginning."""
    schema: int = 1
    """The schema of what `dump` returns, from 1. Raise it with each change of the state or of `evolve`:
    snapshots of other schemas are ignored."""

    def __post_init__(self) -> None:
        check_callable(self.dump, name="dump")
        check_callable(self.load, name="load")
        check_count(self.every, name="every", least=1)
        check_count(self.schema, name="schema", least=1, most=2**31 - 1)

    def is_due(self, *, before: int, now: int) -> bool:
        """Return whether to store one after an append.

        Args:
            before: The version before the append; -1 if there was no stream.
            now: The version after it.
        """
        return (now + 1) // self.every > (before + 1) // self.every

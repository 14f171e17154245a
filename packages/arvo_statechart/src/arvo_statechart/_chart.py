"""A compiled machine: everything about it that no event changes, and what was worked out so far."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ._call import Call, Context
from ._event import INIT
from ._node import StateNode, Transition
from ._rules import Rules

if TYPE_CHECKING:
    from ._configuration import Configuration
    from ._implementations import Implementations

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(dict[K, V]):
    """A dict that drops everything when it is full: cheap, and its size has a limit.

    Threads may work out one entry twice; entries are interchangeable, so the last one stays.
    """

    __slots__ = ("limit",)

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit: int = limit

    def keep(self, key: K, value: V) -> V:
        """Store and return a value."""
        if len(self) >= self.limit:
            self.clear()
        self[key] = value
        return value


class Chart:
    """A compiled machine. Shared between threads: only its caches ever change."""

    __slots__ = (
        "by_id",
        "configurations",
        "context",
        "implementations",
        "max_microsteps",
        "nodes",
        "restored",
        "root",
        "rules",
        "start",
    )

    def __init__(
        self,
        *,
        nodes: tuple[StateNode, ...],
        by_id: dict[str, StateNode],
        context: Context | Callable[[Call], Context],
        implementations: "Implementations",
        rules: Rules,
        max_microsteps: float,
    ) -> None:
        # In document order, so that a state's number is its index.
        self.nodes: tuple[StateNode, ...] = nodes
        self.root: StateNode = nodes[0]
        # What enters the initial states.
        self.start: Transition = Transition(self.root, INIT)
        self.start.targets = (self.root,)
        self.start.reenter = True
        self.by_id: dict[str, StateNode] = by_id
        self.context: Context | Callable[[Call], Context] = context
        self.implementations: Implementations = implementations
        self.rules: Rules = rules
        # Infinite where the config says so.
        self.max_microsteps: float = max_microsteps
        self.configurations: BoundedCache[tuple[StateNode, ...], Configuration] = BoundedCache(
            1_024
        )
        # By the text of the stored value.
        self.restored: BoundedCache[str, Configuration] = BoundedCache(1_024)

    def members(self, mask: int) -> list[StateNode]:
        """Return the states of a bit mask in document order."""
        found: list[StateNode] = []
        while mask:
            lowest = mask & -mask
            found.append(self.nodes[lowest.bit_length() - 1])
            mask ^= lowest
        return found

"""What a worker does, as its process is told it."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

Point: TypeAlias = Literal["received", "committed", "stored", "acknowledged"]
"""Where a worker may kill itself: an inbox has handed the event out; the handler has ended; its
settlement is on its way; its settlement is confirmed."""
POINTS: Final[tuple[Point, ...]] = get_args(Point)
"""All of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A handler of a worker."""

    topic: str
    """The topic."""
    ordered: bool = False
    """Whether it has the order of its subjects."""
    prefetch: int = 32
    """How many events it handles at a time."""
    seconds: float = 0.0
    """How long it handles an event."""
    emits: bool = False
    """Whether it emits an output for each."""
    killers: frozenset[int] = frozenset()
    """The numbers of those events that end their worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """When a worker kills itself."""

    point: Point
    """Where."""
    after: int
    """How many events come to that point before."""
    seconds: float = 0.0
    """How long after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a process is started with."""

    number: int
    """Its number."""
    url: str
    """The transport."""
    ledger: str
    """The file in which it books."""
    roles: tuple[Role, ...]
    """Its handlers."""
    death: Death | None = None
    """When it kills itself."""
    workflows: tuple[str, str] | None = None
    """The memory, as a URL, and the books of the storm's handlers; None without them."""
    suspect_after: int = 3
    """As for `DistributedEventBroker`."""
    max_deliveries: int = 6
    """As for `DistributedEventBroker`."""

"""What a benchmark is: a name, a claim, and work that can be repeated and checked."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class WrongResultError(Exception):
    """A benchmark did not do the work it claims to measure."""


class UnavailableError(Exception):
    """A benchmark needs something that this machine does not have, such as a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload(Generic[T, R]):
    """Work to repeat: `operation` is timed once per item that `inputs` made beforehand."""

    inputs: Callable[[int], Sequence[T]]
    """Makes that many items, untimed. It makes new ones where a cache could know old ones."""
    operation: Callable[[T], R] | Callable[[T], Awaitable[R]]
    """What is measured; a coroutine function is awaited."""
    check: Callable[[R], bool]
    """Returns whether a result shows that the work was done. Called once, before anything is timed."""
    concurrency: int = 1
    """How many tasks share the items. Above 1 the operation must be a coroutine function."""
    units: int = 1
    """Number of counted operations in one call, such as the events of one batch."""
    latencies: bool = False
    """Whether to time each call separately too, for p50 and p95. Costs about 0.1 us per call."""

    def __post_init__(self) -> None:
        if self.concurrency > 1 and not self.is_async:
            raise ValueError("only a coroutine function can run in several tasks")

    @property
    def is_async(self) -> bool:
        """Whether the operation must be awaited."""
        return inspect.iscoroutinefunction(self.operation)


Setup: TypeAlias = Callable[[], AsyncIterator[Workload[Any, Any]]]
"""An async generator function that prepares, yields one workload, and cleans up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One registered benchmark."""

    name: str
    """Fixed, so that figures of other implementations can be compared with it."""
    claim: str
    """The claim that its figure supports: the docstring."""
    prepare: Callable[[], AbstractAsyncContextManager[Workload[Any, Any]]]
    """Opens the workload."""


_registry: dict[str, Benchmark] = {}


def benchmark(name: str) -> Callable[[Setup], Setup]:
    """Register an async generator function that yields a `Workload`; its docstring is the claim.

    Args:
        name: Dotted, most general part first, so that `--only` can select by prefix.

    Raises:
        ValueError: The name is taken, or there is no docstring.
    """

    def register(setup: Setup) -> Setup:
        claim = inspect.getdoc(setup)
        if not claim:
            raise ValueError(f"benchmark {name!r} states no claim; write a docstring")
        if name in _registry:
            raise ValueError(f"two benchmarks are named {name!r}; rename one")
        _registry[name] = Benchmark(name=name, claim=claim, prepare=asynccontextmanager(setup))
        return setup

    return register


def registered() -> list[Benchmark]:
    """Return every benchmark by name, those of one suite in the order they were written."""
    return list(_registry.values())

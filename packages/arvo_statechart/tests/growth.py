"""Measures the cost of work as calls of functions and peak bytes, never as time."""

import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple


class Cost(NamedTuple):
    """The cost of a piece of work."""

    calls: int
    """How often functions were called, including those written in C."""
    peak: int
    """The peak of the memory, in bytes."""


def cost_of(work: Callable[[], object]) -> Cost:
    """Do some work and return its cost."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        if event in {"call", "c_call"}:
            calls += 1

    before = sys.getprofile()
    tracemalloc.start()
    try:
        base, _ = tracemalloc.get_traced_memory()
        sys.setprofile(count)
        try:
            work()
        finally:
            sys.setprofile(before)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return Cost(calls, peak - base)


def check_linear(work: Callable[[int], Callable[[], object]], *, size: int) -> None:
    """Check that four times the input costs about four times as much; a square would be sixteen.

    Args:
        work: Prepares an input of some size and returns what to do with it.
        size: The smaller of the two sizes.
    """
    cost_of(work(8))  # imports and caches that are filled once
    small, large = cost_of(work(size)), cost_of(work(4 * size))
    assert large.calls < 7 * small.calls + 1_000, (small, large)
    assert large.peak < 7 * small.peak + 100_000, (small, large)

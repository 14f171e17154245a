"""What work costs, counted: calls of functions and bytes at the peak, never time."""

import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple


class Cost(NamedTuple):
    """What a piece of work took."""

    calls: int
    """How often a function was called, those written in C included."""
    peak: int
    """The most bytes that it held at a time."""


def cost_of(work: Callable[[], object]) -> Cost:
    """Do some work and return what it took."""
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
    """Make sure that four times the input costs about four times as much; a square is sixteen.

    Args:
        work: Prepares an input of some size and returns what to do with it.
        size: The smaller of the two sizes.
    """
    cost_of(work(8))  # what is imported or remembered once
    small, large = cost_of(work(size)), cost_of(work(4 * size))
    assert large.calls < 7 * small.calls + 1_000, (small, large)
    assert large.peak < 7 * small.peak + 100_000, (small, large)

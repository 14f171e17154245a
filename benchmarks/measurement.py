"""Runs workloads in interleaved rounds, so that a drift of the machine affects all of them."""

import asyncio
import gc
import inspect
import statistics
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from .workload import Benchmark, UnavailableError, Workload, WrongResultError

ROUNDS = 7
"""How often each benchmark is measured; odd, so that the median is a round."""


@dataclass(slots=True, kw_only=True)
class Result:
    """The figures of one benchmark."""

    benchmark: Benchmark
    rounds: list[float] = field(default_factory=list)
    """Operations per second, round by round."""
    latencies: list[float] = field(default_factory=list)
    """Seconds per call over all rounds; empty unless the workload asks for them."""

    @property
    def median(self) -> float:
        """The figure to quote, in operations per second."""
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """The difference between the slowest and the fastest round, as a share of the median."""
        return (max(self.rounds) - min(self.rounds)) / self.median

    def percentile_ms(self, percent: int) -> float | None:
        """Return a percentile of the latencies in milliseconds; None when none were taken."""
        if not self.latencies:
            return None
        ordered = sorted(self.latencies)
        return ordered[(len(ordered) - 1) * percent // 100] * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The results of one run."""

    results: list[Result]
    """The figures, in the order of the benchmarks."""
    unavailable: dict[str, str]
    """Why other benchmarks could not run, by name."""


async def measure(benchmarks: Iterable[Benchmark], *, seconds: float) -> Report:
    """Check and warm up every benchmark, then run round 1 of all, round 2 of all, and so on.

    Args:
        benchmarks: What to run.
        seconds: About how long one round of one benchmark takes.

    Raises:
        WrongResultError: A benchmark does not do what it claims.
    """
    results: list[Result] = []
    unavailable: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        stack.callback(gc.unfreeze)
        prepared: list[tuple[Result, Workload[Any, Any], int]] = []
        for benchmark in benchmarks:
            try:
                workload = await stack.enter_async_context(benchmark.prepare())
            except UnavailableError as error:
                unavailable[benchmark.name] = str(error)
                continue
            await _check(benchmark, workload)
            calls = await _warm_up(workload, seconds)
            results.append(Result(benchmark=benchmark))
            prepared.append((results[-1], workload, calls))
        for _ in range(ROUNDS):
            for result, workload, calls in prepared:
                elapsed, latencies = await _run(workload, calls)
                result.rounds.append(calls * workload.units / elapsed)
                result.latencies += latencies
    return Report(results=results, unavailable=unavailable)


async def _check(benchmark: Benchmark, workload: Workload[Any, Any]) -> None:
    (item,) = workload.inputs(1)
    result = workload.operation(item)
    if inspect.isawaitable(result):
        result = await result
    if not workload.check(result):
        raise WrongResultError(f"{benchmark.name} does not do what it claims: it gave {result!r}")


async def _warm_up(workload: Workload[Any, Any], seconds: float) -> int:
    """Run for about one round and return how many calls fill one."""
    calls = workload.concurrency
    elapsed, _ = await _run(workload, calls)
    while elapsed < seconds / 2:
        # The first calls are slow, so the number grows by steps.
        calls = min(calls * 8, max(calls + 1, int(calls * seconds / elapsed)))
        elapsed, _ = await _run(workload, calls)
    return max(workload.concurrency, int(calls * seconds / elapsed))


async def _run(workload: Workload[Any, Any], calls: int) -> tuple[float, list[float]]:
    """Return how long that many calls take, and each of them if the workload asks for it."""
    latencies: list[float] = []
    items = _inputs_out_of_the_way(workload, calls)
    started = perf_counter()
    if workload.concurrency > 1:
        await _run_in_tasks(workload, items, latencies)
    elif workload.is_async:
        await _run_async(workload, items, latencies)
    else:
        _run_sync(workload, items, latencies)
    return perf_counter() - started, latencies


def _inputs_out_of_the_way(workload: Workload[Any, Any], calls: int) -> Sequence[Any]:
    """Make the items; the garbage collector, left on as in production, does not scan them.

    Nor does it scan what is there beside them, until the end of all rounds: in a run of all benchmarks
    the state of the others would cost each round a tenth of a second.
    """
    items = workload.inputs(calls)
    gc.collect()
    gc.freeze()
    return items


def _run_sync(workload: Workload[Any, Any], items: Iterable[Any], latencies: list[float]) -> None:
    operation = workload.operation
    if not workload.latencies:
        for item in items:
            operation(item)
        return
    for item in items:
        started = perf_counter()
        operation(item)
        latencies.append(perf_counter() - started)


async def _run_async(
    workload: Workload[Any, Any], items: Iterable[Any], latencies: list[float]
) -> None:
    operation = workload.operation
    if not workload.latencies:
        for item in items:
            await operation(item)
        return
    for item in items:
        started = perf_counter()
        await operation(item)
        latencies.append(perf_counter() - started)


async def _run_in_tasks(
    workload: Workload[Any, Any], items: Iterable[Any], latencies: list[float]
) -> None:
    shared = iter(items)
    async with asyncio.TaskGroup() as group:
        for _ in range(workload.concurrency):
            group.create_task(_run_async(workload, shared, latencies))

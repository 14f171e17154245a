"""A day's load in one process: many workflows, round after round.

Run: uv run python -m benchmarks.load

Each workflow asks a service twice, over `ConcurrentEventBroker` and `ConcurrentMachineMemory`. It
fails when an answer is wrong or when memory grows from round to round.
"""

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter

from typing_extensions import override

from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory
from arvo_core import ArvoOrchestratorEventFactory
from arvo_event_handler import ExecutionPolicy
from benchmarks.calculator import TOTAL, TOTAL_V1, Add, adder, totaller

_STARTS = ArvoOrchestratorEventFactory(TOTAL.version(TOTAL_V1))
_PAGE = os.sysconf("SC_PAGE_SIZE")
# The allocator keeps some freed memory; growth beyond this share is a leak.
_FLAT = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The figures of one round."""

    workflows: int
    seconds: float
    p50_ms: float
    p99_ms: float
    resident_mb: float

    @override
    def __str__(self) -> str:
        return (
            f"{self.workflows / self.seconds:8,.0f} workflows/s   p50 {self.p50_ms:6.1f} ms   "
            f"p99 {self.p99_ms:6.1f} ms   {self.resident_mb:7.1f} MB"
        )


class Load:
    """Workflows over one broker, a bounded number at a time.

    Args:
        concurrency: How many run at the same time.
        forget_after: How long the memory remembers a finished workflow.
    """

    def __init__(self, *, concurrency: int, forget_after: timedelta) -> None:
        self._concurrency = concurrency
        self.memory = ConcurrentMachineMemory()
        policy = ExecutionPolicy(finished_expiry=forget_after)
        self.broker = ConcurrentEventBroker([adder(), totaller(self.memory, policy=policy)])

    async def round(self, workflows: int) -> Round:
        """Run a number of workflows.

        Raises:
            ArithmeticError: An answer is wrong.
        """
        latencies: list[float] = []
        numbers = iter(range(workflows))
        started = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._concurrency):
                tasks.create_task(self._work(numbers, latencies))
        seconds = perf_counter() - started
        latencies.sort()
        gc.collect()
        return Round(
            workflows=workflows,
            seconds=seconds,
            p50_ms=latencies[len(latencies) // 2] * 1000,
            p99_ms=latencies[len(latencies) * 99 // 100] * 1000,
            resident_mb=_resident() / 1e6,
        )

    async def _work(self, numbers: Iterable[int], latencies: list[float]) -> None:
        for number in numbers:
            started = perf_counter()
            start = _STARTS.init(source="com.benchmark.source", data=Add(a=number, b=3))
            answer = await self.broker.resolve(start)
            latencies.append(perf_counter() - started)
            if answer is None or answer.data != {"total": number + 6.0}:
                raise ArithmeticError(f"workflow {number} answered {answer and answer.data}")


async def run(arguments: argparse.Namespace) -> int:
    """Run all rounds and return the exit status."""
    each = max(1, arguments.workflows // arguments.rounds)
    load = Load(
        concurrency=arguments.concurrency, forget_after=timedelta(seconds=arguments.remember)
    )
    rounds: list[Round] = []
    async with load.broker:
        for number in range(1, arguments.rounds + 1):
            rounds.append(await load.round(each))
            print(f"round {number:2}  {rounds[-1]}   {load.memory.size:,} remembered", flush=True)
    seconds = sum(done.seconds for done in rounds)
    print(f"{each * len(rounds):,} workflows in {seconds:.1f} s, every answer right")
    # The first rounds fill caches and the memory.
    settled = rounds[len(rounds) // 2 :]
    growth = settled[-1].resident_mb / settled[0].resident_mb - 1
    print(f"memory from round {len(rounds) - len(settled) + 1} on: {growth:+.1%}")
    if growth > _FLAT:
        print(f"that is more than {_FLAT:.0%}: memory leaks", file=sys.stderr)
        return 1
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--workflows", type=_positive, default=100_000, help="in all (%(default)s)")
    parser.add_argument("--rounds", type=_positive, default=10, help="(%(default)s)")
    parser.add_argument(
        "--concurrency", type=_positive, default=100, help="workflows at a time (%(default)s)"
    )
    parser.add_argument(
        "--remember",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="how long finished workflows are remembered (%(default)s)",
    )
    return asyncio.run(run(parser.parse_args(arguments)))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return number


def _resident() -> int:
    """Return how many bytes of this process are in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE


if __name__ == "__main__":
    sys.exit(main())

"""What claims cost as timers pile up. Run: python -m benchmarks.growth_timers."""

import argparse
import asyncio
import statistics
from contextlib import AsyncExitStack
from datetime import timedelta
from time import perf_counter

from arvo_event_handler.memory import ITimedMachineMemory
from benchmarks.pending_timers import (
    CLAIMED_TOGETHER,
    HOLD,
    SHORT_HOLD,
    PendingTimers,
    postgres_timers,
    redis_timers,
    sqlite_timers,
)
from benchmarks.workload import WrongResultError

_CALLS = 40
_ROUNDS = 7
_FEW = 100_000
_MEMORIES: dict[str, tuple[PendingTimers, timedelta]] = {
    "sqlite": (sqlite_timers, HOLD),
    "postgres": (postgres_timers, SHORT_HOLD),
    "redis": (redis_timers, SHORT_HOLD),
}


def main() -> None:
    """Fill each memory with some timers and with many, and print how many are claimed in a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timers", type=int, default=1_000_000, help="how many are many")
    asyncio.run(_compare(parser.parse_args().timers))


async def _compare(many: int) -> None:
    for name, (filled, hold) in _MEMORIES.items():
        async with AsyncExitStack() as stack:
            memories = [await stack.enter_async_context(filled(n)) for n in [_FEW, many]]
            taken: list[list[float]] = [[] for _ in memories]
            for _ in range(_ROUNDS):
                for memory, times in zip(memories, taken, strict=True):
                    times.append(await _seconds_per_claim(memory, hold))
            few, all_ = (CLAIMED_TOGETHER / statistics.median(times) for times in taken)
            print(
                f"timers.{name}.claim {few:9,.0f}/s at {_FEW:,} {all_:9,.0f}/s at {many:,}"
                f"  ratio {all_ / few:.2f}",
                flush=True,
            )


async def _seconds_per_claim(memory: ITimedMachineMemory, hold: timedelta) -> float:
    started = perf_counter()
    for _ in range(_CALLS):
        claimed = await memory.claim_due(limit=CLAIMED_TOGETHER, hold=hold)
        if len(claimed) != CLAIMED_TOGETHER:
            raise WrongResultError(f"{len(claimed)} timers were claimed")
    return (perf_counter() - started) / _CALLS


if __name__ == "__main__":
    main()

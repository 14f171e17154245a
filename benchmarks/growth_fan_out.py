"""What an answer costs as requests pile up. Run: python -m benchmarks.growth_fan_out."""

import asyncio
import gc
import statistics
import time

from arvo_concurrent import ConcurrentMachineMemory
from arvo_event_handler import ExecutionPolicy
from benchmarks.fan_out import Style, orchestrator, resumable, run, start

_SIZES = (10, 100, 300, 1000)
_ROUNDS = 9
_ANSWERS = 1000


def main() -> None:
    """Run workflows that ask few and many at once, and print the CPU time of each of them."""
    asyncio.run(_compare())


async def _compare() -> None:
    for style in (resumable, orchestrator):
        for requests in _SIZES:
            times = [await _seconds(style, requests) for _ in range(_ROUNDS)]
            median = statistics.median(times)
            print(
                f"{style.__name__}.fanout.{requests:<5} {median * 1000:7.2f} ms"
                f" ({min(times) * 1000:.2f} to {max(times) * 1000:.2f}),"
                f" {median / requests * 1_000_000:.0f} us an answer",
                flush=True,
            )


async def _seconds(style: Style, requests: int) -> float:
    """Return the CPU time of one workflow, its service's answers included."""
    handler = style(ConcurrentMachineMemory(), ExecutionPolicy())
    workflows = max(1, _ANSWERS // requests)
    gc.collect()
    began = time.process_time()
    for _ in range(workflows):
        [done] = await run(handler, start(requests))
        if done.data != {"total": requests}:
            raise RuntimeError(f"expected a total of {requests}, got {done.data}")
    return (time.process_time() - began) / workflows


if __name__ == "__main__":
    main()

"""What a worker of reactions that has nothing to do asks. Run: python -m benchmarks.idle_reactions."""

import argparse
import asyncio
import time

from arvo_event_store import Event, Lane, NewEvent, Reaction, ReactionCall, ReactionWorker
from arvo_time.testing import SpanRecorder
from benchmarks.event_stores import EVENT_STORES

_LANES = [f"lane-{number}" for number in range(5)]
_UNTIL_IT_RESTS = 3.0  # seconds; by then it has stored how far all reactions are


def main() -> None:
    """Print for each store how many queries a worker of five lanes sends; the goal is at most 3 a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="how long to watch it")
    asyncio.run(_watch(parser.parse_args().seconds))


async def _watch(seconds: float) -> None:
    # The store in memory has no server or file that could be asked.
    for name in sorted(EVENT_STORES.keys() - {"memory"}):
        async with EVENT_STORES[name]() as store:
            await store.append("a", [NewEvent("Added", 1)])
            worker = ReactionWorker(
                store,
                group="idle",
                reactions=[
                    Reaction(name=lane, on=[Event], handler=_nothing, lane=lane) for lane in _LANES
                ],
                lanes={lane: Lane() for lane in _LANES},
            )
            async with worker:
                await worker.settle()
                await asyncio.sleep(_UNTIL_IT_RESTS)
                with SpanRecorder() as spans:  # each query is one
                    busy = time.process_time()
                    await asyncio.sleep(seconds)
                    busy = time.process_time() - busy
                sent = len(spans.spans)
        print(
            f"idle.event_store.{name}: {sent / seconds:.1f} queries/s of a worker with 5 lanes,"
            f" {busy / seconds:.2%} of a core",
            flush=True,
        )


async def _nothing(_: ReactionCall[Event]) -> None: ...


if __name__ == "__main__":
    main()

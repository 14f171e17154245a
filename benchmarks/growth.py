"""Bytes that a workflow takes in memory. Run: uv run python -m benchmarks.growth."""

import asyncio
import gc
import tracemalloc
from datetime import timedelta

from arvo_concurrent import ConcurrentMachineMemory
from arvo_event_handler.memory import Record
from arvo_event_handler.testing import record_write
from benchmarks.suite.memory import record_of
from benchmarks.workload import WrongResultError

_WORKFLOWS = 10_000
_DAY = timedelta(days=1)

FINISHED: Record = {
    "executionStatus": "normal",
    "status": "done",
    "initEventId": "0" * 32,
    "parentSubject": None,
    "subject": "order-00000000",
    "redelivery": {"completion": "0" * 32},
}
"""The record of a finished workflow."""


async def bytes_each(record: Record, *, expires_in: timedelta | None, held: bool = False) -> int:
    """Return the bytes that a memory allocates for each workflow with such a record.

    Args:
        record: What each one commits.
        expires_in: As for `commit`.
        held: Whether it is leased as well, as while a step runs. Counts the lease and its record.
    """
    gc.collect()
    tracemalloc.start()
    try:
        memory = ConcurrentMachineMemory()
        leases = []
        before, _ = tracemalloc.get_traced_memory()
        for number in range(_WORKFLOWS):
            machine_id = f"order-{number:08}"
            lease = await memory.acquire(machine_id)
            if lease is None:
                raise WrongResultError(f"{machine_id} already has a holder")
            await memory.commit(lease, record_write(record, expires_in=expires_in))
            if held:
                leases.append(await memory.acquire(machine_id))
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if memory.size != _WORKFLOWS:
        raise WrongResultError(f"{memory.size} records are stored, not {_WORKFLOWS}")
    return round((after - before) / _WORKFLOWS)


async def main() -> None:
    """Print the figures."""
    for size in (1_000, 2_000):
        record = record_of(size)
        print(f"live workflow, {size} B record: {await bytes_each(record, expires_in=None)} B")
        held = await bytes_each(record, expires_in=None, held=True)
        print(f"the same while a step holds it: {held} B")
    print(f"finished workflow that expires: {await bytes_each(FINISHED, expires_in=_DAY)} B")


if __name__ == "__main__":
    asyncio.run(main())

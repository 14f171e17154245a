"""What a step on PostgreSQL costs as workflows pile up. Run: python -m benchmarks.growth_postgres."""

import argparse
import asyncio
import random
import statistics
from time import perf_counter

import asyncpg

from arvo_event_handler.memory import Record, encode_record
from arvo_event_handler.testing import record_write
from arvo_memory_postgres import PostgresMachineMemory
from arvo_memory_postgres._rows import machine_key
from real_servers import PostgresServer

_RECORD: Record = {"status": "active", "note": "x" * 2000}
_WRITE = record_write(_RECORD)
_STEPS = 1000
_ROUNDS = 5


def main() -> None:
    """Fill the table in powers of ten and print what a step costs at each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, default=1_000_000, help="the last size")
    asyncio.run(_grow(parser.parse_args().machines))


async def _grow(last: int) -> None:
    with PostgresServer.start(options={"shared_buffers": "128MB"}) as server:
        async with PostgresMachineMemory.connect(server.dsn) as memory:
            await memory.migrate()
            filled, size = 0, 10
            while filled < last:
                size = min(size, last)
                await _fill(server.dsn, filled, size)
                filled, size = size, size * 10
                rate = await _steps_per_second(memory, workflows=filled)
                print(f"{filled:>10,} workflows  {rate:>8,.0f} steps/s", flush=True)


async def _fill(dsn: str, first: int, end: int) -> None:
    """Make the rows that real steps would have left."""
    state = encode_record(_RECORD)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.copy_records_to_table(
            "machines",
            schema_name="arvo",
            columns=["key", "machine_id", "version", "codec", "state", "status"],
            records=(
                (machine_key(_id(n)), _id(n), 1, "json", state, "active") for n in range(first, end)
            ),
        )
        # The filling's maintenance is done now, and not while the steps are timed.
        await connection.execute("VACUUM ANALYZE arvo.machines")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def _id(number: int) -> str:
    return f"order-{number}"


async def _steps_per_second(memory: PostgresMachineMemory, *, workflows: int) -> float:
    """Step through workflows drawn from all of them, so that no cache helps more than it would."""
    chance = random.Random(7)  # noqa: S311
    rounds: list[float] = []
    for _ in range(_ROUNDS):
        ids = [_id(chance.randrange(workflows)) for _ in range(_STEPS)]
        started = perf_counter()
        for machine_id in ids:
            lease = await memory.acquire(machine_id)
            if lease is None:
                raise RuntimeError(f"{machine_id} is leased, although there is no other client")
            if lease.record is None:
                raise RuntimeError(f"{machine_id} was not found among those that were made")
            await memory.commit(lease, _WRITE)
        rounds.append(_STEPS / (perf_counter() - started))
    return statistics.median(rounds)


if __name__ == "__main__":
    main()

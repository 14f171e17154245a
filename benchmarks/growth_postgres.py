"""What a step on PostgreSQL costs as workflows pile up. Run: python -m benchmarks.growth_postgres."""

import argparse
import asyncio
import random
import statistics
from time import perf_counter

import asyncpg

from arvo_event_handler import Record
from arvo_memory_postgres import PostgresMachineMemory
from real_servers import PostgresServer

_RECORD: Record = {"status": "active", "note": "x" * 2000}
_STEPS = 1000
_ROUNDS = 5

# The rows that real steps would have left, made by the server.
_FILL = """
INSERT INTO arvo.machines (key, machine_id, version, codec, state, status)
SELECT decode(md5(n::text), 'hex'), 'filler-' || n, 1, 'json',
    convert_to('{"note":"' || repeat('x', 2000) || '"}', 'UTF8'), 'active'
FROM generate_series($1::bigint, $2::bigint - 1) AS n"""


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
                rate = await _steps_per_second(memory)
                print(f"{filled:>10,} workflows  {rate:>8,.0f} steps/s")


async def _fill(dsn: str, first: int, end: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_FILL, first, end)
    finally:
        await connection.close()


async def _steps_per_second(memory: PostgresMachineMemory) -> float:
    chance = random.Random(7)  # noqa: S311
    ids = [f"order-{chance.randrange(10_000)}" for _ in range(_STEPS)]
    rounds: list[float] = []
    for _ in range(_ROUNDS):
        started = perf_counter()
        for machine_id in ids:
            lease = await memory.acquire(machine_id)
            if lease is None:
                raise RuntimeError(f"{machine_id} is leased, and nobody else is here")
            await memory.commit(lease, _RECORD)
        rounds.append(_STEPS / (perf_counter() - started))
    return statistics.median(rounds)


if __name__ == "__main__":
    main()

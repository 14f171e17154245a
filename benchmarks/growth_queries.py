"""What a page costs as workflows pile up. Run: python -m benchmarks.growth_queries."""

import argparse
import asyncio
import sqlite3
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import asyncpg

from arvo_event_handler.memory import IWorkflowQueries, WorkflowQuery
from arvo_memory_postgres import PostgresMachineMemory
from arvo_memory_sqlite import SqliteMachineMemory
from real_servers import PostgresServer

_MIDDLE = WorkflowQuery(started_before=datetime(2030, 5, 6, tzinfo=UTC) + timedelta(seconds=5))
_CALLS = 40
_ROUNDS = 5
_FEW = 1000

# The rows that real workflows would have left: one in a thousand has not ended, one in a hundred has
# failed. Seven services take turns.
_SQLITE_FILL = """
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
INSERT INTO machine (id, version, status, key, source, contract_version, initiator, root,
    created_at, updated_at, codec, state)
SELECT 'order-' || n, 3,
    CASE WHEN n % 1000 = 0 THEN 'active' WHEN n % 100 = 0 THEN 'failure' ELSE 'done' END,
    'key-' || n, 'arvo.orc.service' || (n % 7), '1.0.0', 'com.app.main', 'order-' || n,
    1904256000000 + n * 10, 1904256000000 + n * 10 + 5000, 'json', zeroblob(700)
FROM numbers
"""
_POSTGRES_FILL = """
INSERT INTO arvo.machines (key, machine_id, version, status, workflow_key, source, contract_version,
    initiator, root, created_at, updated_at, codec, state)
SELECT decode(md5(n::text), 'hex'), 'order-' || n, 3,
    CASE WHEN n % 1000 = 0 THEN 'active' WHEN n % 100 = 0 THEN 'failure' ELSE 'done' END,
    'key-' || n, 'arvo.orc.service' || (n % 7), '1.0.0', 'com.app.main', 'order-' || n,
    timestamptz '2030-05-06' + n * interval '10 ms', timestamptz '2030-05-06' + n * interval '15 ms',
    'json', convert_to(repeat(md5(n::text), 22), 'UTF8')
FROM generate_series(1, $1::int) AS n
"""


def main() -> None:
    """Fill each memory with a few workflows and with many, and print what questions cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, default=1_000_000, help="how many are many")
    asyncio.run(_compare(parser.parse_args().machines))


async def _compare(many: int) -> None:
    async with AsyncExitStack() as stack:
        for name, opened in {"sqlite": _sqlite, "postgres": _postgres}.items():
            few_of_them = await stack.enter_async_context(opened(_FEW))
            all_of_them = await stack.enter_async_context(opened(many))
            for question, ask in _QUESTIONS.items():
                few, all_ = await _milliseconds(ask, [few_of_them, all_of_them])
                print(
                    f"memory.{name}.query.{question:18} {few:7.2f} ms at {_FEW:,}"
                    f" {all_:7.2f} ms at {many:,}  ratio {all_ / few:.2f}",
                    flush=True,
                )


async def _milliseconds(
    ask: Callable[[IWorkflowQueries], Awaitable[object]], memories: list[IWorkflowQueries]
) -> list[float]:
    """Return the median time of a question, asked of the memories in turns."""
    taken: dict[int, list[float]] = {index: [] for index in range(len(memories))}
    for _ in range(_ROUNDS):
        for index, memory in enumerate(memories):
            for _ in range(_CALLS):
                started = perf_counter()
                await ask(memory)
                taken[index].append((perf_counter() - started) * 1000)
    return [statistics.median(times) for times in taken.values()]


_QUESTIONS: dict[str, Callable[[IWorkflowQueries], Awaitable[object]]] = {
    "newest": lambda memory: memory.workflows(WorkflowQuery()),
    "oldest": lambda memory: memory.workflows(WorkflowQuery(), oldest_first=True),
    "middle": lambda memory: memory.workflows(_MIDDLE),
    "done": lambda memory: memory.workflows(WorkflowQuery(status={"done"})),
    "not_done": lambda memory: memory.workflows(WorkflowQuery(status={"active", "failure"})),
    "source": lambda memory: memory.workflows(WorkflowQuery(source="arvo.orc.service3")),
    "key": lambda memory: memory.workflows(WorkflowQuery(key="key-700")),
    "count": lambda memory: memory.count(WorkflowQuery()),
}


@asynccontextmanager
async def _sqlite(workflows: int) -> AsyncIterator[IWorkflowQueries]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        async with SqliteMachineMemory.connect(path, synchronous="normal") as memory:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute(_SQLITE_FILL, (workflows,))
                connection.commit()
            yield memory


@asynccontextmanager
async def _postgres(workflows: int) -> AsyncIterator[IWorkflowQueries]:
    with PostgresServer.start(options={"shared_buffers": "128MB"}) as server:
        async with PostgresMachineMemory.connect(server.dsn) as memory:
            await memory.migrate()
            connection = await asyncpg.connect(server.dsn)
            try:
                await connection.execute(_POSTGRES_FILL, workflows)
                await connection.execute("VACUUM ANALYZE arvo.machines")
            finally:
                await connection.close()
            yield memory


if __name__ == "__main__":
    main()

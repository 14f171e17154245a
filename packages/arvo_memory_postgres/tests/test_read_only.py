"""Opened read-only, a memory shows what is there, and changes neither data nor schema."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import MachineLease, WorkflowQuery, connect_memory
from arvo_event_handler.testing import record_write
from arvo_memory_postgres import PostgresMachineMemory

from .conftest import Connect, execute, fetch, on_its_connection, quoted

LEASE = MachineLease(machine_id="order-7", owner="me", version=1, record={})
WRITES: dict[str, Callable[[PostgresMachineMemory], Awaitable[object]]] = {
    "acquire": lambda memory: memory.acquire("order-7"),
    "lock": lambda memory: memory.lock("order-7"),
    "unlock": lambda memory: memory.unlock("order-7"),
    "commit": lambda memory: memory.commit(LEASE, record_write({})),
    "release": lambda memory: memory.release(LEASE),
    "renew": lambda memory: memory.renew(LEASE),
    "write": lambda memory: memory.write("order-7", {}, {"n": 1}),
    "claim_due": lambda memory: memory.claim_due(limit=1, hold=timedelta(seconds=30)),
    "cleanup": lambda memory: memory.cleanup("order-7"),
    "migrate": lambda memory: memory.migrate(),
}


async def test_a_read_only_memory_shows_and_writes_nothing(connect_to: Connect) -> None:
    async with connect_to() as writer, connect_to(read_only=True, pool_size=1) as memory:
        await writer.write("order-7", {"n": 1}, None)
        assert await memory.read("order-7") == {"n": 1}
        assert await memory.next_due() is None
        page = await memory.workflows(WorkflowQuery())
        assert [each.subject for each in page.workflows] == ["order-7"]
        for call in WRITES.values():
            with pytest.raises(MachineMemoryError, match="was opened read-only") as caught:
                await call(memory)
            assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
        # The server would refuse it as well.
        [[setting]] = await on_its_connection(memory, "SHOW transaction_read_only")
        assert setting == "on"
        assert await writer.read("order-7") == {"n": 1}


@pytest.mark.parametrize(
    ("version", "message"), [(0, "is missing"), (1, "has version 1, older than 5")]
)
async def test_an_older_schema_is_refused_with_the_command_that_mends_it(
    postgres_dsn: str, no_schema: str, version: int, message: str
) -> None:
    if version == 1:
        sql = Path(__file__).with_name("schema_1.sql").read_text("utf-8")
        await execute(postgres_dsn, sql.replace('"shop"', quoted(no_schema)))
    remedy = r"run `arvo memory migrate --memory URL`"
    with pytest.raises(MachineMemoryError, match=f"{message}; {remedy}") as caught:
        async with PostgresMachineMemory.connect(postgres_dsn, schema=no_schema, read_only=True):
            pass
    assert caught.value.retryable is False
    url = f"{postgres_dsn}?schema={no_schema}&read_only=true"
    with pytest.raises(MachineMemoryError, match=remedy):
        async with connect_memory(url):
            pass
    if version == 0:
        with pytest.raises(asyncpg.UndefinedTableError):
            await fetch(postgres_dsn, f"SELECT FROM {no_schema}.machines")

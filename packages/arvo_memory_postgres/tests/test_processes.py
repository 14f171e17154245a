"""Several processes on one table."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from arvo_event_handler import TransactionViolation
from arvo_event_handler.testing import record_write

from .conftest import Connect, fetch, quoted

PROCESSES = 8

MIGRATE = """
import asyncio, sys
from arvo_memory_postgres import PostgresMachineMemory

async def main(dsn, schema):
    async with PostgresMachineMemory.connect(dsn, schema=schema) as memory:
        print("ready", flush=True)
        sys.stdin.readline()
        print("made" if await memory.migrate() else "found", flush=True)
        assert await memory.read("order-7") is None

asyncio.run(main(*sys.argv[1:]))
"""

HOLD = """
import asyncio, sys
from datetime import timedelta
from arvo_event_handler import TransactionViolation
from arvo_event_handler.memory import LockPolicy
from arvo_event_handler.testing import record_write
from arvo_memory_postgres import PostgresMachineMemory

async def main(dsn, schema):
    policy = LockPolicy(ttl=timedelta(milliseconds=300))
    async with PostgresMachineMemory.connect(dsn, schema=schema, policy=policy) as memory:
        lease = await memory.acquire("order-7")
        print("held", flush=True)
        sys.stdin.readline()
        try:
            await memory.commit(lease, record_write({"by": "holder"}))
            print("stored", flush=True)
        except TransactionViolation as violation:
            print(violation.cause.name, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


class Process:
    """A program that prints and reads lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    @classmethod
    @asynccontextmanager
    async def start(cls, program: str, *args: str) -> "AsyncIterator[Process]":
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-c", program, *args],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield cls(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            if process.returncode is None:
                process.kill()
            await process.wait()


async def test_eight_processes_migrate_concurrently(postgres_dsn: str, no_schema: str) -> None:
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(Process.start(MIGRATE, postgres_dsn, no_schema))
            for _ in range(PROCESSES)
        ]
        assert [await each.says() for each in processes] == ["ready"] * PROCESSES
        for each in processes:
            each.go_on()
        said = sorted([await each.says() for each in processes])
        assert said == ["found"] * (PROCESSES - 1) + ["made"]
        assert [await each.process.wait() for each in processes] == [0] * PROCESSES
    made = await fetch(postgres_dsn, f"SELECT version FROM {quoted(no_schema)}.machines_migrations")
    assert [row["version"] for row in made] == [1, 2, 3, 4, 5]


async def test_the_commit_of_a_holder_stopped_past_its_ttl_is_refused_if_another_wrote(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    """It wakes up and commits over a record that the next holder wrote, and changes nothing."""
    async with Process.start(HOLD, postgres_dsn, schema) as holder, connect_to() as memory:
        assert await holder.says() == "held"
        holder.process.send_signal(signal.SIGSTOP)
        # Waits until the lease has run out, by the clock of the database.
        lease = await memory.acquire("order-7")
        assert lease is not None
        await memory.commit(lease, record_write({"by": "taker"}))
        holder.go_on()
        holder.process.send_signal(signal.SIGCONT)
        assert await holder.says() == "VERSION_MOVED"
        assert await memory.read("order-7") == {"by": "taker"}


async def test_the_commit_of_a_holder_stopped_past_its_ttl_is_stored_if_it_is_the_first(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    """Another holder has taken its place and has not committed yet."""
    async with Process.start(HOLD, postgres_dsn, schema) as holder, connect_to() as memory:
        assert await holder.says() == "held"
        holder.process.send_signal(signal.SIGSTOP)
        lease = await memory.acquire("order-7")
        assert lease is not None
        holder.go_on()
        holder.process.send_signal(signal.SIGCONT)
        assert await holder.says() == "stored"
        with pytest.raises(TransactionViolation, match="VERSION_MOVED"):
            await memory.commit(lease, record_write({"by": "taker"}))
        assert await memory.read("order-7") == {"by": "holder"}

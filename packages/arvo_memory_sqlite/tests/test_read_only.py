"""Opened read-only, a memory shows what is there, and changes neither the file nor its schema."""

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import LockPolicy, MachineLease, WorkflowQuery, connect_memory
from arvo_event_handler.testing import record_write
from arvo_memory_sqlite import SqliteMachineMemory
from arvo_memory_sqlite._schema import MACHINE
from arvo_sqlite import Component, SqliteClient

from .test_processes import output, start

LEASE = MachineLease(machine_id="order-7", owner="me", version=1, record={})
WRITES: dict[str, Callable[[SqliteMachineMemory], Awaitable[object]]] = {
    "ACQUIRE": lambda memory: memory.acquire("order-7"),
    "LOCK": lambda memory: memory.lock("order-7"),
    "COMMIT": lambda memory: memory.commit(LEASE, record_write({})),
    "RELEASE": lambda memory: memory.release(LEASE),
    "RENEW": lambda memory: memory.renew(LEASE),
    "WRITE": lambda memory: memory.write("order-7", {}, None),
    "UNLOCK": lambda memory: memory.unlock("order-7"),
    "CLEANUP": lambda memory: memory.cleanup("order-7"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


async def test_a_read_only_memory_shows_what_others_write(path: Path) -> None:
    async with SqliteMachineMemory.connect(path, synchronous="normal") as writer:
        await writer.write("order-7", {"n": 1}, None)
        async with SqliteMachineMemory.connect(path, read_only=True) as memory:
            assert memory.is_still is False
            assert await memory.read("order-7") == {"n": 1}
            await writer.write("order-8", {}, None)
            page = await memory.workflows(WorkflowQuery())
            assert [each.subject for each in page.workflows] == ["order-8", "order-7"]


async def test_a_read_only_memory_refuses_what_writes(path: Path) -> None:
    policy = LockPolicy(max_wait=timedelta(0))
    async with SqliteMachineMemory.connect(path) as memory:
        await memory.write("order-7", {"n": 1}, None)
    before = path.read_bytes()  # noqa: ASYNC240 - nothing else runs
    async with SqliteMachineMemory.connect(path, read_only=True, policy=policy) as memory:
        for call in WRITES.values():
            with pytest.raises(MachineMemoryError, match="was opened read-only") as caught:
                await call(memory)
            assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
        assert await memory.read("order-7") == {"n": 1}
    assert path.read_bytes() == before  # noqa: ASYNC240 - nothing else runs


async def test_the_url_opens_read_only(path: Path) -> None:
    async with SqliteMachineMemory.connect(path) as memory:
        await memory.write("order-7", {"n": 1}, None)
    async with connect_memory(f"sqlite:///{path}?read_only=true") as opened:
        with pytest.raises(MachineMemoryError, match="was opened read-only"):
            await opened.write("order-7", {"n": 2}, {"n": 1})
    with pytest.raises(ValueError, match="read_only must be true or false"):
        connect_memory(f"sqlite:///{path}?read_only=yes")


@pytest.mark.parametrize("before", [1, 2, 4])
async def test_an_older_schema_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, before: int
) -> None:
    path = tmp_path / "my state.db"
    older = replace(MACHINE, migrations=MACHINE.migrations[:before])
    async with SqliteClient.connect(path, components=[older]):
        pass
    kept = path.read_bytes()
    address = str(path).replace(" ", "%20")
    message = (
        f"the file has schema version {before} of the machine memory, older than 5; "
        f"run `arvo memory migrate --memory sqlite:///{address}`"
    )
    with pytest.raises(MachineMemoryError, match=message) as caught:
        async with SqliteMachineMemory.connect(path, read_only=True):
            pass
    assert caught.value.retryable is False
    assert path.read_bytes() == kept


@pytest.mark.parametrize("made_by", ["nobody", "others", "another component"])
async def test_a_file_without_a_memory_is_refused_and_not_made_one(
    path: Path, made_by: str
) -> None:
    message = "there is no such file"
    if made_by == "others":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE mine (id)")
        message = "was not made by Arvo"
    if made_by == "another component":
        other = Component(
            name="other",
            title="other",
            package="other",
            migrations=(("CREATE TABLE other (id TEXT)",),),
        )
        async with SqliteClient.connect(path, components=[other]):
            pass
        message = "the file has no machine memory; run `arvo memory migrate"
    with pytest.raises(MachineMemoryError, match=message):
        async with SqliteMachineMemory.connect(path, read_only=True):
            pass
    assert path.exists() is (made_by != "nobody")  # noqa: ASYNC240 - nothing else runs


async def test_without_a_file_there_is_nothing_to_read() -> None:
    with pytest.raises(ValueError, match="read_only needs a file"):
        async with SqliteMachineMemory.connect(":memory:", read_only=True):
            pass


@pytest.fixture
def guarded() -> Iterator[Path]:
    """Return a file in a folder that the process of the test may not write."""
    # Not in pytest's folder, which other users may not enter.
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        yield path


async def test_in_a_folder_that_cannot_be_written_the_file_is_shown_as_it_was(
    guarded: Path,
) -> None:
    async with SqliteMachineMemory.connect(guarded) as memory:
        await memory.write("order-7", {}, None)
    guarded.parent.chmod(0o755)
    guarded.chmod(0o644)  # noqa: ASYNC240 - nothing else runs
    looker = start("look", guarded)
    assert looker.stdin is not None
    assert looker.stdout is not None
    assert looker.stdout.readline() == "still=True order-7\n"
    async with SqliteMachineMemory.connect(guarded) as memory:
        await memory.write("order-8", {}, None)
        looker.stdin.write("\n")
        looker.stdin.flush()
        [said] = output(looker)
    assert "another program has begun to write; open the file again" in said

"""The file: its permissions, what it must be, and how it gets a newer schema."""

import asyncio
import gzip
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import WorkflowQuery
from arvo_event_handler.testing import record_write
from arvo_memory_sqlite import SqliteMachineMemory, _memory, _schema
from arvo_sqlite import Component, SqliteClient
from arvo_time.testing import FakeClock

from .inside import writer_of
from .writer_process import FURTHER, with_version


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder / "state.db"


@pytest.fixture
async def memory(path: Path) -> AsyncIterator[SqliteMachineMemory]:
    async with SqliteMachineMemory.connect(path) as memory:
        yield memory


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def of(path: Path, what: str) -> object:
    """Return the first column of the first row."""
    connection = sqlite3.connect(path)
    (answer,) = connection.execute(what).fetchone()
    connection.close()
    return answer


async def test_the_file_and_its_companions_are_private_to_their_user(
    memory: SqliteMachineMemory, path: Path
) -> None:
    await memory.write("order-7", {}, None)
    assert names(path.parent) == ["state.db", "state.db-shm", "state.db-wal"]
    assert modes(path.parent) == {0o600}


@pytest.mark.parametrize(("level", "number"), [("full", 2), ("normal", 1)])
async def test_leases_are_not_flushed_and_records_are(path: Path, level: str, number: int) -> None:
    """2 is FULL, 1 is NORMAL: a lease need not survive a crash of its holder's machine."""
    async with SqliteMachineMemory.connect(path, synchronous=level) as memory:  # type: ignore[arg-type]

        def synchronous(connection: sqlite3.Connection) -> int:
            (value,) = connection.execute("PRAGMA synchronous").fetchone()
            return int(value)

        assert await writer_of(memory).submit(synchronous, durable=True) == number
        assert await writer_of(memory).submit(synchronous, durable=False) == 1
        assert await writer_of(memory).submit(synchronous, durable=True) == number


@pytest.mark.parametrize(
    ("path", "synchronous", "message"),
    [("", "full", "path must not be empty"), (":memory:", "off", "'full' or 'normal', got 'off'")],
)
async def test_a_wrong_argument_of_connect_is_refused(
    path: str, synchronous: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        async with SqliteMachineMemory.connect(path, synchronous=synchronous):  # type: ignore[arg-type]
            pass


def test_a_memory_without_a_client_points_to_connect() -> None:
    with pytest.raises(TypeError, match=r"async with SqliteMachineMemory\.connect"):
        SqliteMachineMemory()


async def test_a_folder_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "state.db"
    with pytest.raises(MachineMemoryError, match=f"{path}: No such file") as caught:
        async with SqliteMachineMemory.connect(path):
            pass
    assert caught.value.retryable is False


async def test_a_newer_schema_is_refused_and_not_changed(path: Path) -> None:
    async with SqliteMachineMemory.connect(path) as memory:
        await memory.write("order-7", {}, None)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(MachineMemoryError, match=r"schema version 99.*install a newer") as caught:
        async with SqliteMachineMemory.connect(path):
            pass
    assert caught.value.retryable is False
    assert of(path, "SELECT count(*) FROM machine") == 1


async def test_a_database_of_another_program_is_refused_and_not_changed(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE invoice (id)")
    connection.close()
    before = path.read_bytes()  # noqa: ASYNC240 - nothing else runs
    with pytest.raises(MachineMemoryError, match="was not made by Arvo"):
        async with SqliteMachineMemory.connect(path):
            pass
    assert path.read_bytes() == before  # noqa: ASYNC240


async def test_a_file_that_is_not_a_database_is_reported(path: Path) -> None:
    path.write_text("Dear customer,\n" * 500)  # noqa: ASYNC240 - before anything runs
    with pytest.raises(MachineMemoryError, match="file is not a database") as caught:
        async with SqliteMachineMemory.connect(path):
            pass
    assert caught.value.retryable is False


async def test_a_dangling_link_creates_its_target_private_to_its_user(
    tmp_path: Path, path: Path
) -> None:
    (tmp_path / "link.db").symlink_to(path)
    async with SqliteMachineMemory.connect(tmp_path / "link.db") as memory:
        await memory.write("order-7", {}, None)
        assert modes(path.parent) == {0o600}


async def test_a_process_may_change_its_working_directory(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections are opened when they are needed, all to the same file."""
    monkeypatch.chdir(path.parent)
    async with SqliteMachineMemory.connect("state.db") as memory:
        await memory.write("order-7", {"count": 1}, None)
        monkeypatch.chdir(tmp_path)
        assert await memory.read("order-7") == {"count": 1}
    assert names(tmp_path) == ["data"]


async def test_a_file_that_was_removed_is_not_created_again(
    memory: SqliteMachineMemory, path: Path
) -> None:
    """In an empty file no workflow would be found, and all would start again."""
    os.rename(path, f"{path}.taken")
    with pytest.raises(MachineMemoryError, match="unable to open database file"):
        await memory.read("order-7")
    assert path.name not in names(path.parent)


async def test_opening_may_be_cancelled_at_every_await(path: Path) -> None:
    others, cancelled = asyncio.all_tasks(), 0
    for turns in range(8):
        manager = SqliteMachineMemory.connect(path)
        opening = asyncio.ensure_future(manager.__aenter__())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        if opening.cancelled():
            cancelled += 1
        else:
            await manager.__aexit__(None, None, None)
    while left := asyncio.all_tasks() - others:
        await asyncio.wait(left)
    assert cancelled
    # Closing the last connection removes the write-ahead log.
    assert names(path.parent) == ["state.db"]


async def test_a_call_that_waits_too_long_for_another_process_may_be_retried(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_memory, "BUSY_TIMEOUT", timedelta(milliseconds=20))
    async with SqliteMachineMemory.connect(path) as memory:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(MachineMemoryError, match="database is locked") as caught:
            await memory.write("order-7", {"count": 1}, None)
        assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
        assert await memory.read("order-7") is None
        other.execute("ROLLBACK")
        await memory.write("order-7", {"count": 1}, None)
        other.close()


# --- the schema ----------------------------------------------------------------

OTHER = Component(
    name="other", title="other", package="other", migrations=(("CREATE TABLE other (id TEXT)",),)
)


@pytest.fixture
def first_version(path: Path) -> Path:
    """Return a file that was made before there were components."""
    path.write_bytes(gzip.decompress(Path(__file__).with_name("machine_1.db.gz").read_bytes()))
    return path


async def test_a_file_of_the_first_version_becomes_one_of_the_present_version(
    first_version: Path,
) -> None:
    async with SqliteMachineMemory.connect(first_version, clock=FakeClock()) as memory:
        record = await memory.read("order-7")
        assert record is not None
        assert record["count"] == 8
        page = await memory.workflows(WorkflowQuery(root="order-7"))
        assert [(each.subject, each.status, each.record_version) for each in page.workflows] == [
            ("order-8", "done", 1),
            ("order-7", "active", 2),
        ]
        lease = await memory.acquire("order-7")
        assert lease is not None
        assert (lease.record, lease.tail, list(lease.chunks)) == (record, b"", [])
        await memory.commit(lease, record_write(record, tail=b"tail", chunk=b"chunk"))
        again = await memory.acquire("order-7")
        assert again is not None
        assert again.version == lease.version + 1
        assert (again.tail, list(again.chunks)) == (b"tail", [(1, b"chunk")])
    assert of(first_version, "PRAGMA user_version") == 5


async def test_a_file_of_the_first_version_has_the_tables_of_a_new_one_afterwards(
    path: Path, first_version: Path
) -> None:
    async with SqliteMachineMemory.connect(first_version):
        pass
    migrated = list(contents(first_version))
    path.unlink()  # noqa: ASYNC240 - nothing else runs
    async with SqliteMachineMemory.connect(path):
        pass
    assert list(contents(path)) == migrated


def contents(path: Path) -> Iterator[object]:
    for setting in ("application_id", "user_version", "page_size", "encoding"):
        yield of(path, f"PRAGMA {setting}")
    connection = sqlite3.connect(path)
    yield from connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    connection.close()


async def test_adding_another_component_does_not_change_user_version(
    first_version: Path,
) -> None:
    """An older program reads only `user_version`, and finds a version that it supports."""
    client = SqliteClient.connect(first_version, components=[OTHER])
    async with client as opened:
        await opened.write(
            lambda connection: connection.execute("INSERT INTO other VALUES (1)"),
            name="ADD",
            collection="other",
        )
    assert of(first_version, "PRAGMA user_version") == 1
    async with SqliteMachineMemory.connect(first_version) as memory:
        await memory.write("order-9", {"count": 1}, None)
    assert of(first_version, "SELECT count(*) FROM other") == 1
    assert of(first_version, "SELECT count(*) FROM machine") == 3


async def test_a_machine_memory_can_be_added_to_a_file_of_another_component(path: Path) -> None:
    async with SqliteClient.connect(path, components=[OTHER]):
        pass
    assert of(path, "PRAGMA user_version") == 0
    async with SqliteMachineMemory.connect(path) as memory:
        await memory.write("order-7", {"count": 1}, None)
    assert of(path, "PRAGMA user_version") == 5


async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SqliteMachineMemory.connect(path) as memory:
        await memory.write("order-7", {"count": 1}, None)
    broken = with_version(*FURTHER, "ALTER TABLE nowhere ADD COLUMN note TEXT")
    with monkeypatch.context() as patched:
        patched.setattr(_schema, "MACHINE", broken)
        with pytest.raises(MachineMemoryError, match="no such table: nowhere"):
            async with SqliteMachineMemory.connect(path):
                pass
    assert of(path, "PRAGMA user_version") == len(_schema.MACHINE.migrations)
    assert of(path, "SELECT count(*) FROM pragma_table_info('machine') WHERE name = 'note'") == 0
    async with SqliteMachineMemory.connect(path) as memory:
        assert await memory.read("order-7") == {"count": 1}

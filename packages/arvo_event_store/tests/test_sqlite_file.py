"""The file: how it is opened, what it must be, and what it may hold beside the events."""

import asyncio
import gzip
import sqlite3
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from arvo_event_store import (
    IEventStore,
    NewEvent,
    SchemaError,
    SqliteEventStore,
    StoreFailure,
)
from arvo_event_store._sqlite import _store
from arvo_sqlite import Component, SqliteClient

MACHINES = Path(__file__).with_name("machine_1.db.gz")
OTHER = Component(
    name="other", title="other", package="other", migrations=(("CREATE TABLE other (id TEXT)",),)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder / "events.db"


def of(path: Path, what: str) -> object:
    """Return the first column of the first row."""
    connection = sqlite3.connect(path)
    (answer,) = connection.execute(what).fetchone()
    connection.close()
    return answer


def change(path: Path, *statements: str) -> None:
    """Change the file from outside."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


async def appended(path: Path, **options: Any) -> None:
    async with SqliteEventStore.connect(path, **options) as store:
        await store.append("a", [NewEvent("Added", 7)])


async def test_the_file_and_its_companions_are_private_to_their_user(path: Path) -> None:
    async with SqliteEventStore.connect(path) as store:
        await store.append("a", [NewEvent("Added", 7)])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"events.db": 0o600, "events.db-shm": 0o600, "events.db-wal": 0o600}


async def test_it_is_an_event_store() -> None:
    async with SqliteEventStore.connect(":memory:") as store:
        protocol: IEventStore = store
        assert await protocol.horizon() == 0


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"synchronous": "off"}, ValueError, "'full' or 'normal', got 'off'"),
        ({"max_payload_bytes": 0}, ValueError, "max_payload_bytes must be"),
        ({"max_payload_bytes": "1"}, TypeError, "max_payload_bytes must be"),
        ({"read_only": 1}, TypeError, "read_only must be"),
        ({"clock": 7}, TypeError, "clock must be"),
    ],
)
async def test_a_wrong_argument_of_connect_creates_no_file(
    path: Path, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await appended(path, **options)
    assert not path.exists()  # noqa: ASYNC240 - nothing else runs


async def test_an_empty_path_is_refused() -> None:
    with pytest.raises(ValueError, match="path must not be empty"):
        async with SqliteEventStore.connect(""):
            raise AssertionError("it must not open")
    with pytest.raises(ValueError, match="read_only needs a file"):
        async with SqliteEventStore.connect(":memory:", read_only=True):
            raise AssertionError("it must not open")


# --- clients --------------------------------------------------------------------


async def test_a_borrowed_client_stays_open(path: Path) -> None:
    components = [OTHER, SqliteEventStore.component]
    async with SqliteClient.connect(path, components=components) as client:
        for _ in range(2):
            store = SqliteEventStore(client)
            await store.append("a", [NewEvent("Added", 7)])
            await store.aclose()
            with pytest.raises(StoreFailure, match="the store was closed; open it again"):
                await store.append("a", [NewEvent("Added", 7)])
        assert [event.version async for event in SqliteEventStore(client).read("a")] == [0, 1]


async def test_a_client_without_the_tables_is_refused(path: Path) -> None:
    async with SqliteClient.connect(path, components=[OTHER]) as client:
        with pytest.raises(SchemaError, match=r"SqliteEventStore\.component"):
            SqliteEventStore(client)


def test_a_store_without_a_client_points_to_connect() -> None:
    with pytest.raises(TypeError, match=r"async with SqliteEventStore\.connect"):
        SqliteEventStore()


async def test_a_closed_store_refuses_work_and_sql(path: Path) -> None:
    async with SqliteEventStore.connect(path) as store:
        await store.append("a", [NewEvent("Added", 7)])
        begun = store.read("a")
    calls = [
        *(store.execute("SELECT 1"), store.fetch("SELECT 1"), anext(begun)),
        store.write(lambda connection, log: None),
    ]
    for call in calls:
        with pytest.raises(StoreFailure, match="the store was closed; open it again") as caught:
            await call
        assert (caught.value.retryable, caught.value.outcome) == (False, "failed")


async def test_what_was_begun_is_stored_before_the_file_is_closed(path: Path) -> None:
    async with SqliteEventStore.connect(path) as store:
        begun = [
            asyncio.ensure_future(store.append("a", [NewEvent("Added", number)]))
            for number in range(20)
        ]
        await asyncio.sleep(0)
    assert [(await each).version for each in begun] == list(range(20))
    assert of(path, "SELECT count(*) FROM event") == 20


# --- the schema -----------------------------------------------------------------


async def test_events_are_added_to_a_file_of_machines_and_the_other_way_round(path: Path) -> None:
    path.write_bytes(gzip.decompress(MACHINES.read_bytes()))  # noqa: ASYNC240
    await appended(path)
    assert of(path, "SELECT count(*) FROM machine") == 2
    assert of(path, "PRAGMA user_version") == 1
    async with SqliteClient.connect(path, components=[OTHER]):
        pass
    await appended(path)
    assert of(path, "SELECT count(*) FROM event") == 2


async def test_the_tables_of_machines_have_other_names(path: Path) -> None:
    await appended(path)
    connection = sqlite3.connect(path)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert tables.isdisjoint({"machine", "chunk", "due"})
    assert {"reaction", "target", "listed", "parked"} <= tables


async def test_a_newer_file_is_refused_by_name_and_not_changed(path: Path) -> None:
    await appended(path)
    change(path, "UPDATE schema_version SET version = 99 WHERE component = 'event_store'")
    for options in ({}, {"read_only": True}):
        with pytest.raises(
            SchemaError, match=r"version 99, but .* install a newer arvo-event-store"
        ):
            await appended(path, **options)
    assert of(path, "SELECT count(*) FROM event") == 1


async def test_a_file_of_an_earlier_version_is_migrated(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And read-only, it is refused, naming what to do."""
    await appended(path)
    present = SqliteEventStore.component
    later = replace(
        present, migrations=(*present.migrations, ("ALTER TABLE stream ADD COLUMN note TEXT",))
    )
    monkeypatch.setattr(SqliteEventStore, "component", later)
    with pytest.raises(SchemaError, match=r"older than 2; .* open it once without `read_only`"):
        await appended(path, read_only=True)
    async with SqliteEventStore.connect(path) as store:
        assert [event.data async for event in store.read("a")] == [7]
    assert of(path, "SELECT count(note) FROM stream") == 0


async def test_a_file_without_the_tables_is_refused_read_only(path: Path) -> None:
    async with SqliteClient.connect(path, components=[OTHER]):
        pass
    with pytest.raises(SchemaError, match=r"the file has no event store; .* without `read_only`"):
        await appended(path, read_only=True)


async def test_a_read_only_store_reads_and_refuses_what_writes(path: Path) -> None:
    await appended(path)
    async with SqliteEventStore.connect(path, read_only=True) as store:
        assert [event.data async for event in store.read_all()] == [7]
        for call in (store.append("a", [NewEvent("Added", 8)]), store.close_stream("a")):
            with pytest.raises(StoreFailure, match="was opened read-only") as caught:
                await call
            assert (caught.value.retryable, caught.value.outcome) == (False, "failed")


async def test_a_database_of_another_program_is_refused_and_not_changed(path: Path) -> None:
    change(path, "CREATE TABLE invoice (id)")
    before = path.read_bytes()  # noqa: ASYNC240 - nothing else runs
    with pytest.raises(StoreFailure, match="not made by Arvo; use a separate file"):
        await appended(path)
    assert path.read_bytes() == before  # noqa: ASYNC240


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("Dear customer,\n" * 500)  # noqa: ASYNC240
    with pytest.raises(StoreFailure, match="file is not a database") as caught:
        await appended(path)
    assert not caught.value.retryable


async def test_a_folder_that_does_not_exist_is_reported(path: Path) -> None:
    missing = path.parent / "nowhere" / "events.db"
    for options in ({}, {"read_only": True}):
        with pytest.raises(StoreFailure, match=f"{missing}: "):
            await appended(missing, **options)


async def test_a_file_that_another_process_holds_too_long_may_be_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_store, "BUSY_TIMEOUT", timedelta(milliseconds=20))
    async with SqliteEventStore.connect(path) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreFailure, match="database is locked") as caught:
            await store.append("a", [NewEvent("Added", 7)])
        assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
        assert await store.heads(["a"]) == {}
        other.execute("ROLLBACK")
        other.close()
        await store.append("a", [NewEvent("Added", 7)])

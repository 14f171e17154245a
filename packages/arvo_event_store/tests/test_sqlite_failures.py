"""What the caller gets when SQLite fails, and what names and rows cannot do."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from arvo_event_store import (
    Append,
    EventStoreError,
    NewEvent,
    Query,
    Snapshot,
    SqliteEventStore,
    StoreFailure,
    Wake,
)
from arvo_event_store._sqlite import _append, _reads
from arvo_sqlite import SqliteClient

KINDS: Final = [
    kind
    for kind in vars(sqlite3).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
]
CODES: Final = [
    (name, code)
    for name, code in vars(sqlite3).items()
    if name.startswith("SQLITE_") and isinstance(code, int) and 0 < code & 0xFF < 27
]
WAKE: Final = Wake(group="g", reaction="r", lane="l")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
async def client(path: Path) -> AsyncIterator[SqliteClient]:
    components = [SqliteEventStore.component]
    async with SqliteClient.connect(path, components=components, synchronous="normal") as client:
        yield client


@pytest.fixture
def store(client: SqliteClient) -> SqliteEventStore:
    return SqliteEventStore(client)


def change(path: Path, *statements: str) -> None:
    """Change the file from outside."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


async def settled(store: SqliteEventStore) -> list[tuple[Any, ...]]:
    """Return all that is stored."""
    tables = ("stream", "event", "private", "snapshot", "target")
    return [
        row
        for table in tables
        for row in await store.fetch(f"SELECT * FROM {table}")  # noqa: S608 - from above
    ]


# --- errors of the driver ---------------------------------------------------------


def raising(error: Exception) -> Callable[..., Any]:
    def raises(*_: object, **__: object) -> None:
        raise error

    return raises


async def every_call(store: SqliteEventStore) -> AsyncIterator[tuple[str, Any]]:
    event = NewEvent("Added", 7)
    yield "_append.append", lambda: store.append("a", [event])
    yield "_append.save_snapshot", lambda: store.save_snapshot(_snapshot())
    yield "_reads.stream_page", lambda: anext(store.read("a"))
    yield "_reads.log_page", lambda: anext(store.read_all())
    yield "_reads.heads", lambda: store.heads(["a"])
    yield "_reads.horizon", store.horizon
    yield "_reads.latest_snapshot", lambda: store.latest_snapshot("a", kind="k")


def _snapshot() -> Snapshot:
    return Snapshot(stream="a", kind="k", version=0, schema=1, state=[7])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_every_error_class_of_the_driver_is_a_store_failure(
    store: SqliteEventStore, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    """From every call, with the driver's error as its cause; a class of a new Python too."""
    error = kind("as the driver says it")
    async for name, call in every_call(store):
        module, _, function = name.partition(".")
        with monkeypatch.context() as patched:
            patched.setattr(
                {"_append": _append, "_reads": _reads}[module], function, raising(error)
            )
            with pytest.raises(StoreFailure) as caught:
                await call()
        assert caught.value.__cause__ is error
        assert caught.value.outcome == "failed"
    with pytest.raises(StoreFailure) as caught:
        await store.write(raising(error))
    assert caught.value.__cause__ is error
    assert (await store.append("a", [NewEvent("Added", 7)])).version == 0


@pytest.mark.parametrize(("name", "code"), CODES)
async def test_every_result_code_of_sqlite_is_a_store_failure(
    store: SqliteEventStore, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    monkeypatch.setattr(_append, "append", raising(error))
    with pytest.raises(StoreFailure) as caught:
        await store.append("a", [NewEvent("Added", 7)])
    assert caught.value.__cause__ is error


async def test_a_commit_that_fails_has_an_unknown_outcome_and_may_be_sent_again(
    path: Path, store: SqliteEventStore
) -> None:
    """A constraint that an operator added is checked only at the end of the transaction."""
    change(
        path,
        "CREATE TABLE allowed (name TEXT PRIMARY KEY)",
        "CREATE TABLE seen (name TEXT REFERENCES allowed (name) DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TRIGGER note AFTER INSERT ON event BEGIN INSERT INTO seen VALUES (NEW.name); END",
    )
    batch = [NewEvent("Added", 7)]
    await store.write(lambda connection, log: None)
    await foreign_keys(store, "ON")
    with pytest.raises(StoreFailure, match="FOREIGN KEY constraint failed") as caught:
        await store.append("a", batch)
    assert caught.value.outcome == "unknown"
    change(path, "INSERT INTO allowed VALUES ('Added')")
    done = await store.append("a", batch)
    assert (done.version, done.duplicate) == (0, False)


async def foreign_keys(store: SqliteEventStore, state: str) -> None:
    """Set a condition of the connection that writes; it takes effect between transactions."""
    writer = store._file._client._writer
    assert writer is not None
    writer._connection.execute(f"PRAGMA foreign_keys = {state}")


@contextmanager
def pragma(store: SqliteEventStore, during: str, after: str) -> Iterator[None]:
    """Set a condition of the file or the disk for the writer."""
    writer = store._file._client._writer
    assert writer is not None
    writer._connection.execute(f"PRAGMA {during}").fetchall()
    yield
    writer._connection.execute(f"PRAGMA {after}").fetchall()


@pytest.mark.parametrize(
    ("during", "after", "words"),
    [
        ("query_only = ON", "query_only = OFF", "SQLITE_READONLY"),
        ("max_page_count = 1", "max_page_count = 1000000", "SQLITE_FULL"),
    ],
)
async def test_a_file_that_cannot_be_written_now_can_be_written_later(
    store: SqliteEventStore, during: str, after: str, words: str
) -> None:
    batch = [NewEvent("Added", "x" * 50_000, private="y" * 50_000)]
    before = await settled(store)
    with pragma(store, during, after):
        with pytest.raises(StoreFailure, match=words) as caught:
            await store.append_all([Append("a", batch, wakes=[WAKE])])
        assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
        assert await settled(store) == before
    assert (await store.append("a", batch)).version == 0


@pytest.mark.parametrize("raising", ["ABORT", "FAIL", "ROLLBACK"])
async def test_a_trigger_that_refuses_one_append_stores_nothing_of_it(
    path: Path, store: SqliteEventStore, raising: str
) -> None:
    """A trigger of an operator, in the middle of a call; the others of the transaction are stored."""
    change(
        path,
        "CREATE TRIGGER no BEFORE INSERT ON event WHEN NEW.name = 'Refused' "
        f"BEGIN SELECT RAISE({raising}, 'not today'); END",
    )
    appends = [Append("a", [NewEvent("Added", 1)]), Append("b", [NewEvent("Refused", 1)])]
    others = [store.append("c", [NewEvent("Added", number)]) for number in range(10)]
    with pytest.raises(StoreFailure, match="not today"):
        await store.append_all(appends)
    for number, other in enumerate(others):
        assert (await other).version == number
    assert set(await store.heads(["a", "b", "c"])) == {"c"}


# --- rows that are damaged ---------------------------------------------------------

DAMAGE: Final = {
    "UPDATE event SET id = x'00'": "an id of event 1 is damaged",
    "UPDATE event SET causation = x'00'": "an id of event 1 is damaged",
    "UPDATE event SET data = '{'": "the JSON of event 1 is damaged",
    "UPDATE event SET meta = ''": "the JSON of event 1 is damaged",
    "UPDATE event SET name = CAST(x'ff' AS TEXT)": "a stored string is not UTF-8",
    "UPDATE event SET created_at = 9223372036854775807": "the time 9223372036854775807 is damaged",
    "UPDATE private SET data = '{'": "the JSON of event 1 is damaged",
    "UPDATE stream SET updated_at = -9223372036854775807": "the time -9223372036854775807",
    "UPDATE snapshot SET state = '{'": "the snapshot of stream 'a' at version 0 is damaged",
    "UPDATE target SET due = 9223372036854775807": "the time 9223372036854775807 is damaged",
}


@pytest.mark.parametrize("statement", DAMAGE)
async def test_a_damaged_row_is_a_failure_that_names_it(
    path: Path, store: SqliteEventStore, statement: str
) -> None:
    await store.append_all([Append("a", [NewEvent("Added", 7, private=1)], wakes=[WAKE])])
    await store.save_snapshot(_snapshot())
    change(path, "DROP TRIGGER event_no_update", statement)
    with pytest.raises(StoreFailure, match=DAMAGE[statement]) as caught:
        await read_everything(store)
    assert (caught.value.retryable, caught.value.outcome) == (False, "failed")


async def read_everything(store: SqliteEventStore) -> None:
    assert [event async for event in store.read_all()] == [event async for event in store.read("a")]
    await store.heads(["a"])
    await store.latest_snapshot("a", kind="k")
    assert [target async for target in store.targets("g")]


# --- names and times -----------------------------------------------------------------

NAMES: Final = (
    *("'; DROP TABLE event; --", '"; DELETE FROM stream; --', "a' OR '1'='1", "%", "_", "NULL"),
    *("event", "stream.name", "?", ":stream", "@x", "$1", "[a]", "`a`", "x'00'", "-- a", "/* a"),
)


async def test_names_that_look_like_sql_are_names(store: SqliteEventStore) -> None:
    for name in NAMES:
        wake = Wake(group=name, reaction=name, lane=name)
        await store.append_all(
            [Append(name, [NewEvent(name, name, correlation=name)], wakes=[wake])]
        )
        await store.save_snapshot(Snapshot(stream=name, kind=name, version=0, schema=1, state=name))
    for name in NAMES:
        where = Query(stream_prefix=name, names=[name, "none"], correlation=name)
        for events in (store.read(name), store.read_all(where=where)):
            assert [event.data async for event in events] == [name]
        snapshot = await store.latest_snapshot(name, kind=name)
        assert snapshot is not None
        assert snapshot.state == name
        assert [target.key async for target in store.targets(name, reaction=name)] == [name]
        assert [head.stream async for head in store.streams(prefix=name)] == [name]
        await store.record_archive(name, archive=name)
        with pytest.raises(EventStoreError, match="has work"):
            await store.close_stream(name)
    assert len(await store.heads(NAMES)) == len(NAMES)


async def test_a_time_at_the_end_of_the_calendar_can_be_stored(store: SqliteEventStore) -> None:
    """Also if its offset puts it beyond the end in UTC."""
    last = datetime.max.replace(tzinfo=UTC)
    beyond = datetime.fromisoformat("9999-12-31T23:59:59-05:00")
    for reaction, due in (("a", last), ("b", beyond)):
        wake = Wake(group="g", reaction=reaction, lane="l", due=due)
        await store.append_all([Append(reaction, [NewEvent("Added", 1)], wakes=[wake])])
    assert [target.due async for target in store.targets("g")] == [last, last]
    for where, count in (
        (Query(created_before=beyond), 2),
        (Query(created_from=beyond), 0),
        (Query(created_from=datetime.fromisoformat("0001-01-01T00:00:00+05:00")), 2),
    ):
        assert len([event async for event in store.read_all(where=where)]) == count

"""What only a file can do wrong with the end of streams."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from arvo_event_store import PER_EVENT, Append, NewEvent, SqliteEventStore, StoreFailure, Wake

WAKES = [
    Wake(group="g", reaction="r", lane="l"),
    Wake(group="g", reaction="each", lane="l", to=PER_EVENT),
]
_REST = "name, data, meta, correlation, causation, created_at"
REPLACING = [
    "REPLACE INTO event SELECT * FROM event WHERE TRUE",
    f"REPLACE INTO event (id, stream, version, {_REST}) SELECT x'00', stream, version, {_REST} FROM event",  # noqa: S608
    f"REPLACE INTO event (id, stream, version, {_REST}) SELECT id, 'b', 0, {_REST} FROM event",  # noqa: S608
    "INSERT INTO event SELECT * FROM event WHERE TRUE ON CONFLICT DO UPDATE SET data = '7'",
    "UPDATE OR REPLACE event SET id = x'00'",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteEventStore]:
    async with SqliteEventStore.connect(path, synchronous="normal") as store:
        yield store


@pytest.mark.parametrize("call", ["forget", "truncate", "delete_stream"])
async def test_private_data_that_is_deleted_is_not_left_in_the_file(path: Path, call: str) -> None:
    secrets = [f"secret-{number}-{'x' * size}" for number, size in enumerate((10, 900, 30_000))]
    async with SqliteEventStore.connect(path) as store:
        events = [NewEvent("Named", number, private=each) for number, each in enumerate(secrets)]
        await store.append("a", events)
        await store.append("b", [NewEvent("Named", 1, private="kept-secret")])
        do_not_overwrite(store)
        if call == "truncate":
            await store.truncate("a", before=3, snapshot=False)
        else:
            await getattr(store, call)("a")
    # Closing it writes the log into the file, and removes it.
    stored = path.read_bytes()  # noqa: ASYNC240 - nothing else runs
    assert b"secret-0" not in stored
    assert b"secret-1" not in stored
    assert b"secret-2" not in stored
    assert b"xxxxxxxx" not in stored
    assert b"kept-secret" in stored


def do_not_overwrite(store: SqliteEventStore) -> None:
    """Do as SQLite does unless it was built otherwise."""
    writer = store._file._client._writer
    assert writer is not None
    writer._connection.execute("PRAGMA secure_delete = OFF").fetchall()


async def test_events_cannot_be_changed_or_deleted_by_sql(store: SqliteEventStore) -> None:
    """C8: but below the first version of their stream, which only cutting off raises."""
    await store.append("a", [NewEvent("Added", number) for number in range(4)])
    await store.truncate("a", before=2, snapshot=False)
    for sql in (
        "UPDATE event SET data = '7'",
        "DELETE FROM event",
        "DELETE FROM event WHERE version = 3",
        *REPLACING,
    ):
        with pytest.raises(StoreFailure, match="events are append-only"):
            await store.execute(sql)
    assert [event.data async for event in store.read("a")] == [2, 3]


async def test_a_position_is_not_given_again_after_the_file_was_closed(path: Path) -> None:
    async with SqliteEventStore.connect(path) as store:
        await store.append("a", [NewEvent("Added", number) for number in range(4)])
        await store.delete_stream("a")
    async with SqliteEventStore.connect(path) as store:
        assert await store.horizon() == 4
        assert (await store.append("a", [NewEvent("Added", 1)])).position == 5


async def test_targets_are_found_by_key_whatever_the_groups_are(store: SqliteEventStore) -> None:
    """A target of an event has its position as key, which is the name of a stream here."""
    await store.append_all([Append("1", [NewEvent("Added", 1)], wakes=WAKES)])
    for group in ("f", "h"):
        for reaction in ("q", "s"):
            wake = Wake(group=group, reaction=reaction, lane="l", to=PER_EVENT)
            await store.append_all([Append("b", [NewEvent("Added", 1)], wakes=[wake])])
    with pytest.raises(Exception, match="has work for g/each/1, g/r/1;"):
        await store.close_stream("1")
    await store.append("2", [NewEvent("Added", 1)])
    await store.close_stream("2")
    with pytest.raises(Exception, match="has work for f/q/2, f/s/3, h/q/4, h/s/5;"):
        await store.delete_stream("b")
    assert await store.truncate("b", before=4, snapshot=False) == 0
    await done(store, below=4)
    assert await store.truncate("b", before=4, snapshot=False) == 2
    await done(store, below=9)
    assert await store.truncate("b", before=4, snapshot=False) == 4
    assert await store.delete_stream("1")
    assert [target.key async for target in store.targets("g")] == []
    assert [target.key async for target in store.targets("f")] == ["2", "3"]


async def done(store: SqliteEventStore, *, below: int) -> None:
    """Do as if the targets up to a position had been served."""
    await store.execute("UPDATE target SET at = mark WHERE mark < ?", below)

"""What reads hold, and how calls are cancelled."""

import asyncio
import gc
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from arvo_event_store import Append, Event, NewEvent, Query, SqliteEventStore
from arvo_event_store._sqlite import _reads
from arvo_event_store.stores import PageRange


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteEventStore]:
    async with SqliteEventStore.connect(path, synchronous="normal") as store:
        yield store


def some(count: int, *, data: object = None) -> list[NewEvent]:
    return [NewEvent("Added", [number, data]) for number in range(count)]  # type: ignore[list-item]


def events_in_memory() -> int:
    gc.collect()
    # Not in Python: a process that has run many tests has millions of objects.
    return list(map(type, gc.get_objects())).count(Event)


@pytest.mark.parametrize("large", [False, True])
async def test_an_iterator_left_after_one_event_frees_what_it_held(
    path: Path, store: SqliteEventStore, large: bool
) -> None:
    """The page, and the snapshot of the file, which would keep the write-ahead log growing."""
    await store.append("a", some(600, data="x" * 20_000 if large else None))
    reads: list[Callable[[], AsyncIterator[Event]]] = [lambda: store.read("a"), store.read_all]
    for read in reads:
        # A reader is in the way of the log only while the log is not in the file.
        await store.append("b", some(1))
        reading: Any = read()
        async for event in reading:
            assert event.version == 0
            break
        assert events_in_memory() > 1
        assert no_reader(path)
        del reading, event
        await a_few_turns()  # in which the event loop closes it
        assert events_in_memory() == 0
        reading = read()
        await anext(reading)
        await reading.aclose()
        await a_few_turns()
        assert events_in_memory() == 0
    assert (await store.append("a", some(1))).version == 600


async def a_few_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def no_reader(path: Path) -> bool:
    """Return whether the write-ahead log can begin anew, as no reader still needs it."""
    connection = sqlite3.connect(path)
    busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.close()
    return not busy


async def test_an_append_may_be_cancelled_at_every_await(store: SqliteEventStore) -> None:
    """It is there wholly or not at all, and sent again it is there once."""
    cancelled = 0
    for turns in range(12):
        stream, batch = f"s{turns}", some(3)
        append = asyncio.ensure_future(
            store.append_all([Append(stream, batch), Append(f"{stream}-too", some(1))])
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        append.cancel()
        await asyncio.wait([append])
        cancelled += append.cancelled()
        heads = await store.heads([stream, f"{stream}-too"])
        assert len(heads) in {0, 2}
        assert (await store.append(stream, batch)).version == 2
        assert [event.version async for event in store.read(stream)] == [0, 1, 2]
    assert cancelled


async def test_a_read_may_be_cancelled_at_every_await(path: Path, store: SqliteEventStore) -> None:
    await store.append("a", some(1_200))
    cancelled = 0
    reads: list[Callable[[], AsyncIterator[Event]]] = [lambda: store.read("a"), store.read_all]
    for read in reads:
        for turns in range(12):
            task = asyncio.ensure_future(count_of(read()))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            cancelled += task.cancelled()
    assert cancelled
    # Queries that were begun end by themselves; after them, no reader is left.
    assert await count_of(store.read("a")) == 1_200
    async with asyncio.timeout(30):
        while events_in_memory() or not no_reader(path):
            await store.horizon()


async def count_of(events: AsyncIterator[Event]) -> int:
    return len([event.version async for event in events])


async def test_work_may_be_cancelled_at_every_await(store: SqliteEventStore) -> None:
    def work(connection: sqlite3.Connection, log: Any) -> None:
        log.append("a", some(1))
        log.append("b", some(1))

    for turns in range(12):
        writing = asyncio.ensure_future(store.write(work))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        heads = await store.heads(["a", "b"])
        assert len({head.version for head in heads.values()}) < 2
        assert len(heads) in {0, 2}


async def test_opening_may_be_cancelled_at_every_await(path: Path) -> None:
    others, cancelled = asyncio.all_tasks(), 0
    for turns in range(8):
        manager = SqliteEventStore.connect(path)
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
    assert [file.name for file in path.parent.iterdir()] == ["events.db"]


QUERIES = (
    None,
    Query(names=["Added"]),
    Query(names=["Added", "Other"]),
    Query(names=[]),
    Query(correlation="c"),
    Query(correlation="c", names=["Added"]),
    Query(stream_prefix="a"),
)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("where", QUERIES, ids=range(len(QUERIES)))
async def test_no_page_of_the_log_is_sorted(
    store: SqliteEventStore, where: Query | None, backward: bool
) -> None:
    """Each walks through the table or an index in its order, so it ends with the page."""
    page = PageRange(0, None, backward, 10, 1000, True)
    explained = await store.write(
        lambda connection, _: plans(connection, lambda it: _reads.log_page(it, where, page))
    )
    assert not [line for line in explained if "TEMP B-TREE" in line]
    assert any(line.startswith("SEARCH event USING ") for line in explained)


@pytest.mark.parametrize("backward", [False, True])
async def test_a_page_of_a_stream_is_found_by_its_index(
    store: SqliteEventStore, backward: bool
) -> None:
    page = PageRange(5, None, backward, 10, 1000, True)
    explained = await store.write(
        lambda connection, _: plans(connection, lambda it: _reads.stream_page(it, "a", page))
    )
    assert any("(stream=? AND version>? AND version<?)" in line for line in explained)
    assert not [line for line in explained if "TEMP B-TREE" in line]


def plans(connection: sqlite3.Connection, read: Callable[[Any], object]) -> list[str]:
    """Return the plans of the statements that a read makes."""
    explained: list[str] = []

    class Explaining:
        def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
            rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
            explained.extend(row[3] for row in rows)
            return connection.execute(sql, values)

    read(Explaining())
    return explained

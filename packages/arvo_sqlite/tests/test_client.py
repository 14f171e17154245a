"""Operations, queries, groups and the end of a client."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typing_extensions import override

from arvo_sqlite import Component, Operation, Query, SqliteClient
from arvo_time import BackendError
from arvo_time.testing import FakeClock

T = TypeVar("T")

NOTES = Component(
    name="note", title="notes", package="notes", migrations=(("CREATE TABLE note (text TEXT)",),)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def client(path: Path) -> AsyncIterator[SqliteClient]:
    async with SqliteClient.connect(path, components=[NOTES], label="notebook") as client:
        yield client


def add(text: str) -> Any:
    def operation(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO note VALUES (?)", (text,))
        return text

    return operation


def notes(connection: sqlite3.Connection) -> list[str]:
    return [text for (text,) in connection.execute("SELECT text FROM note ORDER BY rowid")]


async def write(client: SqliteClient, operation: Operation[T], **options: Any) -> T:
    return await client.write(operation, name="ADD", collection="note", **options)


async def read(client: SqliteClient, query: Query[T]) -> T:
    return await client.read(query, name="NOTES", collection="note")


async def in_one_group(client: SqliteClient, *operations: Any) -> list[Any]:
    """Keep the writer busy until all operations are in its queue."""
    started, go_on = threading.Event(), threading.Event()

    def hold(connection: sqlite3.Connection) -> None:
        started.set()
        go_on.wait(10)

    held = asyncio.create_task(write(client, hold, durable=False))
    await asyncio.to_thread(started.wait, 10)
    calls = [asyncio.create_task(write(client, each)) for each in operations]
    await asyncio.sleep(0)
    go_on.set()
    await held
    return await asyncio.gather(*calls, return_exceptions=True)


# --- operations -----------------------------------------------------------------


@pytest.mark.parametrize("on_a_file", [True, False])
async def test_what_an_operation_wrote_is_read(path: Path, on_a_file: bool) -> None:
    name = path if on_a_file else ":memory:"
    async with SqliteClient.connect(name, components=[NOTES]) as client:
        assert client.path == str(name)
        assert await write(client, add("a")) == "a"
        assert await read(client, notes) == ["a"]


async def test_a_row_that_is_replaced_passes_no_trigger(client: SqliteClient) -> None:
    """Which may refuse to delete it."""

    def replace(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY)")
        connection.execute(
            "CREATE TRIGGER keep BEFORE DELETE ON kept BEGIN SELECT raise(ABORT, 'kept'); END"
        )
        connection.execute("INSERT INTO kept VALUES (1)")
        with pytest.raises(sqlite3.IntegrityError, match="kept"):
            connection.execute("REPLACE INTO kept VALUES (1)")

    await client.write(replace, name="REPLACE", collection="kept")


async def test_a_query_cannot_write(client: SqliteClient) -> None:
    with pytest.raises(BackendError, match="readonly") as caught:
        await read(client, add("a"))
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert await read(client, notes) == []


async def test_only_the_operation_that_raises_is_rolled_back(client: SqliteClient) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        add("never")(connection)
        connection.execute("INSERT INTO nowhere VALUES (1)")

    first, failed, last = await in_one_group(client, add("a"), fail, add("b"))
    assert (first, last) == ("a", "b")
    assert isinstance(failed, BackendError)
    assert isinstance(failed.__cause__, sqlite3.OperationalError)
    assert await read(client, notes) == ["a", "b"]


async def test_an_operation_that_returns_its_refusal_runs_once_and_beside_others(
    client: SqliteClient,
) -> None:
    runs = []

    def refuse(connection: sqlite3.Connection) -> KeyError:
        runs.append(len(notes(connection)))
        return KeyError("taken")

    first, refusal, last = await in_one_group(client, add("a"), refuse, add("b"))
    assert (first, str(refusal), last) == ("a", "'taken'", "b")
    assert runs == [1]


async def test_work_after_writes_is_part_of_the_transaction(client: SqliteClient) -> None:
    def count(connection: sqlite3.Connection, operations: int) -> None:
        connection.execute("INSERT INTO note VALUES (?)", (f"{operations} before",))

    client.after_writes(count)
    assert await in_one_group(client, add("a"), add("b")) == ["a", "b"]
    assert await read(client, notes) == ["1 before", "a", "b", "2 before"]


async def test_work_after_writes_that_fails_fails_the_operations(client: SqliteClient) -> None:
    def fail(connection: sqlite3.Connection, operations: int) -> None:
        connection.execute("INSERT INTO nowhere VALUES (1)")

    client.after_writes(fail)
    with pytest.raises(BackendError, match="no such table: nowhere"):
        await write(client, add("a"))
    assert await read(client, notes) == []


# --- settings -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"path": ""}, ValueError, "for a notebook without a file, write ':memory:'"),
        ({"synchronous": "off"}, ValueError, "'full' or 'normal', got 'off'"),
        ({"components": [NOTES, NOTES]}, ValueError, "twice: 'note'"),
        ({"busy_timeout": timedelta(-1)}, ValueError, "busy_timeout must not be negative"),
        ({"busy_timeout": 30}, TypeError, "busy_timeout must be a timedelta"),
        ({"clock": FakeClock}, TypeError, "clock must be a Clock"),
    ],
)
async def test_a_wrong_setting_is_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    given = {"path": ":memory:", "components": [NOTES], "label": "notebook", **settings}
    with pytest.raises(error, match=message):
        async with SqliteClient.connect(**given):
            raise AssertionError("it must not open")


# --- other processes --------------------------------------------------------------


class WatchedClock(FakeClock):
    """Sets `sleeping` when something sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeping = asyncio.Event()

    @override
    async def sleep(self, delay: timedelta) -> None:
        self.sleeping.set()
        await super().sleep(delay)


async def test_opening_waits_by_the_clock_while_another_process_creates_the_file(
    path: Path,
) -> None:
    clock = WatchedClock()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    client = SqliteClient.connect(
        path, components=[NOTES], busy_timeout=timedelta(milliseconds=20), clock=clock
    )
    opening = asyncio.ensure_future(client.__aenter__())
    await clock.sleeping.wait()
    other.execute("ROLLBACK")
    other.close()
    clock.advance(timedelta(milliseconds=20))
    assert await read(await opening, notes) == []
    await client.__aexit__(None, None, None)


async def test_opening_gives_up_after_the_timeout(path: Path) -> None:
    clock = WatchedClock()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    client = SqliteClient.connect(
        path, components=[NOTES], busy_timeout=timedelta(milliseconds=20), clock=clock
    )
    opening = asyncio.ensure_future(client.__aenter__())
    await clock.sleeping.wait()
    clock.advance(timedelta(milliseconds=21))
    with pytest.raises(BackendError, match="database is locked") as caught:
        await opening
    assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
    other.close()


# --- the end ---------------------------------------------------------------------


async def test_a_closed_client_refuses_calls(path: Path) -> None:
    async with SqliteClient.connect(path, components=[NOTES], label="notebook") as client:
        await read(client, notes)
    await asyncio.gather(client.aclose(), client.aclose())
    for call in (write(client, add("a")), read(client, notes)):
        with pytest.raises(BackendError) as caught:
            await call
        assert str(caught.value) == f"{path}: the notebook was closed; open it again"
        assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
    assert [file.name for file in path.parent.iterdir()] == ["state.db"]


async def test_work_before_closing_may_still_use_the_client(path: Path) -> None:
    async with SqliteClient.connect(path, components=[NOTES]) as client:

        async def say_goodbye() -> None:
            await write(client, add("goodbye"))

        client.before_close(say_goodbye)
    async with SqliteClient.connect(path, components=[NOTES]) as client:
        assert await read(client, notes) == ["goodbye"]


async def test_the_file_is_closed_even_if_work_before_closing_fails(path: Path) -> None:
    async def fail() -> None:
        raise ValueError("goodbye")

    connecting = SqliteClient.connect(path, components=[NOTES])
    client = await connecting.__aenter__()

    async def say_goodbye() -> None:
        await write(client, add("goodbye"))

    client.before_close(fail)
    client.before_close(say_goodbye)
    client.before_close(fail)
    with pytest.raises(ValueError, match="goodbye"):
        await connecting.__aexit__(None, None, None)
    with pytest.raises(BackendError, match="was closed"):
        await read(client, notes)
    assert [file.name for file in path.parent.iterdir()] == ["state.db"]
    async with SqliteClient.connect(path, components=[NOTES]) as client:
        assert await read(client, notes) == ["goodbye"]


async def test_closing_goes_on_when_it_is_cancelled(client: SqliteClient) -> None:
    may_end = asyncio.Event()

    async def wait_and_write() -> None:
        await may_end.wait()
        await write(client, add("goodbye"))

    client.before_close(wait_and_write)
    closing = asyncio.create_task(client.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert await write(client, add("a")) == "a", "it is not closed before all work has ended"
    may_end.set()
    await client.aclose()
    with pytest.raises(BackendError, match="was closed"):
        await write(client, add("b"))


async def test_calls_from_another_event_loop_are_refused(client: SqliteClient, path: Path) -> None:
    for call in (write(client, add("a")), read(client, notes)):
        with pytest.raises(BackendError) as caught:
            await asyncio.to_thread(asyncio.run, call)
        assert str(caught.value) == (
            f"{path}: the notebook was opened on another event loop or before a fork; "
            "open one where it is used"
        )
        assert (caught.value.retryable, caught.value.outcome) == (False, "failed")


async def test_a_dead_thread_fails_queued_and_later_operations(
    client: SqliteClient, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def die(connection: sqlite3.Connection) -> None:
        raise SystemExit("dead")

    for outcome in await in_one_group(client, add("a"), die):
        assert isinstance(outcome, BackendError)
        assert outcome.outcome == "unknown"
    with pytest.raises(BackendError) as caught:
        await write(client, add("b"))
    assert str(caught.value) == (
        f"{path}: the writing thread has died of SystemExit('dead'); open the notebook again"
    )
    assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
    assert isinstance(caught.value.__cause__, SystemExit)
    assert await read(client, notes) == []
    assert f"the writer of {path} died" in caplog.text

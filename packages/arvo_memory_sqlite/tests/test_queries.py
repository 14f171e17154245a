"""What queries cost, and what they do with files of the version before."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from arvo_core import ArvoOrchestrationSubject
from arvo_event_handler import QueryTimeoutError
from arvo_event_handler.memory import PackedRecord, WorkflowQuery, pack_record
from arvo_event_handler.testing import record_write
from arvo_memory_sqlite import SqliteMachineMemory, _queries
from arvo_memory_sqlite._schema import MACHINE
from arvo_sqlite import SqliteClient
from arvo_time import SystemClock

START = datetime(2030, 5, 6, tzinfo=UTC)
QUERIES = {
    "all": WorkflowQuery(),
    "status": WorkflowQuery(status={"active"}),
    "statuses": WorkflowQuery(status={"done", "failure"}),
    "source": WorkflowQuery(source="suite.order"),
    "source and status": WorkflowQuery(source="suite.order", status={"failure"}),
    "key": WorkflowQuery(key="order-7"),
    "root": WorkflowQuery(root="order-7"),
    "start": WorkflowQuery(started_after=START, started_before=START + timedelta(days=1)),
    "the rest": WorkflowQuery(waits_for="evt.a.b", error="KeyError", no_step_since=START),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def memory(path: Path) -> AsyncIterator[SqliteMachineMemory]:
    async with SqliteMachineMemory.connect(path, synchronous="normal") as memory:
        yield memory


@contextmanager
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield the statements of queries, with their values in them."""
    asked: list[str] = []
    in_time = _queries.ended_in_time

    @contextmanager
    def traced(connection: sqlite3.Connection, **clock: Any) -> Iterator[None]:
        connection.set_trace_callback(asked.append)
        with in_time(connection, **clock):
            yield
        connection.set_trace_callback(None)

    with monkeypatch.context() as patched:
        patched.setattr(_queries, "ended_in_time", traced)
        yield asked


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
async def test_a_question_is_one_statement_that_walks_along_an_index(
    memory: SqliteMachineMemory, path: Path, query: WorkflowQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await memory.write(f"order-{number}", {"status": "active"}, None)
    cursors = {
        oldest_first: (
            await memory.workflows(WorkflowQuery(), limit=1, oldest_first=oldest_first)
        ).next
        for oldest_first in [False, True]
    }
    with statements(monkeypatch) as asked:
        await memory.count(query)
        await memory.workflow("order-1")
        for oldest_first, cursor in cursors.items():
            for after in [None, cursor]:
                await memory.workflows(query, after=after, oldest_first=oldest_first)
    assert len(asked) == 6
    with closing(sqlite3.connect(path)) as connection:
        for statement in asked:
            plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            assert any("SEARCH machine USING INDEX" in step for step in plan)
            assert not [step for step in plan if "TEMP B-TREE" in step or "SCAN machine" in step]
            # The rows of one page, and not those before it.
            walks = [step for step in plan if "SEARCH machine" in step and "(id=" not in step]
            assert all("created_at>? AND created_at<?" in step for step in walks)


class Hasty(SystemClock):
    """Every look at it is a second later."""

    def __init__(self) -> None:
        self._looks = 0

    @override
    def monotonic(self) -> float:
        self._looks += 1
        return float(self._looks)


@pytest.mark.parametrize("name", ["state.db", ":memory:"])
async def test_a_query_that_takes_too_long_is_ended(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_queries, "_STEPS_BETWEEN_LOOKS", 10)
    path = name if name == ":memory:" else tmp_path / name
    async with SqliteMachineMemory.connect(path, clock=Hasty()) as memory:
        for number in range(20):
            await memory.write(f"order-{number}", {"n": 1}, None)
        for question in [memory.workflows(WorkflowQuery()), memory.count(WorkflowQuery())]:
            with pytest.raises(QueryTimeoutError, match="longer than 2 seconds"):
                await question
        # The connection is as good as before.
        assert await memory.read("order-7") == {"n": 1}
        await memory.write("order-7", {"n": 2}, {"n": 1})


async def test_a_step_writes_no_index(memory: SqliteMachineMemory, path: Path) -> None:
    """Only the first commit and the last do: an index that is written is a page more in the log."""
    with closing(sqlite3.connect(path)) as connection:
        wal = path.with_name("state.db-wal")

        async def pages(status: str) -> int:
            lease = await memory.acquire("order-7")
            assert lease is not None
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            await memory.commit(lease, record_write({"status": status}))
            return (wal.stat().st_size - 32) // (4096 + 24)

        assert await pages("active") > 4
        assert await pages("active") == 1
        assert await pages("done") > 2


async def test_a_file_of_the_version_before_is_listed_by_what_its_records_say(path: Path) -> None:
    named, unnamed = (
        ArvoOrchestrationSubject.new(
            orchestrator="arvo.orc.order",
            version="1.0.0",
            initiator="com.app.main",
            execution_id=execution_id,
        )
        for execution_id in ["order-7", None]
    )
    done: dict[str, Any] = {"status": "done", "initEventId": "order-0297"}
    failed: dict[str, Any] = {"executionStatus": "failure", "error": {"name": "KeyError"}}
    before = replace(MACHINE, migrations=MACHINE.migrations[:2])
    async with SqliteClient.connect(path, components=[before]):
        pass
    with closing(sqlite3.connect(path)) as connection:
        for number, (subject, packed, updated_at) in enumerate(
            [
                ("gone", pack_record({}), 1000),
                (unnamed, pack_record(done), 5000),
                (named, pack_record(failed), 3000),
                ("damaged", PackedRecord("zlib", b"not a record"), 4000),
            ]
        ):
            connection.execute(
                "INSERT INTO machine (id, version, status, root, updated_at, codec, state, "
                "last_chunk) VALUES (?, ?, 'active', ?, ?, ?, ?, ?)",
                (subject, 2, subject, updated_at, packed.codec, packed.data, number),
            )
            connection.execute("INSERT INTO chunk VALUES (?, ?, x'00')", (number + 1, number))
        connection.execute("INSERT INTO machine (id, updated_at) VALUES ('newest', 6000)")
        connection.execute("DELETE FROM machine WHERE id IN ('gone', 'newest')")
        connection.commit()
    async with SqliteMachineMemory.connect(path) as memory:
        page = await memory.workflows(WorkflowQuery())
        assert [
            (each.subject, each.status, each.key, each.source, each.error, each.record_version)
            for each in page.workflows
        ] == [
            ("damaged", "active", "damaged", "", None, 2),
            (named, "failure", "order-7", "arvo.orc.order", "KeyError", 2),
            (unnamed, "done", "order-0297", "arvo.orc.order", None, 2),
        ]
        # No later than any that started later.
        assert [each.created_at.timestamp() for each in page.workflows] == [4, 3, 3]
        await memory.write("order-8", {}, None)
        assert await memory.cleanup(named)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT machine, number FROM chunk").fetchall() == [
            (2, 1),
            (4, 3),
        ]
        # 5 was used, though by a workflow that is gone.
        assert connection.execute("SELECT max(seq) FROM machine").fetchone() == (6,)

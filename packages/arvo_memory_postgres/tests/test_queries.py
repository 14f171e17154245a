"""What queries cost, when they end, and what they show of the schema of the version before."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from arvo_core import ArvoOrchestrationSubject
from arvo_event_handler import QueryTimeoutError
from arvo_event_handler.memory import CountRequest, PageRequest, WorkflowQuery
from arvo_memory_postgres import PostgresMachineMemory, _table
from arvo_memory_postgres._queries import Question
from arvo_memory_postgres._statements import in_table
from arvo_postgres import TableName

from .conftest import Connect, execute, fetch, quoted

START = datetime(2030, 5, 6, tzinfo=UTC)
# What is found along an index in the order of the start.
IN_ORDER = {
    "all": WorkflowQuery(),
    "status": WorkflowQuery(status={"active"}),
    "statuses": WorkflowQuery(status={"done", "failure"}),
    "source": WorkflowQuery(source="source 3"),
    "source and status": WorkflowQuery(source="source 3", status={"failure"}),
    "start": WorkflowQuery(started_after=START, started_before=START + timedelta(days=1)),
}
# What is found by an index and then sorted, as there is little of it.
BY_ITSELF = {"key": WorkflowQuery(key="key 7"), "root": WorkflowQuery(root="root 7")}
_FILL = """
INSERT INTO {table} (key, machine_id, version, codec, state, status, source, workflow_key, root,
    created_at)
SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 'order-' || n, 1, 'json', '{{}}',
    CASE WHEN n % 5 = 0 THEN 'active' WHEN n % 5 = 1 THEN 'failure' ELSE 'done' END,
    'source ' || n % 4, 'key ' || n, 'root ' || n, timestamptz '2030-05-06' + n * interval '1 s'
FROM generate_series(1, 20000) AS n;
ANALYZE {table}"""


async def test_pages_and_counts_are_read_along_an_index(
    postgres_dsn: str, connect_to: Connect, schema: str
) -> None:
    """Neither the whole table nor what is before the page, and nothing of any size is sorted."""
    table = TableName(schema=schema, table="machines")
    await execute(postgres_dsn, _FILL.format(table=table.quoted))
    async with connect_to() as memory:
        cursors = {
            oldest_first: (
                await memory.workflows(WorkflowQuery(), limit=1, oldest_first=oldest_first)
            ).next
            for oldest_first in [False, True]
        }
    for query in [*IN_ORDER.values(), *BY_ITSELF.values()]:
        questions = [Question.count(CountRequest.of(query, at_most=100))]
        for oldest_first, cursor in cursors.items():
            for after in [None, cursor]:
                request = PageRequest.of(
                    query,
                    after=after,
                    limit=50,
                    oldest_first=oldest_first,
                    cursors="postgresql",
                    length=2,
                )
                questions.append(Question.page(request))
        for question in questions:
            sql = in_table(question.sql, table)
            rows = await fetch(postgres_dsn, f"EXPLAIN {sql}", *question.values)
            plan = "\n".join(row[0] for row in rows)
            assert "Seq Scan" not in plan, plan
            if query in IN_ORDER.values():
                assert "Sort" not in plan, plan
                assert set(re.findall(r"Index \w+.* using (\w+)", plan)) <= {
                    "machines_status_created_at_key_idx",
                    "machines_source_status_created_at_key_idx",
                }, plan


async def test_a_query_that_takes_too_long_is_ended(
    postgres_dsn: str, connect_to: Connect, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the server too."""
    monkeypatch.setattr(_table, "QUERY_TIMEOUT", timedelta(milliseconds=50))
    waiting = "SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE 'SELECT m.key%' AND state = 'active'"
    async with connect_to(pool_size=1) as memory:
        assert await memory.workflow("order-7") is None
        other = await asyncpg.connect(postgres_dsn)
        try:
            async with other.transaction():
                await other.execute(f"LOCK TABLE {quoted(schema)}.machines")
                with pytest.raises(QueryTimeoutError, match="longer than 2 seconds"):
                    await memory.workflow("order-7")
                assert [row["n"] for row in await other.fetch(waiting)] == [0]
        finally:
            await other.close()
        # The one connection is as good as before.
        assert await memory.read("order-7") is None


async def test_workflows_of_the_version_before_are_listed(
    postgres_dsn: str, no_schema: str
) -> None:
    sql = Path(__file__).with_name("schema_1.sql").read_text("utf-8")
    await execute(postgres_dsn, sql.replace('"shop"', quoted(no_schema)))
    table = f"{quoted(no_schema)}.machines"
    named = ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.order",
        version="1.0.0",
        initiator="com.app.main",
        execution_id="order-0297",
    )
    unnamed = ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.order", version="2.0.0", initiator="com.app.main"
    )
    for key, subject, state in [
        (b"a", named, b"damaged"),
        (b"b", unnamed, b'{"initEventId":"order-0298"}'),
    ]:
        await fetch(
            postgres_dsn,
            f"INSERT INTO {table} (key, machine_id, version, codec, state, status, source, root)"
            " VALUES ($1, $2, 1, 'json', $3, 'done', 'arvo.orc.order', $2)",
            key,
            subject,
            state,
        )
    async with PostgresMachineMemory.connect(postgres_dsn, schema=no_schema) as memory:
        await memory.migrate()
        found = await memory.workflows(WorkflowQuery(key="order-0298", status={"done"}))
        assert [each.subject for each in found.workflows] == [unnamed]
        page = await memory.workflows(WorkflowQuery())
        assert [
            (each.subject, each.status, each.source, each.version, each.key, each.root)
            for each in page.workflows
        ] == [
            (unnamed, "done", "arvo.orc.order", "2.0.0", "order-0298", unnamed),
            (named, "done", "arvo.orc.order", "1.0.0", "order-0297", named),
            ("order-7", "active", "", "", "order-7", "order-7"),
        ]

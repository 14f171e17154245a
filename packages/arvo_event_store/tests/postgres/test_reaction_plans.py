"""Statements for reactions look at few rows, whatever kind of plan they get."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final, Literal, TypeAlias

import asyncpg
import pytest

from arvo_event_store import TargetKind
from arvo_event_store.postgres import PostgresEventStore
from arvo_event_store.postgres._claim_sql import EXTEND, READY, WAKE, claim_sql, windows_sql
from arvo_event_store.postgres._operator_sql import UNBLOCK, targets_sql
from arvo_event_store.postgres._pending import NEEDED, PENDING
from arvo_event_store.stores import READS

from .conftest import execute

Mode: TypeAlias = Literal["custom", "generic"]
IDLE = 20_000
"""Targets without work, and as many that sleep."""
WORK = 3_000
"""Targets with work."""
BLOCKED = 20
MODES: Final[tuple[Mode, ...]] = ("custom", "generic")

_FILL = f"""
INSERT INTO {{reaction}} (grp, name, definition, scanned) VALUES ('g', 'r', '1', 0);
INSERT INTO {{target}} (grp, reaction, key, lane, reads, stream, at, mark)
SELECT 'g', 'r', 'idle' || n, 'l', 0, 'idle' || n, n, n FROM generate_series(1, {IDLE}) AS n;
INSERT INTO {{target}} (grp, reaction, key, lane, reads, stream, at, mark, due, asleep)
SELECT 'g', 'r', 'asleep' || n, 'l', 0, 'asleep' || n, n, n + 1, now() + n * interval '1 hour', true
FROM generate_series(1, {IDLE}) AS n;
INSERT INTO {{target}} (grp, reaction, key, lane, reads, stream, at, mark)
SELECT 'g', 'r', 'work' || n, 'l', 0, 'work' || n, n, n + 1 FROM generate_series(1, {WORK}) AS n;
INSERT INTO {{target}} (grp, reaction, key, lane, reads, stream, at, mark, blocked_at)
SELECT 'g', 'r', 'blocked' || n, 'l', 0, 'blocked' || n, n, n + 1, now()
FROM generate_series(1, {BLOCKED}) AS n;
INSERT INTO {{listed}} SELECT 'g', 'r', 'key' || n % 100, n FROM generate_series(1, {IDLE}) AS n;
INSERT INTO {{event}} (id, stream, version, name, data, meta, correlation)
SELECT gen_random_uuid(), 'idle' || n % 100, n / 100, 'Added', '1', '{{}}', 'c'
FROM generate_series(1, {IDLE}) AS n"""
_CLAIM = "('g', 'l', '{r}', gen_random_uuid(), interval '1 minute', 5, 5, false, '{1}')"


class Plans:
    """Says how statements are run on a connection."""

    def __init__(self, connection: asyncpg.Connection, store: PostgresEventStore) -> None:
        self._connection = connection
        self._store = store

    async def rows(self, template: str, values: str, *, mode: Mode) -> int:
        """Return how many rows of tables a statement looks at; what it changes is undone."""
        run = self._connection
        await run.execute(f"SET plan_cache_mode = force_{mode}_plan; SET jit = off")
        await run.execute(f"PREPARE asked AS {self._store._tables.sql(template)}")
        transaction = run.transaction()
        await transaction.start()
        try:
            found = await run.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked{values}")
        finally:
            await transaction.rollback()
            await run.execute("DEALLOCATE asked")
        return sum(_looked_at(node) for node in _nodes(json.loads(found)[0]["Plan"]))


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for part in plan.get("Plans", ()) for node in _nodes(part))]


def _looked_at(node: dict[str, Any]) -> int:
    if node["Node Type"] not in {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"}:
        return 0
    filtered = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + filtered) * node["Actual Loops"])


@pytest.fixture(params=["counted", "not counted"])
async def plans(
    request: pytest.FixtureRequest, store: PostgresEventStore, postgres_dsn: str
) -> AsyncIterator[Plans]:
    """Explain statements on full tables, of which the server knows that they are, or not."""
    await store.horizon()
    sql = store._tables.sql(_FILL)
    if request.param == "counted":
        sql += store._tables.sql("; ANALYZE {target}, {event}, {listed}, {reaction}")
    await execute(postgres_dsn, sql)
    connection = await asyncpg.connect(postgres_dsn)
    try:
        yield Plans(connection, store)
    finally:
        await connection.close()


async def test_polls_and_claims_look_at_what_they_take(
    plans: Plans, store: PostgresEventStore, postgres_dsn: str
) -> None:
    """However many targets have no work, or are asleep; also if no others are left."""
    claim = claim_sql(lagging=5, leading=5)
    for mode in MODES:
        assert await plans.rows(claim, _CLAIM, mode=mode) <= 60
        assert await plans.rows(READY, "('g', '{l,other}')", mode=mode) <= 10
        assert await plans.rows(WAKE, "('g', 'l')", mode=mode) <= 10
        # The same targets are found in a finish, and woken in an append.
        leases = "('{g,g}', '{r,r}', '{work1,work2}', '{1,2}', interval '1 minute')"
        assert await plans.rows(EXTEND, leases, mode=mode) <= 10
    await execute(postgres_dsn, store._tables.sql("UPDATE {target} SET at = mark WHERE NOT asleep"))
    for mode in MODES:
        assert await plans.rows(claim, _CLAIM, mode=mode) <= 10
        assert await plans.rows(READY, "('g', '{l,other}')", mode=mode) <= 10


async def test_windows_look_at_what_they_return(plans: Plans) -> None:
    """Along the stream, the list or the log, up to the limit."""
    values = "('g', '{r,r}', '{key1,key2}', '{idle1,idle2}', '{0,0}', '{15000,15001}', "
    values += """'{"",""}', array['["Added"]', NULL], 10, 1000000)"""
    for mode in MODES:
        for kind in TargetKind:
            sql = windows_sql(READS[kind], max_events=10)
            # Of each event, its private data is looked for too.
            assert 0 < await plans.rows(sql, values, mode=mode) <= 60


async def test_operators_look_at_what_is_concerned(plans: Plans) -> None:
    """What is blocked, and what reads a stream that is cut off."""
    blocked = targets_sql(blocked=True)
    for mode in MODES:
        assert await plans.rows(UNBLOCK, "('g', 'r', NULL)", mode=mode) <= 2 * BLOCKED
        assert await plans.rows(blocked, "('g', NULL, '', '')", mode=mode) <= 2 * BLOCKED
        assert await plans.rows(PENDING, "('idle7')", mode=mode) <= 10
        assert await plans.rows(NEEDED, "('work7')", mode=mode) <= 10

"""Several components bring their tables in one schema up to date, independently."""

import asyncio
from collections.abc import Mapping

import pytest

from arvo_postgres import (
    Connections,
    Migrations,
    MissingSchemaError,
    StatementRunner,
    TableName,
    migration_files,
)
from arvo_time import BackendError

from .conftest import Connect, execute, fetch, quoted

FIRST = "CREATE TABLE {table} (id bigint PRIMARY KEY);"
SECOND = "ALTER TABLE {table} ADD COLUMN name text;"


def migrations(schema: str, table: str, *sql: str) -> Migrations:
    name = TableName(schema=schema, table=table)
    numbered: Mapping[int, str] = {
        number: each.replace("{table}", name.quoted) for number, each in enumerate(sql, 1)
    }
    return Migrations(table=name, sql=numbered, distribution=f"the-{table}")


async def check(each: Migrations, connections: Connections) -> None:
    await each.check(StatementRunner(connections, table=each.table))


async def test_two_components_of_a_schema_have_separate_versions(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    machines = migrations(schema, "machines", FIRST)
    events = migrations(schema, "events", FIRST, SECOND)
    async with connect_to() as connections:
        assert await machines.run(connections)
        with pytest.raises(MissingSchemaError, match=r"events' is missing"):
            await check(events, connections)
        assert await events.run(connections)
        for each in (machines, events):
            await check(each, connections)
            assert await each.run(connections) == ""
    for table, versions in (("machines", [1]), ("events", [1, 2])):
        rows = await fetch(
            postgres_dsn,
            f"SELECT version FROM {quoted(schema)}.{table}_migrations ORDER BY version",
        )
        assert [row["version"] for row in rows] == versions


async def test_a_newer_component_does_not_affect_the_other(
    schema: str, connect_to: Connect
) -> None:
    machines = migrations(schema, "machines", FIRST)
    async with connect_to() as connections:
        await machines.run(connections)
        await migrations(schema, "events", FIRST, SECOND).run(connections)
        older = migrations(schema, "events", FIRST)
        for call in (check(older, connections), older.run(connections)):
            with pytest.raises(BackendError, match="pip install --upgrade the-events") as caught:
                await call
            assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
        await check(machines, connections)


async def test_components_that_migrate_together_wait_for_each_other(
    schema: str, connect_to: Connect
) -> None:
    """Each creates the schema or finds it; the second one has nothing left to do."""
    tables = ["machines", "events"] * 4
    async with connect_to(pool_size=8) as connections:
        made = await asyncio.gather(
            *(migrations(schema, table, FIRST, SECOND).run(connections) for table in tables)
        )
    assert sorted(table for table, sql in zip(tables, made, strict=True) if sql) == [
        "events",
        "machines",
    ]


async def test_an_older_component_gets_only_the_missing_migrations(
    schema: str, connect_to: Connect
) -> None:
    async with connect_to() as connections:
        await migrations(schema, "events", FIRST).run(connections)
        newer = migrations(schema, "events", FIRST, SECOND)
        with pytest.raises(MissingSchemaError, match="has version 1, older than 2"):
            await check(newer, connections)
        sql = await newer.run(connections)
        assert "ADD COLUMN" in sql
        assert "CREATE" not in sql
        await check(newer, connections)


async def test_a_migration_that_fails_changes_nothing(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    broken = migrations(schema, "events", FIRST, "SELECT 1 / 0;")
    async with connect_to(pool_size=1) as connections:
        with pytest.raises(BackendError, match="refused MIGRATE: DivisionByZero") as caught:
            await broken.run(connections)
        assert caught.value.outcome == "failed"
        rows = await fetch(postgres_dsn, "SELECT FROM pg_namespace WHERE nspname = $1", schema)
        assert rows == []
        # Its connection can be used again.
        assert await migrations(schema, "events", FIRST).run(connections)


async def test_a_dry_run_only_returns_the_sql(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    events = migrations(schema, "events", FIRST)
    async with connect_to() as connections:
        sql = await events.run(connections, dry_run=True)
        rows = await fetch(postgres_dsn, "SELECT FROM pg_namespace WHERE nspname = $1", schema)
        assert rows == []
        await execute(postgres_dsn, sql)
        assert await events.run(connections) == ""


async def test_a_check_that_fails_has_changed_nothing(schema: str, connect_to: Connect) -> None:
    events = migrations(schema, "events", FIRST)
    async with connect_to() as connections:
        await connections.aclose()
        with pytest.raises(BackendError) as caught:
            await check(events, connections)
        assert caught.value.outcome == "failed"


def test_files_are_read_in_the_order_of_their_numbers(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("made") / "a_component_with_files"
    (folder / "_migrations").mkdir(parents=True)
    (folder / "__init__.py").touch()
    for name, sql in (("0010_ten.sql", "ten"), ("0002_two.sql", "two"), ("notes.txt", "no")):
        (folder / "_migrations" / name).write_text(sql, "utf-8")
    monkeypatch.syspath_prepend(folder.parent)
    assert list(migration_files("a_component_with_files").items()) == [(2, "two"), (10, "ten")]


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 64, "ö" * 32, "\ud800"])
def test_an_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="schema must be a name"):
        TableName(schema=name, table="machines")
    with pytest.raises(ValueError, match="table must be a name"):
        TableName(schema="shop", table=name)

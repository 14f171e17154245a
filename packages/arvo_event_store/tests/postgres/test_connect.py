"""The store on PostgreSQL by URL."""

import pytest

from arvo_event_store import NewEvent, SchemaError, connect_event_store, migrate_event_store
from arvo_event_store.postgres import PostgresEventStore


async def test_tables_are_made_by_migrating_only(postgres_dsn: str, no_schema: str) -> None:
    url = f"{postgres_dsn}?schema={no_schema}&application_name=test"
    async with connect_event_store(url) as store:
        assert isinstance(store, PostgresEventStore)
        with pytest.raises(SchemaError, match="migrate"):
            await store.append("a", [NewEvent("Added", 7)])
    sql = await migrate_event_store(url, dry_run=True)
    assert "CREATE TABLE" in sql
    assert await migrate_event_store(url) == sql
    assert await migrate_event_store(url) == ""
    async with connect_event_store(url) as store:
        await store.append("a", [NewEvent("Added", 7)])
        assert [event.data async for event in store.read("a")] == [7]

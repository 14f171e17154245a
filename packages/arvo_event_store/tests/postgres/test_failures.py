"""What is wrong is said with its remedy, and no error of the driver leaves the store."""

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from arvo_event_store import (
    Append,
    ConflictError,
    NewEvent,
    SchemaError,
    Snapshot,
    StoreFailure,
)
from arvo_event_store.postgres import PostgresEventStore
from arvo_time.testing import FakeClock

from .conftest import Connect, execute, fetch, quoted


def added() -> NewEvent:
    return NewEvent("Added", {"amount": 1})


class TestSchema:
    async def test_missing_tables_are_an_error_that_says_what_to_do(
        self, postgres_dsn: str, no_schema: str
    ) -> None:
        async with PostgresEventStore.connect(postgres_dsn, schema=no_schema) as store:
            for call in (store.append("a", [added()]), store.heads(["a"]), store.horizon()):
                with pytest.raises(SchemaError, match=r"is missing; run `await store.migrate\(\)`"):
                    await call
            with pytest.raises(SchemaError, match="is missing"):
                async with store.transaction():
                    raise AssertionError("it must not begin")
            await store.migrate()
            assert (await store.append("a", [added()])).version == 0

    async def test_missing_tables_are_found_in_a_joined_transaction(
        self, postgres_dsn: str, no_schema: str
    ) -> None:
        """Which goes on."""
        async with asyncpg.create_pool(postgres_dsn, min_size=1, max_size=1) as pool:
            store = PostgresEventStore(pool, schema=no_schema)
            async with pool.acquire() as connection, connection.transaction():
                with pytest.raises(SchemaError, match="is missing"):
                    await store.join(connection).append("a", [added()])
                assert await connection.fetchval("SELECT 1") == 1

    async def test_tables_that_are_dropped_meanwhile_are_missing(
        self, postgres_dsn: str, no_schema: str
    ) -> None:
        async with PostgresEventStore.connect(postgres_dsn, schema=no_schema) as store:
            await store.migrate()
            await store.append("a", [added()])
            await execute(postgres_dsn, f"DROP SCHEMA {quoted(no_schema)} CASCADE")
            with pytest.raises(SchemaError, match="missing or outdated"):
                await store.append("a", [added()])

    async def test_newer_tables_are_refused_by_name(
        self, postgres_dsn: str, no_schema: str
    ) -> None:
        async with PostgresEventStore.connect(postgres_dsn, schema=no_schema) as store:
            await store.migrate()
        versions = f"{quoted(no_schema)}.event_migrations"
        await execute(postgres_dsn, f"INSERT INTO {versions} (version) VALUES (99)")
        async with PostgresEventStore.connect(postgres_dsn, schema=no_schema) as store:
            for call in (store.heads(["a"]), store.migrate()):
                with pytest.raises(SchemaError, match="upgrade arvo-event-store"):
                    await call
        await execute(postgres_dsn, f"DELETE FROM {versions}")
        async with PostgresEventStore.connect(postgres_dsn, schema=no_schema) as store:
            with pytest.raises(SchemaError, match="is missing"):
                await store.heads(["a"])

    @pytest.mark.parametrize(
        ("change", "remedy"),
        [
            ("ALTER SEQUENCE {sequence} CACHE 20", "cache of 20.*run `ALTER SEQUENCE .* CACHE 1`"),
            (
                """INSERT INTO {event} (position, id, stream, version, name, data, meta, correlation)
                OVERRIDING SYSTEM VALUE VALUES (7, gen_random_uuid(), 'a', 0, 'n', '1', '{{}}', 'c')""",
                r"at 1, behind the last event at 7; run `SELECT setval\(.*, 7\)`",
            ),
        ],
        ids=["cache", "behind"],
    )
    async def test_a_sequence_that_would_break_the_order_is_refused(
        self, change: str, remedy: str, postgres_dsn: str, no_schema: str
    ) -> None:
        async with PostgresEventStore.connect(postgres_dsn, schema=no_schema) as store:
            await store.migrate()
        schema = quoted(no_schema)
        sql = change.format(sequence=f"{schema}.event_position_seq", event=f"{schema}.event")
        await execute(postgres_dsn, sql)
        async with PostgresEventStore.connect(postgres_dsn, schema=no_schema) as store:
            with pytest.raises(SchemaError, match=remedy) as caught:
                await store.append("a", [added()])
            await execute(postgres_dsn, str(caught.value).rpartition("run `")[2].rstrip("`"))
            assert (await store.append("b", [added()])).version == 0

    async def test_migrations_of_many_are_run_once(self, postgres_dsn: str, no_schema: str) -> None:
        async def migrate() -> str:
            async with PostgresEventStore.connect(postgres_dsn, schema=no_schema) as store:
                return await store.migrate()

        done = await asyncio.gather(*(migrate() for _ in range(8)))
        assert sorted(map(bool, done)) == [False] * 7 + [True]

    async def test_a_dry_run_says_what_would_be_done(
        self, postgres_dsn: str, no_schema: str
    ) -> None:
        async with PostgresEventStore.connect(postgres_dsn, schema=no_schema) as store:
            sql = await store.migrate(dry_run=True)
            with pytest.raises(SchemaError):
                await store.heads(["a"])
            assert await store.migrate() == sql
            assert await store.migrate(dry_run=True) == ""

    async def test_stores_of_one_schema_are_kept_apart_by_a_prefix(
        self, postgres_dsn: str, no_schema: str
    ) -> None:
        """Whatever it is made of."""
        connect = PostgresEventStore.connect
        evil = '"; DROP TABLE x --'
        async with (
            connect(postgres_dsn, schema=no_schema) as one,
            connect(postgres_dsn, schema=no_schema, prefix=evil) as other,
        ):
            await one.migrate()
            await other.migrate()
            await one.append("a", [added()])
            async with other.transaction() as transaction:
                await transaction.append_all([Append("a", [added()]), Append("b", [added()])])
                await one.append("a", [added()])
                assert await one.horizon() == 2
            assert [event.version async for event in one.read_all()] == [0, 1]
            assert [event.stream async for event in other.read_all()] == ["a", "b"]


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value", "why"),
        [
            ("pool_size", 0, "be at least 1, got 0"),
            ("statement_cache_size", -1, "not be negative"),
            ("max_payload_bytes", 0, "be at least 1"),
            ("max_payload_bytes", "1", "be an int"),
            ("schema", "", "be a name"),
            ("prefix", "x" * 60, "have at most 32 bytes"),
            ("statement_timeout", timedelta(0), "be longer than zero"),
            ("statement_timeout", 30, "be a timedelta"),
            ("pool_timeout", timedelta.max, "be at most 1 day"),
        ],
    )
    async def test_a_wrong_setting_is_refused_by_name(
        self, name: str, value: object, why: str
    ) -> None:
        options: dict[str, Any] = {name: value}
        with pytest.raises((TypeError, ValueError), match=f"{name} must {why}"):
            async with PostgresEventStore.connect("postgresql://127.0.0.1:1/none", **options):
                raise AssertionError("it must not open")

    @pytest.mark.parametrize(
        ("dsn", "error"),
        [
            ("postgresql://user:secret@127.0.0.1:1/none", StoreFailure),
            ("nonsense://user:secret@host/x", ValueError),
        ],
    )
    async def test_a_wrong_address_shows_no_password(
        self, dsn: str, error: type[Exception]
    ) -> None:
        with pytest.raises(error) as caught:
            async with PostgresEventStore.connect(dsn):
                raise AssertionError("it must not open")
        assert "secret" not in str(caught.value)

    async def test_a_pooler_that_keeps_no_statements_is_served(self, connect_to: Connect) -> None:
        async with connect_to(statement_cache_size=0) as store:
            assert (await store.append("a", [added()])).version == 0
            assert len([event async for event in store.read_all()]) == 1

    async def test_a_closed_store_refuses_every_call(self, postgres_dsn: str, schema: str) -> None:
        """And leaves a pool open that it only borrowed."""
        async with asyncpg.create_pool(postgres_dsn, min_size=1, max_size=1) as pool:
            store = PostgresEventStore(pool, schema=schema)
            await store.append("a", [added()])
            events = store.read("a")
            await store.aclose()
            await store.aclose()
            snapshot = Snapshot(stream="a", kind="k", version=0, schema=1, state=1)
            for call in (
                *(store.append("a", [added()]), store.heads(["a"]), store.horizon()),
                *(store.save_snapshot(snapshot), store.latest_snapshot("a", kind="k")),
                *(store.close_stream("a"), store.truncate("a", before=0), store.forget("a")),
                *(store.delete_stream("a"), store.migrate(), anext(events)),
            ):
                with pytest.raises(StoreFailure, match="store was closed") as caught:
                    await call
                assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
            assert await pool.fetchval("SELECT 1") == 1


def every_error() -> Iterator[type[Exception]]:
    """Yield all errors that asyncpg can raise."""
    bases: list[type[Exception]] = [
        kind
        for kind in vars(asyncpg.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    while bases:
        bases += (kind := bases.pop()).__subclasses__()
        yield kind


class BrokenConnection:
    """Answers everything with one error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def fetch(self, *args: object, **options: object) -> None:
        raise self._error

    def transaction(self, **options: object) -> "BrokenConnection":
        return self

    async def __aenter__(self) -> None:
        raise self._error

    def terminate(self) -> None: ...


class BrokenPool:
    """Lends broken connections."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def is_closing(self) -> bool:
        return False

    async def acquire(self, **options: object) -> BrokenConnection:
        return BrokenConnection(self._error)

    async def release(self, connection: object) -> None: ...


async def test_no_error_of_the_driver_leaves_the_store() -> None:
    """Whatever asyncpg raises, in a statement or when a transaction begins."""
    for module in pkgutil.walk_packages(asyncpg.__path__, "asyncpg."):
        if "._testbase" not in module.name:
            importlib.import_module(module.name)
    kinds = [*{*every_error()}, ConnectionResetError, TimeoutError, OSError]
    assert len(kinds) > 200
    outcomes = set[str]()
    for kind in kinds:
        clock = FakeClock()
        store = PostgresEventStore(BrokenPool(kind("as the server says it")), clock=clock)
        store._schema._is_checked = True
        for call in (store.append("a", [added()]), store.heads(["a"]), store.close_stream("a")):
            running = asyncio.ensure_future(call)
            await clock.run_for(timedelta(seconds=10))
            with pytest.raises((StoreFailure, SchemaError)) as caught:
                await running
            if isinstance(caught.value, StoreFailure):
                outcomes.add(caught.value.outcome)
    assert outcomes == {"failed", "unknown"}


@pytest.fixture
async def spans(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


async def test_every_statement_has_a_span(
    store: PostgresEventStore, spans: InMemorySpanExporter
) -> None:
    """Named after what it is for; names of streams are in none of them."""
    await store.heads(["a"])
    spans.clear()
    await store.append("a", [added()])
    assert [event.version async for event in store.read("a")] == [0]
    assert len([event async for event in store.read_all()]) == 1
    await store.heads(["a"])
    await store.save_snapshot(Snapshot(stream="a", kind="k", version=0, schema=1, state=1))
    with pytest.raises(ConflictError):
        await store.append("a", [added()], expect=7)
    async with store.transaction() as transaction:
        await transaction.append("a", [added()])
    table = f"{store._tables.schema}.event"
    names = [span.name for span in spans.get_finished_spans()]
    operations = ["APPEND", "READ", "HORIZON", "READ_ALL", "HEADS", "SNAPSHOT", *["APPEND"] * 3]
    assert names == [f"{operation} {table}" for operation in operations]
    for span in spans.get_finished_spans():
        assert span.attributes is not None
        assert span.attributes["db.collection.name"] == table
        assert "a" not in span.attributes.values()


async def test_a_statement_that_takes_too_long_is_an_error(
    postgres_dsn: str, connect_to: Connect, schema: str
) -> None:
    """Another client has locked the row; the append may still be stored, so that is unknown."""
    batch = [added()]
    async with connect_to() as patient:
        await patient.append("a", [added()])
        async with connect_to(statement_timeout=timedelta(milliseconds=100)) as store:
            await store.heads(["a"])
            connection = await asyncpg.connect(postgres_dsn)
            try:
                async with connection.transaction():
                    await connection.fetch(f"SELECT FROM {quoted(schema)}.stream FOR UPDATE")
                    with pytest.raises(StoreFailure, match="statement_timeout") as caught:
                        await store.append("a", batch)
            finally:
                await connection.close()
            assert (caught.value.retryable, caught.value.outcome) == (True, "unknown")
        assert (await patient.append("a", batch)).version == 1


async def test_damaged_json_is_named(store: PostgresEventStore, postgres_dsn: str) -> None:
    """As far as JSON of PostgreSQL can be damaged: it allows what Python cannot read."""
    await store.append("a", [added()])
    schema = quoted(store._tables.schema)
    await fetch(postgres_dsn, f"INSERT INTO {schema}.private VALUES (1, $1::json)", "1" * 5000)
    with pytest.raises(StoreFailure, match="event 1 is damaged"):
        _ = [event async for event in store.read("a")]

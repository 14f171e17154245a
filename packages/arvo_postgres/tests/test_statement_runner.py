"""Statements are repeated where that is safe, judged by the driver's error, and traced."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import asyncpg
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from arvo_postgres import Connections, MissingSchemaError, StatementRunner, is_contention
from arvo_time import BackendError, ClosedError
from arvo_time.testing import FakeClock

from .conftest import NAME, Connect, behind_proxy, execute, quoted, runner_on


async def test_the_rows_of_an_answer_are_returned(connect_to: Connect) -> None:
    async with connect_to() as connections:
        runner = runner_on(connections)
        some = await runner.run("TEST", "SELECT * FROM generate_series(1, $1) AS number", 3)
        assert [row["number"] for row in some.rows] == [1, 2, 3]
        assert (some.row["number"], some.repeated) == (1, False)
        none = await runner.run("TEST", "SELECT 1 WHERE false")
        assert (none.rows, none.row) == ([], None)


async def test_a_statement_whose_answer_is_lost_is_sent_again_and_marked_as_repeated(
    postgres_dsn: str,
) -> None:
    async with behind_proxy(postgres_dsn) as (proxy, connections):
        runner = runner_on(connections)
        await runner.run("TEST", "SELECT $1::text", "before")
        fault = proxy.lose_next_reply(containing=b"a mark")
        answer = await runner.run("TEST", "SELECT $1::text", "a mark")
        assert fault.happened.is_set()
        assert (answer.row[0], answer.repeated) == ("a mark", True)


async def test_the_pause_before_the_next_try_follows_the_clock(postgres_dsn: str) -> None:
    clock = FakeClock()
    async with behind_proxy(postgres_dsn) as (proxy, connections):
        runner = StatementRunner(connections, table=NAME, clock=clock)
        fault = proxy.lose_next_reply(containing=b"a mark")
        running = asyncio.ensure_future(runner.run("TEST", "SELECT $1::text", "a mark"))
        await fault.happened.wait()
        async with asyncio.timeout(5):
            while not clock.pending:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert not running.done()
        clock.advance(timedelta(milliseconds=20))
        assert (await running).repeated


async def test_the_error_of_a_refused_statement_has_that_of_the_driver_as_its_cause(
    connect_to: Connect,
) -> None:
    async with connect_to() as connections:
        with pytest.raises(BackendError, match="PostgreSQL refused TEST: DivisionByZero") as caught:
            await runner_on(connections).run("TEST", "SELECT 1 / 0")
        assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
        assert isinstance(caught.value.__cause__, asyncpg.DivisionByZeroError)
        with pytest.raises(MissingSchemaError, match="the schema for TEST is missing or outdated"):
            await runner_on(connections).run("TEST", "SELECT FROM nothing.at_all")


async def test_a_statement_in_doubt_stays_in_doubt_when_the_connections_are_closed(
    postgres_dsn: str,
) -> None:
    async with behind_proxy(postgres_dsn) as (proxy, connections):
        fault = proxy.lose_next_reply(containing=b"a mark")
        runner = runner_on(connections)
        running = asyncio.ensure_future(runner.run("TEST", "SELECT $1::text", "a mark"))
        await fault.happened.wait()
        await connections.aclose()
        with pytest.raises(ClosedError) as caught:
            await running
        assert caught.value.outcome == "unknown"


async def test_a_statement_that_takes_too_long_is_in_doubt(connect_to: Connect) -> None:
    async with connect_to() as connections:
        runner = StatementRunner(
            connections, table=NAME, statement_timeout=timedelta(milliseconds=50)
        )
        with pytest.raises(BackendError, match="within statement_timeout") as caught:
            await runner.run("TEST", "SELECT pg_sleep(60)")
        assert (caught.value.retryable, caught.value.outcome) == (True, "unknown")


async def test_contention_is_recognised_by_the_error_of_the_driver(
    postgres_dsn: str, schema: str
) -> None:
    table = f"{quoted(schema)}.counts"
    await execute(
        postgres_dsn,
        f"CREATE SCHEMA {quoted(schema)}; CREATE TABLE {table} (n int); INSERT INTO {table} VALUES (0)",
    )
    strict = f"{postgres_dsn}?default_transaction_isolation=serializable"
    async with Connections.connect(strict, pool_size=2) as connections:
        other = await connections.take("TEST")
        async with other.transaction():
            await other.execute(f"UPDATE {table} SET n = 1")
            running = asyncio.ensure_future(
                runner_on(connections).run("TEST", f"UPDATE {table} SET n = 2")
            )
            waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"
            while not running.done() and not await other.fetchval(waits):
                pass
        await connections.give_back(other)
        with pytest.raises(BackendError) as caught:
            await running
    assert is_contention(caught.value.__cause__)
    assert not is_contention(None)


@pytest.mark.parametrize(
    ("value", "kind", "why"),
    [
        (timedelta(0), ValueError, "be longer than zero"),
        (timedelta.max, ValueError, "be at most 1 day"),
        (30, TypeError, "be a timedelta"),
    ],
)
async def test_a_wrong_statement_timeout_is_refused_by_name(
    connect_to: Connect, value: object, kind: type[Exception], why: str
) -> None:
    async with connect_to() as connections:
        with pytest.raises(kind, match=f"statement_timeout must {why}"):
            StatementRunner(connections, table=NAME, statement_timeout=value)  # type: ignore[arg-type]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Return the spans made within the test, by a provider that is removed after it."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


async def test_a_statement_has_one_span_that_names_the_error_of_the_driver(
    connect_to: Connect, spans: InMemorySpanExporter
) -> None:
    async with connect_to() as connections:
        with pytest.raises(BackendError):
            await runner_on(connections).run("DIVIDE", "SELECT 1 / 0")
    (span,) = spans.get_finished_spans()
    assert span.name == "DIVIDE shop.orders"
    assert dict(span.attributes or {}) == {
        "db.system.name": "postgresql",
        "db.operation.name": "DIVIDE",
        "db.collection.name": "shop.orders",
        "error.type": "DivisionByZeroError",
    }
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "division by zero"


async def test_a_statement_on_closed_connections_has_no_span(
    connect_to: Connect, spans: InMemorySpanExporter
) -> None:
    async with connect_to() as connections:
        await connections.aclose()
        with pytest.raises(ClosedError):
            await runner_on(connections).run("READ", "SELECT 1")
    assert spans.get_finished_spans() == ()

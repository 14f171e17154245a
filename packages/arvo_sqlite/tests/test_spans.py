"""Spans of operations and queries, by OpenTelemetry's conventions for databases."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from arvo_sqlite import Component, SqliteClient
from arvo_time import BackendError

NOTES = Component(
    name="note", title="notes", package="notes", migrations=(("CREATE TABLE note (text TEXT)",),)
)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Return the spans made within the test, by a provider that is removed after it."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    (span,) = spans.get_finished_spans()
    return span


def count(connection: sqlite3.Connection) -> int:
    (found,) = connection.execute("SELECT count(*) FROM note").fetchone()
    return int(found)


@pytest.mark.parametrize("on_a_file", [True, False])
@pytest.mark.parametrize("call", ["write", "read"])
async def test_a_call_is_a_client_span(
    spans: InMemorySpanExporter, tmp_path: Path, call: str, on_a_file: bool
) -> None:
    path = str(tmp_path / "notes.db") if on_a_file else ":memory:"
    async with SqliteClient.connect(path, components=[NOTES]) as client:
        assert await getattr(client, call)(count, name="COUNT", collection="note") == 0
    span = only(spans)
    assert (span.name, span.kind) == ("COUNT note", SpanKind.CLIENT)
    assert dict(span.attributes or {}) == {
        "db.system.name": "sqlite",
        "db.namespace": "notes.db" if on_a_file else ":memory:",
        "db.operation.name": "COUNT",
        "db.collection.name": "note",
    }
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("on_a_file", [True, False])
async def test_a_query_without_a_name_is_no_span(
    spans: InMemorySpanExporter, tmp_path: Path, on_a_file: bool
) -> None:
    path = str(tmp_path / "notes.db") if on_a_file else ":memory:"
    async with SqliteClient.connect(path, components=[NOTES]) as client:
        assert await client.read(count, name=None, collection="note") == 0
    assert spans.get_finished_spans() == ()


@pytest.mark.parametrize("call", ["write", "read"])
async def test_a_failed_span_names_the_error_of_the_driver(
    spans: InMemorySpanExporter, call: str
) -> None:
    async with SqliteClient.connect(":memory:", components=[]) as client:
        with pytest.raises(BackendError):
            await getattr(client, call)(count, name="COUNT", collection="note")
    span = only(spans)
    assert (span.attributes or {})["error.type"] == "OperationalError"
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "no such table: note"


async def test_a_span_quotes_nothing_that_is_stored(
    spans: InMemorySpanExporter,
) -> None:
    async with SqliteClient.connect(":memory:", components=[]) as client:
        with pytest.raises(BackendError):
            await client.read(
                lambda connection: connection.execute(
                    "SELECT CAST(x'736563726574ff' AS TEXT)"
                ).fetchone(),
                name="READ",
                collection="note",
            )
    assert only(spans).status.description == ":memory:: a stored string is not UTF-8"


async def test_a_refusal_that_is_returned_does_not_fail_the_span(
    spans: InMemorySpanExporter,
) -> None:
    async with SqliteClient.connect(":memory:", components=[NOTES]) as client:
        refusal = await client.write(lambda _: KeyError("taken"), name="ADD", collection="note")
    assert isinstance(refusal, KeyError)
    assert only(spans).status.status_code is StatusCode.UNSET

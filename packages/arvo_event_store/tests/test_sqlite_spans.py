"""Every call that reaches the file is a span, by OpenTelemetry's conventions for databases."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from arvo_event_store import PER_STREAM, ConflictError, NewEvent, Snapshot, SqliteEventStore
from arvo_event_store.stores import Done, Finish, Mark, ReactionSpec

ME = UUID(int=1)
TTL = timedelta(hours=1)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Return the spans made within the test, by a provider that is removed after it."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


async def test_each_call_that_reaches_the_file_is_a_span(
    spans: InMemorySpanExporter, tmp_path: Path
) -> None:
    async with SqliteEventStore.connect(tmp_path / "events.db") as store:
        await make_calls(store)
    made = spans.get_finished_spans()
    assert [span.name for span in made] == [
        *("APPEND event", "READ event", "READ_ALL event", "HEADS event", "HORIZON event"),
        *("SNAPSHOT event", "SNAPSHOT event", "TARGETS target", "STREAMS stream"),
        *("WRITE event", "EXECUTE event", "FETCH event"),
        *("CLOSE_STREAM event", "REOPEN_STREAM event", "RECORD_ARCHIVE event"),
        *("TRUNCATE event", "FORGET event", "DELETE_STREAM event"),
        *("REGISTER reaction", "LEASE_SCAN reaction", "SCAN event", "MARK target"),
        *("LEAVE reaction", "READY target", "CLAIM target", "WINDOWS event", "EXTEND target"),
        *("RELEASE target", "FINISH target", "LAG reaction", "UNBLOCK target", "SKIP target"),
        *("RESET target", "PARKED parked", "REPLAY target"),
    ]
    for span in made:
        attributes = dict(span.attributes or {})
        assert attributes["db.system.name"] == "sqlite"
        assert attributes["db.namespace"] == "events.db"
        assert span.status.status_code is StatusCode.UNSET


async def make_calls(store: SqliteEventStore) -> None:
    await store.append("a", [NewEvent("Added", 1)])
    for events in (store.read("a"), store.read_all()):
        assert [event.data async for event in events] == [1]
    await store.heads(["a"])
    await store.horizon()
    await store.save_snapshot(Snapshot(stream="a", kind="k", version=0, schema=1, state=1))
    await store.latest_snapshot("a", kind="k")
    await drained(store.targets("g"))
    await drained(store.streams())
    await store.write(lambda connection, log: log.horizon())
    await store.execute("CREATE TABLE own (id)")
    await store.fetch("SELECT * FROM own")
    await store.close_stream("a")
    await store.reopen_stream("a")
    await store.record_archive("a", archive="x")
    await store.truncate("a", before=1)
    await store.forget("a")
    await store.delete_stream("a")
    await make_calls_about_reactions(store)


async def make_calls_about_reactions(store: SqliteEventStore) -> None:
    """Each once; looks for changes of others, many times a second, are no spans."""
    spec = ReactionSpec(name="r", events=None, lane="l")
    await store.register("g", [spec])
    page = await store.scan("g", owner=ME, ttl=TTL, reactions=[spec], limit=5)
    assert page is not None
    mark = Mark(reaction="r", key="a", lane="l", reads=PER_STREAM, stream="a", at=0, mark=1)
    await store.mark(page, [mark], progress=["r"])
    await store.leave("g", owner=ME)
    await store.ready("g", lanes=["l"])
    (lease,) = await store.claim(
        "g",
        owner=ME,
        ttl=TTL,
        reactions=[spec],
        lane="l",
        lagging=1,
        leading=0,
        max_events=1,
        max_bytes=1,
    )
    await store.extend([lease], ttl=TTL)
    await store.release([lease])
    await store.finish([Finish(lease=lease, at=1, then=Done())])
    await store.lag("g")
    await store.unblock("g", reaction="r")
    await store.skip("g", reaction="r", key="a")
    await store.reset("g", reaction="r", after=0)
    await drained(store.parked("g"))
    await store.replay("g", [])
    assert not await store.wait_for_change(seen=store.changes, at_most=timedelta(0))


async def drained(items: AsyncIterator[object]) -> None:
    async for _ in items:
        pass


async def test_a_refusal_does_not_fail_the_span(spans: InMemorySpanExporter) -> None:
    async with SqliteEventStore.connect(":memory:") as store:
        with pytest.raises(ConflictError):
            await store.append("a", [NewEvent("Added", 1)], expect=7)
    (span,) = spans.get_finished_spans()
    assert (span.name, span.status.status_code) == ("APPEND event", StatusCode.UNSET)


async def test_no_span_is_open_while_the_caller_has_an_event(spans: InMemorySpanExporter) -> None:
    async with SqliteEventStore.connect(":memory:") as store:
        await store.append("a", [NewEvent("Added", 1)])
        async for _ in store.read("a"):
            assert not trace.get_current_span().is_recording()
            assert [span.name for span in spans.get_finished_spans()][-1] == "READ event"

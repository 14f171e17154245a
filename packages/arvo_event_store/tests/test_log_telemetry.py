"""Appends are counted, and events carry the trace in which they were appended."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from opentelemetry import trace

from arvo_event_store import (
    Append,
    Archive,
    ConflictError,
    Expect,
    MemoryEventStore,
    NewEvent,
    SqliteEventStore,
    SqliteLog,
)
from arvo_event_store._store import IEventStore
from arvo_time.testing import MetricRecorder, SpanRecorder

OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[IEventStore]:
    if request.param == "memory":
        async with MemoryEventStore() as memory:
            yield memory
    else:
        async with SqliteEventStore.connect(":memory:") as file:
            yield file


def counted(metrics: MetricRecorder) -> dict[str, float]:
    """Return what the log has counted."""
    found = {
        str(each.attributes["arvo.outcome"]): each.value
        for each in metrics.find_all(name="arvo.event_store.appends")
    }
    for each in metrics.find_all(name="arvo.event_store.events"):
        found["events"] = each.value
    return found


async def traces(store: IEventStore, stream: str) -> Sequence[object]:
    return [event.meta.get("traceparent") async for event in store.read(stream)]


async def test_appends_duplicates_and_conflicts_are_counted(store: IEventStore) -> None:
    new = [NewEvent("Added", 1), NewEvent("Added", 2)]
    with MetricRecorder() as metrics:
        await store.append("a", new)
        await store.append("a", new)
        await store.append_all(
            [Append("a", [NewEvent("Added", 3)]), Append("b", []), Append("c", new[:0])]
        )
        with pytest.raises(ConflictError):
            await store.append("a", [NewEvent("Added", 4)], expect=7)
        assert counted(metrics) == {"stored": 2, "events": 3, "duplicate": 1, "conflict": 1}


async def test_an_event_carries_the_trace_of_its_append(store: IEventStore) -> None:
    with SpanRecorder() as spans:
        with trace.get_tracer("shop").start_as_current_span("order"):
            await store.append("a", [NewEvent("Added", 1, meta={"schema": 2})])
            await store.append("a", [NewEvent("Added", 2, meta={"traceparent": OTHER})])
        await store.append("a", [NewEvent("Added", 3)])
        ours = spans.find(name="order").traceparent
    await store.append("a", [NewEvent("Added", 4)])
    assert await traces(store, "a") == [ours, OTHER, None, None]
    (first, *_) = [event async for event in store.read("a")]
    assert first.meta == {"schema": 2, "traceparent": ours}


async def test_meta_that_is_no_mapping_is_refused_in_a_trace_too(store: IEventStore) -> None:
    with (
        SpanRecorder(),
        trace.get_tracer("shop").start_as_current_span("order"),
        pytest.raises(TypeError, match="meta must be a dict"),
    ):
        await store.append("a", [NewEvent("Added", 1, meta=7)])  # type: ignore[arg-type]


async def test_an_event_that_is_restored_gets_no_new_trace(
    store: IEventStore, tmp_path: Path
) -> None:
    metas = [{"traceparent": OTHER}, {}]
    await store.append("a", [NewEvent("Added", 1, meta=meta) for meta in metas])
    archive = Archive(tmp_path)
    await archive.write(store, "a")
    async with MemoryEventStore() as other:
        with SpanRecorder(), trace.get_tracer("shop").start_as_current_span("restoring"):
            await archive.restore(other)
        assert await traces(other, "a") == [OTHER, None]


async def test_work_in_the_thread_that_writes_belongs_to_the_trace_of_its_caller() -> None:
    def work(_: object, log: SqliteLog) -> None:
        log.append("a", [NewEvent("Added", 1)], expect=Expect.NO_STREAM)

    async with SqliteEventStore.connect(":memory:") as store:
        with SpanRecorder() as spans:
            with trace.get_tracer("shop").start_as_current_span("order"):
                await store.write(work)
            ours = spans.find(name="order").traceparent
        assert await traces(store, "a") == [ours]

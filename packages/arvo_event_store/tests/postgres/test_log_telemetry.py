"""Appends are counted as on the other stores, but for those of a transaction that is open still."""

import pytest
from opentelemetry import trace

from arvo_event_store import ConflictError, NewEvent
from arvo_event_store.postgres import PostgresEventStore
from arvo_time.testing import MetricRecorder, SpanRecorder


async def test_appends_are_counted_and_traced(store: PostgresEventStore) -> None:
    new = [NewEvent("Added", 1), NewEvent("Added", 2)]
    with MetricRecorder() as metrics, SpanRecorder() as spans:
        with trace.get_tracer("shop").start_as_current_span("order"):
            await store.append("a", new)
        await store.append("a", new)
        with pytest.raises(ConflictError):
            await store.append("a", [NewEvent("Added", 3)], expect=7)
        async with store.transaction() as log:
            await log.append("a", [NewEvent("Added", 4)])
            with pytest.raises(ConflictError):
                await log.append("a", [NewEvent("Added", 5)], expect=7)
        ours = spans.find(name="order").traceparent
        assert {
            each.attributes["arvo.outcome"]: each.value
            for each in metrics.find_all(name="arvo.event_store.appends")
        } == {"stored": 1, "duplicate": 1, "conflict": 1}
        assert metrics.find(name="arvo.event_store.events").value == 2
    found = [event.meta.get("traceparent") async for event in store.read("a")]
    assert found == [ours, ours, None]

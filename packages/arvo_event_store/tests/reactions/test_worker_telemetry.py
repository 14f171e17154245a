"""Handlers are spans, linked to the traces of their events, and what they did is counted."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from arvo_event_store import (
    Batch,
    Event,
    MemoryEventStore,
    NewEvent,
    Projection,
    Reaction,
    ReactionCall,
    ReactionWorker,
    Reject,
    _telemetry as counters,
)
from arvo_time.testing import FakeClock

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Return the spans made within the test, by a provider that is removed after it."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """Return what is counted within the test, by counter and outcome."""
    counted: Counter[tuple[str, str]] = Counter()

    class Counting:
        def __init__(self, name: str) -> None:
            self._name = name

        def add(self, count: int, attributes: dict[str, Any]) -> None:
            assert attributes["arvo.group"] == "g"
            counted[self._name, attributes.get("arvo.outcome", attributes["arvo.reaction"])] += (
                count
            )

    for name in ("_handled", "_failures", "_lost_leases"):
        monkeypatch.setattr(counters, name, Counting(name))
    return counted


async def test_a_handler_is_a_span_that_is_linked_to_its_event(
    store: MemoryEventStore,
    clock: FakeClock,
    spans: InMemorySpanExporter,
    counted: Counter[tuple[str, str]],
) -> None:
    async def refuse(call: ReactionCall[Event]) -> None:
        if call.event.version == 2:
            raise Reject("not two")

    async def project(_: Batch[Event]) -> None: ...

    metas: list[dict[str, Any]] = [{"traceparent": TRACE}, {"traceparent": 7}, {}]
    await store.append("a", [NewEvent("Added", 1, meta=meta) for meta in metas])
    await store.append("a", [NewEvent("Added", 1, meta={"traceparent": "nonsense"})])
    worker = ReactionWorker(
        store,
        group="g",
        reactions=[
            Reaction(name="refuse", on=[Event], handler=refuse),
            Projection(name="project", on=[Event], handler=project),
        ],
        clock=clock,
    )
    await clock.run_until_complete(worker.settle())
    made = sorted(spans.get_finished_spans(), key=lambda span: (span.name, span.start_time or 0))
    assert [span.name for span in made] == ["handle project", *["handle refuse"] * 3]
    assert all(span.kind is SpanKind.CONSUMER for span in made)
    assert [len(span.links) for span in made] == [1, 1, 0, 0]
    assert made[1].links[0].context.trace_id == int(TRACE.split("-")[1], 16)
    assert [dict(span.attributes or {})["arvo.events"] for span in made] == [4, 1, 1, 1]
    failed = made[3]
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description == "not two"
    assert dict(failed.attributes or {})["error.type"] == "Reject"
    assert counted == {
        ("_handled", "project"): 4,
        ("_handled", "refuse"): 2,
        ("_failures", "blocked"): 1,
    }

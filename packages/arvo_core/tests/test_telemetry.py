"""Trace context, with real spans. No test installs a provider for the whole process."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, use_span
from pydantic import BaseModel

from arvo_core import ArvoContract, ArvoEventFactory, ContractVersion
from arvo_core.telemetry import (
    ArvoSpanKind,
    OpenInferenceSpanKind,
    TraceHeaders,
    current_trace_headers,
    trace_context,
)

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Empty(BaseModel):
    pass


V1 = ContractVersion("1.0.0", accepts=Empty, emits={})
FACTORY = ArvoEventFactory(ArvoContract(uri="#/x", type="com.x.y", versions=[V1]).version(V1))


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(spans: InMemorySpanExporter) -> Iterator[trace.Tracer]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield provider.get_tracer("test")
    provider.shutdown()


def test_without_a_span_there_are_no_headers() -> None:
    assert current_trace_headers() == TraceHeaders(None, None)
    assert FACTORY.accepts(source="com.a.b", data=Empty()).traceparent is None


def test_headers_are_those_of_the_current_span(tracer: trace.Tracer) -> None:
    with tracer.start_as_current_span("outer") as span:
        context = span.get_span_context()
        expected = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        assert current_trace_headers() == TraceHeaders(expected, None)


def test_headers_may_be_taken_from_another_context(tracer: trace.Tracer) -> None:
    other = trace.set_span_in_context(tracer.start_span("other"))
    with tracer.start_as_current_span("current"):
        assert current_trace_headers(other) != current_trace_headers()


def test_trace_state_survives() -> None:
    context = SpanContext(
        trace_id=1, span_id=2, is_remote=True, trace_flags=TraceFlags(1),
        trace_state=TraceState([("vendor", "1")]),
    )  # fmt: skip
    with use_span(NonRecordingSpan(context)):
        headers = current_trace_headers()
    assert headers.tracestate == "vendor=1"
    again = trace_context(headers)
    assert again is not None
    assert current_trace_headers(again) == headers


def test_a_trace_without_state_survives() -> None:
    context = trace_context(TraceHeaders(PARENT, None))
    assert context is not None
    assert current_trace_headers(context) == TraceHeaders(PARENT, None)


def test_a_factory_takes_the_headers_of_the_current_span(tracer: trace.Tracer) -> None:
    with tracer.start_as_current_span("outer"):
        event = FACTORY.accepts(source="com.a.b", data=Empty())
        assert event.traceparent == current_trace_headers().traceparent


def test_given_headers_take_precedence_over_those_of_the_span(tracer: trace.Tracer) -> None:
    with tracer.start_as_current_span("outer"):
        event = FACTORY.accepts(
            source="com.a.b", data=Empty(), traceparent=PARENT, tracestate="vendor=1"
        )
    assert (event.traceparent, event.tracestate) == (PARENT, "vendor=1")


def test_a_span_continues_the_trace_of_an_event(
    tracer: trace.Tracer, spans: InMemorySpanExporter
) -> None:
    with tracer.start_as_current_span("unrelated"):
        tracer.start_span("inner", context=trace_context(TraceHeaders(PARENT, "vendor=1"))).end()
    inner = spans.get_finished_spans()[0]
    assert inner.context is not None
    assert inner.parent is not None
    assert f"{inner.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{inner.parent.span_id:016x}" == "b7ad6b7169203331"
    assert inner.context.trace_state.to_header() == "vendor=1"


@pytest.mark.parametrize(
    "traceparent", [None, "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"]
)
def test_headers_without_a_trace_give_no_context(
    tracer: trace.Tracer, traceparent: str | None
) -> None:
    with tracer.start_as_current_span("outer"):
        assert trace_context(TraceHeaders(traceparent, "vendor=1")) is None


def test_kinds_are_their_wire_names() -> None:
    assert f"{ArvoSpanKind.EVENT_HANDLER}" == "handler.simple"
    assert f"{OpenInferenceSpanKind.AGENT}" == "AGENT"

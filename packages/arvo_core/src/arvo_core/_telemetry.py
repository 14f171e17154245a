"""Telemetry names and trace context, on the OpenTelemetry API alone.

While no SDK is installed, nothing here costs more than a look-up.
"""

from enum import StrEnum
from typing import NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

ARVO_SPAN_KIND = "arvo.span.kind"
"""Span attribute: an `ArvoSpanKind`."""
ARVO_CONTRACT_URI = "arvo.contract.uri"
"""Span attribute: the URI of the contract in use."""
ARVO_CONTRACT_VERSION = "arvo.contract.version"
"""Span attribute: the version of the contract in use."""
OPENINFERENCE_SPAN_KIND = "openinference.span.kind"
"""Span attribute: an `OpenInferenceSpanKind`."""

_PROPAGATOR = TraceContextTextMapPropagator()


class ArvoSpanKind(StrEnum):
    """Which part of Arvo a span is about. TypeScript: `ArvoExecutionSpanKind`."""

    EVENT_HANDLER = "handler.simple"
    ORCHESTRATOR = "handler.orchestrator.statemachine"
    RESUMABLE = "handler.orchestrator.imperative"
    INTERNAL = "internal"


class OpenInferenceSpanKind(StrEnum):
    """The span kinds of the OpenInference semantic conventions."""

    CHAIN = "CHAIN"
    RETRIEVER = "RETRIEVER"
    RERANKER = "RERANKER"
    LLM = "LLM"
    EMBEDDING = "EMBEDDING"
    TOOL = "TOOL"
    AGENT = "AGENT"
    GUARDRAIL = "GUARDRAIL"
    EVALUATOR = "EVALUATOR"


class TraceHeaders(NamedTuple):
    """W3C trace context as an event carries it."""

    traceparent: str | None
    """The `traceparent` header; None if nothing is traced."""
    tracestate: str | None
    """The `tracestate` header, or None."""


_UNTRACED = TraceHeaders(None, None)


def current_trace_headers(context: Context | None = None) -> TraceHeaders:
    """Return the trace context of the current span, or of the span in `context`."""
    if not trace.get_current_span(context).get_span_context().is_valid:
        return _UNTRACED
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, context)
    return TraceHeaders(carrier.get("traceparent"), carrier.get("tracestate"))


def trace_context(headers: TraceHeaders) -> Context | None:
    """Return the context in which a span continues `headers`; None if they carry no trace."""
    if headers.traceparent is None:
        return None
    carrier = {"traceparent": headers.traceparent}
    if headers.tracestate is not None:
        carrier["tracestate"] = headers.tracestate
    context = _PROPAGATOR.extract(carrier, Context())
    return context if trace.get_current_span(context).get_span_context().is_valid else None

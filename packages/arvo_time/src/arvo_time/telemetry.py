"""Spans, the traces they belong to, and instruments, through the OpenTelemetry API alone."""

from ._client_span import client_span, tracing_enabled
from ._handling_span import handling_span
from ._instruments import counter, gauge, histogram
from ._trace_parent import current_traceparent, without_trace

__all__ = [
    "client_span",
    "counter",
    "current_traceparent",
    "gauge",
    "handling_span",
    "histogram",
    "tracing_enabled",
    "without_trace",
]

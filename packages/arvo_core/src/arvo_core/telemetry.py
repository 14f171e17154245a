"""Names of Arvo's span attributes and span kinds, and the trace context that events carry."""

from ._telemetry import (
    ARVO_CONTRACT_URI,
    ARVO_CONTRACT_VERSION,
    ARVO_SPAN_KIND,
    OPENINFERENCE_SPAN_KIND,
    ArvoSpanKind,
    OpenInferenceSpanKind,
    TraceHeaders,
    current_trace_headers,
    trace_context,
)

__all__ = [
    "ARVO_CONTRACT_URI",
    "ARVO_CONTRACT_VERSION",
    "ARVO_SPAN_KIND",
    "OPENINFERENCE_SPAN_KIND",
    "ArvoSpanKind",
    "OpenInferenceSpanKind",
    "TraceHeaders",
    "current_trace_headers",
    "trace_context",
]

"""Spans of clients and of handlers, and counters, through the OpenTelemetry API alone."""

from ._client_span import client_span, tracing_enabled
from ._counter import counter
from ._handling_span import handling_span

__all__ = ["client_span", "counter", "handling_span", "tracing_enabled"]

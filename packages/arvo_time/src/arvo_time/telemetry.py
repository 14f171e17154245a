"""Spans of clients of databases and servers, and counters, through the OpenTelemetry API alone."""

from ._client_span import client_span, tracing_enabled
from ._counter import counter

__all__ = ["client_span", "counter", "tracing_enabled"]

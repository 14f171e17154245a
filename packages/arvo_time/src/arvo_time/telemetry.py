"""Spans of clients of databases and servers, through the OpenTelemetry API alone."""

from ._client_span import client_span, tracing_enabled

__all__ = ["client_span", "tracing_enabled"]

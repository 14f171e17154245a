"""Spans of database operations, by OpenTelemetry's conventions; nothing without an SDK."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from arvo_time.telemetry import tracing_enabled

_SCOPE = "arvo_memory_postgres"

T = TypeVar("T")


async def traced(operation: str, table: str, work: Callable[[], Awaitable[T]]) -> T:
    """Await `work`, within a client span if an SDK is installed."""
    if not tracing_enabled():
        return await work()
    with trace.get_tracer(_SCOPE).start_as_current_span(
        f"{operation} {table}",
        kind=SpanKind.CLIENT,
        attributes={
            "db.system.name": "postgresql",
            "db.operation.name": operation,
            "db.collection.name": table,
        },
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            return await work()
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
            raise

"""Spans of single operations, by OpenTelemetry's conventions for databases."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from arvo_time.telemetry import tracing_enabled

_SCOPE: Final = "arvo_memory_redis"


_NO_SPAN: Final = nullcontext()


def operation_span(
    operation: str, attributes: Mapping[str, str | int], *, script: str | None = None
) -> AbstractContextManager[None]:
    """Trace one operation; with no SDK installed nothing is made.

    Args:
        operation: The command.
        attributes: Where the server is.
        script: The script's name, if the command runs one.
    """
    return _span(operation, attributes, script) if tracing_enabled() else _NO_SPAN


def server_attributes(*, address: str, port: int | None, db: int) -> dict[str, str | int]:
    """Return where a server is.

    Args:
        address: Its host or its unix socket.
        port: None for a unix socket.
        db: The number of the database.
    """
    found: dict[str, str | int] = {"server.address": address, "db.namespace": str(db)}
    if port is not None:
        found["server.port"] = port
    return found


def warn(message: str) -> None:
    """Leave a warning on the span of whoever calls the memory."""
    if tracing_enabled():
        span = trace.get_current_span()
        if span.is_recording():
            span.add_event("warning", {"message": message})


@contextmanager
def _span(
    operation: str, attributes: Mapping[str, str | int], script: str | None
) -> Iterator[None]:
    described: dict[str, str | int] = {
        "db.system.name": "redis",
        "db.operation.name": operation,
        **attributes,
    }
    if script is not None:
        described["db.stored_procedure.name"] = script
    with trace.get_tracer(_SCOPE).start_as_current_span(
        operation if script is None else f"{operation} {script}",
        kind=SpanKind.CLIENT,
        attributes=described,
        set_status_on_exception=False,
        record_exception=False,
    ) as span:
        try:
            yield
        except Exception as error:
            # The driver's, where there is one: ours is the same for everything.
            span.set_attribute("error.type", type(error.__cause__ or error).__qualname__)
            span.set_status(Status(StatusCode.ERROR, str(error)))
            raise

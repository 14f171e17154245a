"""Spans of single calls to a database or server, by OpenTelemetry's conventions for databases.

Nothing here costs more than a look-up while no SDK is installed.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from opentelemetry import trace
from opentelemetry.environment_variables import OTEL_PYTHON_TRACER_PROVIDER
from opentelemetry.trace import SpanKind, Status, StatusCode

from ._excerpt import excerpt

_NAMED_BY_ENVIRONMENT: Final = OTEL_PYTHON_TRACER_PROVIDER in os.environ
_NO_SPAN: Final = nullcontext()
_DESCRIPTION_BYTES: Final = 4 * 1024


def tracing_enabled() -> bool:
    """Return whether a tracer provider is installed, so that spans would go somewhere."""
    # While there is none, `get_tracer_provider` reads the environment at every call, which costs
    # 4 % of handling an event. Should the API ever keep its provider elsewhere, it is called.
    if not _NAMED_BY_ENVIRONMENT and getattr(trace, "_TRACER_PROVIDER", ...) is None:
        return False
    return not isinstance(
        trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider
    )


def client_span(
    operation: str,
    *,
    scope: str,
    attributes: Mapping[str, str | int],
    collection: str | None = None,
    procedure: str | None = None,
) -> AbstractContextManager[None]:
    """Trace one operation of a client within a block; with no SDK installed, do nothing.

    An exception of the block marks the span as failed, with the type of the driver's error, which is
    its cause, and the first line of that error's message: the lines after it can quote data. If the
    exception leaves this line out of its own message, its own message describes the span, since the
    line can quote data as well. A cancellation only ends the span.

    Args:
        operation: The command or statement.
        scope: The package that traces.
        attributes: Which database system it is, and where.
        collection: The table or other collection that the operation works on; None if there is
            none.
        procedure: The stored procedure or script that it runs; None if there is none.
    """
    if not tracing_enabled():
        return _NO_SPAN
    return _span(operation, scope, attributes, collection, procedure)


@contextmanager
def _span(
    operation: str,
    scope: str,
    attributes: Mapping[str, str | int],
    collection: str | None,
    procedure: str | None,
) -> Iterator[None]:
    described = {"db.operation.name": operation, **attributes}
    if collection is not None:
        described["db.collection.name"] = collection
    if procedure is not None:
        described["db.stored_procedure.name"] = procedure
    with trace.get_tracer(scope).start_as_current_span(
        " ".join(filter(None, (operation, collection or procedure))),
        kind=SpanKind.CLIENT,
        attributes=described,
        set_status_on_exception=False,
        record_exception=False,
    ) as span:
        try:
            yield
        except Exception as error:
            # Our own error, raised from the driver's, has the same type for every failure.
            cause = error.__cause__ or error
            description, own = (str(each).partition("\n")[0] for each in (cause, error))
            if not description or description not in str(error):
                description = own
            span.set_attribute("error.type", type(cause).__qualname__)
            description = excerpt(description, max_bytes=_DESCRIPTION_BYTES)
            span.set_status(Status(StatusCode.ERROR, description))
            raise

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
    # While there is none, `get_tracer_provider` asks the environment again and again, which costs
    # 4 % of handling an event. Should the API ever keep its provider elsewhere, it is asked.
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
    """Trace one operation of a client within a block; with no SDK installed nothing is made.

    An exception of the block marks the span as failed, with the type of the driver's error, which is
    its cause, and the first line of that error's text: what follows can quote data. An exception that
    leaves this line out of its own message describes the span by that message, since the line can
    quote data as well. A cancellation only ends the span.

    Args:
        operation: The command or statement.
        scope: The package that traces.
        attributes: Which database system it is, and where.
        collection: The table or whatever else the operation works on; None for none.
        procedure: The stored procedure or script that it runs; None for none.
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
            # Ours, which is raised from the driver's, is the same for everything.
            cause = error.__cause__ or error
            said, own = (str(each).partition("\n")[0] for each in (cause, error))
            if not said or said not in str(error):
                said = own
            span.set_attribute("error.type", type(cause).__qualname__)
            span.set_status(Status(StatusCode.ERROR, excerpt(said, max_bytes=_DESCRIPTION_BYTES)))
            raise

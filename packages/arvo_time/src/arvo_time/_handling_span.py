"""Spans of handlers, linked to what they were called for."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ._client_span import tracing_enabled
from ._excerpt import excerpt

_NO_SPAN: Final = nullcontext()
_DESCRIPTION_BYTES: Final = 4 * 1024
_propagator: Final = TraceContextTextMapPropagator()


def handling_span(
    name: str,
    *,
    scope: str,
    attributes: Mapping[str, str | int],
    caused_by: Iterable[object],
) -> AbstractContextManager[None]:
    """Trace a call of a handler within a block; with no SDK installed, do nothing.

    An exception of the block marks the span as failed. A cancellation only ends it.

    Args:
        name: What is done.
        scope: The package that traces.
        attributes: What it is done for.
        caused_by: The `traceparent` of each event that is handled; what is not one is passed over.
    """
    if not tracing_enabled():
        return _NO_SPAN
    return _span(name, scope, attributes, caused_by)


@contextmanager
def _span(
    name: str, scope: str, attributes: Mapping[str, str | int], caused_by: Iterable[object]
) -> Iterator[None]:
    links = [link for each in caused_by if (link := _link(each)) is not None]
    with trace.get_tracer(scope).start_as_current_span(
        name,
        kind=SpanKind.CONSUMER,
        attributes=attributes,
        links=links,
        set_status_on_exception=False,
        record_exception=False,
    ) as span:
        try:
            yield
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            description = excerpt(str(error), max_bytes=_DESCRIPTION_BYTES)
            span.set_status(Status(StatusCode.ERROR, description))
            raise


def _link(traceparent: object) -> Link | None:
    if not isinstance(traceparent, str):
        return None
    found = _propagator.extract({"traceparent": traceparent}, context=Context())
    context = trace.get_current_span(found).get_span_context()
    return Link(context) if context.is_valid else None

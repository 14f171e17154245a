"""Spans of handlers, in the traces of what they were called for."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, Status, StatusCode

from ._client_span import tracing_enabled
from ._excerpt import excerpt
from ._trace_parent import stored_span

_NO_SPAN: Final = nullcontext()
_DESCRIPTION_BYTES: Final = 4 * 1024


def handling_span(
    name: str,
    *,
    scope: str,
    attributes: Mapping[str, str | int],
    caused_by: Iterable[object],
) -> AbstractContextManager[None]:
    """Trace a call of a handler within a block; with no SDK installed, do nothing.

    The span is linked to those of its events. That of a single event goes on with the event's trace;
    several events may be of several traces. An exception of the block marks the span as failed. A
    cancellation only ends it.

    Args:
        name: What is done.
        scope: The package that traces.
        attributes: What it is done for.
        caused_by: The `traceparent` of each event that is handled; what is not one is passed over.
    """
    if not tracing_enabled():
        return _NO_SPAN
    return _span(name, scope, attributes, [*caused_by])


@contextmanager
def _span(
    name: str, scope: str, attributes: Mapping[str, str | int], caused_by: list[object]
) -> Iterator[None]:
    causes = [cause for each in caused_by if (cause := stored_span(each)) is not None]
    parent = None
    if len(caused_by) == len(causes) == 1:
        parent = trace.set_span_in_context(NonRecordingSpan(causes[0]))
    with trace.get_tracer(scope).start_as_current_span(
        name,
        context=parent,
        kind=SpanKind.CONSUMER,
        attributes=attributes,
        links=[Link(cause) for cause in causes],
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

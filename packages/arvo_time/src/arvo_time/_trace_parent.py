"""The trace that something belongs to, as text that can be stored."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ._client_span import tracing_enabled

_FIELD: Final = "traceparent"
_NOTHING: Final = nullcontext()
_propagator: Final = TraceContextTextMapPropagator()


def current_traceparent() -> str | None:
    """Return the W3C `traceparent` of the current span; None without one, or without an SDK."""
    if not tracing_enabled():
        return None
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get(_FIELD)


def stored_span(traceparent: object) -> SpanContext | None:
    """Return the span that a `traceparent` names; None if it is not one."""
    if not isinstance(traceparent, str):
        return None
    found = _propagator.extract({_FIELD: traceparent}, context=Context())
    span = trace.get_current_span(found).get_span_context()
    return span if span.is_valid else None


def without_trace() -> AbstractContextManager[None]:
    """Work outside of any trace within a block; with no SDK installed, do nothing."""
    return _without_span() if tracing_enabled() else _NOTHING


@contextmanager
def _without_span() -> Iterator[None]:
    token = context.attach(trace.set_span_in_context(INVALID_SPAN))
    try:
        yield
    finally:
        context.detach(token)

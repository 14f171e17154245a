"""Spans and metrics of executions, through the OpenTelemetry API alone.

With no SDK installed nothing is made at all; the incoming trace context is only carried on.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode

from arvo_core import (
    ARVO_CONTRACT_URI,
    ARVO_SPAN_KIND,
    OPENINFERENCE_SPAN_KIND,
    ArvoEvent,
    ArvoSpanKind,
    OpenInferenceSpanKind,
    TraceHeaders,
    ViolationError,
    current_trace_headers,
    trace_context,
    tracing_enabled,
)

_SCOPE = "arvo_event_handler"

_metrics_state = getattr(metrics, "_internal", None)
_meter = metrics.get_meter(_SCOPE)
_executions = _meter.create_counter(
    "arvo.executions", description="Events handled, by source and outcome."
)
_duration = _meter.create_histogram(
    "arvo.execution.duration", unit="ms", description="Time to handle one event."
)
_lock_wait = _meter.create_histogram(
    "arvo.lock.wait", unit="ms", description="Time to acquire a workflow."
)


# Not frozen, which would triple the cost of making one for every event.
@dataclass(slots=True, kw_only=True)
class ExecutionTrace:
    """The telemetry of one execution."""

    span: Span
    """Non-recording when nothing is traced."""
    headers: TraceHeaders
    """What outgoing events carry on."""
    observed: bool
    """Whether anybody watches; see `observed`."""

    def warn(self, message: str) -> None:
        """Leave a warning on the span."""
        if self.span.is_recording():
            self.span.add_event("warning", {"message": message})

    def emitted(self, events: list[ArvoEvent]) -> None:
        """Describe the outgoing events on the span."""
        if self.span.is_recording():
            for index, event in enumerate(events):
                self.span.set_attributes(_prefixed(f"emittables.{index}", event))

    def lock_acquired(self, seconds: float, *, source: str) -> None:
        """Measure how long acquiring a workflow took."""
        if self.observed:
            _lock_wait.record(seconds * 1000, {"arvo.source": source})


def untraced(event: ArvoEvent) -> ExecutionTrace:
    """Return the telemetry of an execution nobody watches."""
    return ExecutionTrace(
        span=INVALID_SPAN,
        headers=TraceHeaders(event.traceparent, event.tracestate),
        observed=False,
    )


def observed() -> bool:
    """Tell whether an SDK is installed, so that telemetry would go somewhere."""
    return tracing_enabled() or _measuring()


@contextmanager
def execution_span(
    event: ArvoEvent,
    *,
    name: str,
    source: str,
    contract_uri: str,
    kind: ArvoSpanKind,
    parent: Context | None,
) -> Iterator[ExecutionTrace]:
    """Make one current span around an execution and count it.

    Args:
        event: The event being handled.
        name: The span's name.
        source: The handler.
        contract_uri: The handler's contract.
        kind: Which part of Arvo executes.
        parent: The context to attach to. None: the event's trace, else the current span.
    """
    headers = TraceHeaders(event.traceparent, event.tracestate)
    context = trace_context(headers) if parent is None else parent
    openinference = (
        OpenInferenceSpanKind.TOOL
        if kind is ArvoSpanKind.EVENT_HANDLER
        else OpenInferenceSpanKind.CHAIN
    )
    started = perf_counter()
    outcome = "ok"
    tracer = trace.get_tracer(_SCOPE)
    with tracer.start_as_current_span(name, context=context, kind=SpanKind.PRODUCER) as span:
        if span.is_recording():
            span.set_attributes(
                {
                    ARVO_SPAN_KIND: str(kind),
                    OPENINFERENCE_SPAN_KIND: str(openinference),
                    ARVO_CONTRACT_URI: contract_uri,
                    **_prefixed("to_process.0", event),
                }
            )
        own = current_trace_headers()
        try:
            yield ExecutionTrace(
                span=span, headers=own if own.traceparent else headers, observed=True
            )
        except BaseException as error:
            outcome = "violation" if isinstance(error, ViolationError) else "error"
            raise
        finally:
            labels = {"arvo.source": source, "arvo.outcome": outcome}
            _executions.add(1, labels)
            _duration.record((perf_counter() - started) * 1000, labels)


def record_failure(span: Span, error: BaseException) -> None:
    """Mark the span as failed by an error that became data."""
    if span.is_recording():
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, str(error)))


def _measuring() -> bool:
    # As `tracing_enabled` does, and for the same reason. A provider that the environment names
    # was installed when `_meter` was made.
    if getattr(_metrics_state, "_METER_PROVIDER", ...) is None:
        return False
    # The API has no public test for "no SDK"; its own stand-ins all live below this name.
    return not type(metrics.get_meter_provider()).__module__.startswith("opentelemetry.metrics")


def _prefixed(prefix: str, event: ArvoEvent) -> Mapping[str, Any]:
    return {f"{prefix}.{name}": value for name, value in event.otel_attributes.items()}

"""Spans and metrics of executions, through the OpenTelemetry API alone.

Without an SDK no span or metric is made; the incoming trace context is only passed on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode

from arvo_core import (
    ArvoContract,
    ArvoEvent,
    SystemErrorData,
    VersionedArvoContract,
    ViolationError,
)
from arvo_core.telemetry import (
    ARVO_CONTRACT_URI,
    ARVO_CONTRACT_VERSION,
    ARVO_SPAN_KIND,
    OPENINFERENCE_SPAN_KIND,
    ArvoSpanKind,
    OpenInferenceSpanKind,
    TraceHeaders,
    current_trace_headers,
    trace_context,
)
from arvo_time.logs import bounded_logger, excerpt
from arvo_time.telemetry import tracing_enabled

_SCOPE = "arvo_event_handler"
_WARNING_BYTES = 4 * 1024
_PLACE_BYTES = 512
_LARGEST_EXACT = 2**53  # JavaScript, whose numbers are doubles, rounds larger integers

_logger = bounded_logger(_SCOPE)

_metrics_state = getattr(metrics, "_internal", None)
_meter = metrics.get_meter(_SCOPE)
_executions = _meter.create_counter(
    "arvo.executions", description="Events handled, by source and outcome."
)
_duration = _meter.create_histogram(
    "arvo.execution.duration", unit="ms", description="Time to handle one event."
)
_ticks_ignored = _meter.create_counter(
    "arvo.timers.ignored", description="Ticks of timers that were not pending, by source."
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
    """The trace context of outgoing events."""
    observed: bool
    """Whether an SDK is installed, so that telemetry goes somewhere."""
    outcome: str = "ok"
    """How it ended, for metrics: ok; failure when an exception became data; violation; cancelled;
    or error for any other exception."""

    def applies(self, contract: VersionedArvoContract[Any]) -> None:
        """Record which version of the contract applies."""
        if self.span.is_recording():
            self.span.set_attribute(ARVO_CONTRACT_VERSION, contract.version)

    def failed(self, error: BaseException, *, event: ArvoEvent, source: str) -> None:
        """Mark the execution as failed by an error that becomes data, and log it.

        Args:
            error: What user code raised.
            event: The event that was being handled.
            source: The handler's source.
        """
        self.outcome = "failure"
        log_failure(error, event=event, source=source)
        if not self.span.is_recording():
            return
        described = SystemErrorData.from_exception(error)
        self.span.add_event(
            "exception",
            {
                "exception.type": described.error_name,
                "exception.message": described.error_message,
                "exception.stacktrace": described.error_stack or "",
            },
        )
        self.span.set_status(Status(StatusCode.ERROR, described.error_message))

    def warn(self, message: str) -> None:
        """Add a warning to the span; the middle of one above 4 KiB is cut out."""
        if self.span.is_recording():
            self.span.add_event("warning", {"message": excerpt(message, max_bytes=_WARNING_BYTES)})

    def emitted(self, events: list[ArvoEvent]) -> None:
        """Describe the outgoing events on the span, and warn of values that TypeScript changes."""
        if self.span.is_recording():
            for index, event in enumerate(events):
                self.span.set_attributes(_prefixed(f"emittables.{index}", event))
                if (place := large_integer(event)) is not None:
                    self.warn(
                        f"event {event.id!r} of type {event.type!r}: {place} is an integer beyond "
                        "2**53, which TypeScript rounds; send it as a string"
                    )

    def tick_ignored(self, *, source: str) -> None:
        """Count a tick whose timer is not pending, and that therefore does nothing."""
        if self.observed:
            _ticks_ignored.add(1, {"arvo.source": source})
        self.warn("the timer is not pending: it has fired, was cancelled, or never set")

    def lock_acquired(self, seconds: float, *, source: str) -> None:
        """Measure how long acquiring a workflow took."""
        if self.observed:
            _lock_wait.record(seconds * 1000, {"arvo.source": source})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionTelemetry:
    """Watches the executions of one handler."""

    label: str
    """The handler's name in spans."""
    contract: ArvoContract
    kind: ArvoSpanKind

    async def watch(
        self,
        event: ArvoEvent,
        execute: Callable[[ArvoEvent, ExecutionTrace], Awaitable[list[ArvoEvent]]],
        *,
        parent: Context | None,
    ) -> list[ArvoEvent]:
        """Execute an event within one current span and count it; just execute without an SDK.

        Args:
            event: The event being handled.
            execute: Handles it and returns the outgoing events.
            parent: The context to attach to. None: the event's trace, else the current span.
        """
        headers = TraceHeaders(event.traceparent, event.tracestate)
        if not (tracing_enabled() or _measuring()):
            unwatched = ExecutionTrace(span=INVALID_SPAN, headers=headers, observed=False)
            return await execute(event, unwatched)
        with self._span(event, headers, parent) as watched:
            events = await execute(event, watched)
            watched.emitted(events)
            return events

    @contextmanager
    def _span(
        self, event: ArvoEvent, headers: TraceHeaders, parent: Context | None
    ) -> Iterator[ExecutionTrace]:
        started = perf_counter()
        with trace.get_tracer(_SCOPE).start_as_current_span(
            f"{self.label}<{self.contract.uri}>@<{event.type}>",
            context=trace_context(headers) if parent is None else parent,
            kind=SpanKind.PRODUCER,
        ) as span:
            if span.is_recording():
                span.set_attributes(
                    {
                        ARVO_SPAN_KIND: str(self.kind),
                        OPENINFERENCE_SPAN_KIND: str(OpenInferenceSpanKind.CHAIN),
                        ARVO_CONTRACT_URI: self.contract.uri,
                        **_prefixed("to_process.0", event),
                    }
                )
            own = current_trace_headers()
            watched = ExecutionTrace(
                span=span, headers=own if own.traceparent else headers, observed=True
            )
            try:
                yield watched
            except BaseException as error:
                watched.outcome = _outcome(error)
                raise
            finally:
                labels = {"arvo.source": self.contract.type, "arvo.outcome": watched.outcome}
                _executions.add(1, labels)
                _duration.record((perf_counter() - started) * 1000, labels)


def log_failure(error: BaseException, *, event: ArvoEvent, source: str) -> None:
    """Log what user code raised, with its stack, which the asker does not get."""
    _logger.info("%s failed on event %s of type %s", source, event.id, event.type, exc_info=error)


def _outcome(error: BaseException) -> str:
    match error:
        case ViolationError():
            return "violation"
        case asyncio.CancelledError():
            return "cancelled"
        case _:
            return "error"


def _measuring() -> bool:
    # As in `tracing_enabled`, and for the same reason. A provider that the environment names was
    # installed when `_meter` was made.
    if getattr(_metrics_state, "_METER_PROVIDER", ...) is None:
        return False
    # The API has no public test for "no SDK"; its own stand-ins all live below this name.
    return not type(metrics.get_meter_provider()).__module__.startswith("opentelemetry.metrics")


def _prefixed(prefix: str, event: ArvoEvent) -> Mapping[str, Any]:
    return {f"{prefix}.{name}": value for name, value in event.otel_attributes.items()}


def large_integer(event: ArvoEvent) -> str | None:
    """Return the path of an integer beyond 2**53 in an event; None if there is none.

    The data, the extensions and `executionunits` are searched. The middle of a path above 512
    bytes is cut out.
    """
    found = _find(
        (("data", event.data), ("executionunits", event.executionunits), *event.extensions.items())
    )
    return None if found is None else excerpt(".".join(map(str, found)), max_bytes=_PLACE_BYTES)


def _find(items: Iterable[tuple[Any, object]]) -> tuple[Any, ...] | None:
    for key, item in items:
        if isinstance(item, int):
            if not -_LARGEST_EXACT <= item <= _LARGEST_EXACT:
                return (key,)
        elif isinstance(item, dict | list):
            inside = _find(item.items() if isinstance(item, dict) else enumerate(item))
            if inside is not None:
                return (key, *inside)
    return None

"""Spans, kept in memory while a block runs."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ._open_telemetry import recording_spans
from ._selection import select, select_one

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSpanEvent:
    """Something that happened during a span, such as an exception or a warning."""

    name: str
    """The event's name; "exception" for exceptions."""
    attributes: Mapping[str, object]
    """The event's attributes; of an exception, its type, message and stack trace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSpan:
    """One finished span."""

    name: str
    """The span's name, as given when it was started."""
    attributes: Mapping[str, object]
    """The span's attributes; lists are tuples here."""
    events: tuple[RecordedSpanEvent, ...]
    """What happened during the span, in order."""
    kind: str
    """INTERNAL, SERVER, CLIENT, PRODUCER or CONSUMER."""
    status: str
    """UNSET, OK or ERROR."""
    status_description: str | None
    """What went wrong; None unless the status is ERROR and has a description."""
    trace_id: str
    """32 lower-case hex digits, as in `traceparent`."""
    span_id: str
    """16 lower-case hex digits."""
    parent_id: str | None
    """The parent's span id, which may be a span of another process; None for a root."""
    traceparent: str
    """The W3C header that names this span as the parent, as an event carries it."""


class SpanRecorder:
    """Records finished spans for the length of a block, on the real OpenTelemetry SDK.

    The global tracer provider is replaced within the block and restored after it, so that tests
    with and without telemetry can share a process. What was recorded stays readable. Blocks may be
    nested, but must not run in several threads concurrently.

    Raises:
        ModuleNotFoundError: At the start of the block: the SDK is not installed; the message has
            the command to install it.

    Example:
        >>> from opentelemetry import trace
        >>> with SpanRecorder() as recorder:
        ...     with trace.get_tracer("shop").start_as_current_span("order") as order:
        ...         order.set_attribute("items", 2)
        ...         with trace.get_tracer("shop").start_as_current_span("payment"):
        ...             pass
        >>> recorder.find(name="order").attributes
        {'items': 2}
        >>> print(recorder.tree())
        order
          payment
    """

    def __init__(self) -> None:
        self._block = ExitStack()
        self._exporter: InMemorySpanExporter | None = None
        self._start = 0
        self._spans: tuple[RecordedSpan, ...] = ()

    def __enter__(self) -> Self:
        self._exporter = self._block.enter_context(recording_spans())
        self._start = len(self._exporter.get_finished_spans())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._spans = self.spans
        self._exporter = None
        self._block.close()

    @property
    def spans(self) -> tuple[RecordedSpan, ...]:
        """The spans that ended so far within the block, in the order in which they ended."""
        if self._exporter is None:
            return self._spans
        return tuple(map(_recorded, self._exporter.get_finished_spans()[self._start :]))

    def find_all(
        self, *, name: str | None = None, attributes: Mapping[str, object] | None = None
    ) -> list[RecordedSpan]:
        """Return the spans of a name that have certain attributes, and maybe others.

        Args:
            name: The name; None accepts any.
            attributes: The attributes that must be present and equal; None accepts any.
        """
        return select(self.spans, name=name, attributes=attributes)

    def find(
        self, *, name: str | None = None, attributes: Mapping[str, object] | None = None
    ) -> RecordedSpan:
        """Return the only span of a name that has certain attributes, and maybe others.

        Args:
            name: The name; None accepts any.
            attributes: The attributes that must be present and equal; None accepts any.

        Raises:
            LookupError: There is no such span, or several; the message lists all spans.
        """
        return select_one(self.spans, name=name, attributes=attributes, show=self.tree)

    def children(self, parent: RecordedSpan) -> list[RecordedSpan]:
        """Return the spans directly below one, in the order in which they ended."""
        return [
            span
            for span in self.spans
            if (span.trace_id, span.parent_id) == (parent.trace_id, parent.span_id)
        ]

    def tree(self) -> str:
        """Return the names, one per line, with children indented below their parents."""
        spans = self.spans
        recorded = {(span.trace_id, span.span_id) for span in spans}
        roots = [span for span in spans if (span.trace_id, span.parent_id) not in recorded]
        return "\n".join(line for root in roots for line in self._lines(root, depth=0))

    def _lines(self, span: RecordedSpan, *, depth: int) -> Iterator[str]:
        yield "  " * depth + span.name
        for child in self.children(span):
            yield from self._lines(child, depth=depth + 1)


def _recorded(span: "ReadableSpan") -> RecordedSpan:
    context = span.context
    trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return RecordedSpan(
        name=span.name,
        attributes=dict(span.attributes or {}),
        events=tuple(
            RecordedSpanEvent(name=event.name, attributes=dict(event.attributes or {}))
            for event in span.events
        ),
        kind=span.kind.name,
        status=span.status.status_code.name,
        status_description=span.status.description,
        trace_id=trace_id,
        span_id=span_id,
        parent_id=None if span.parent is None else f"{span.parent.span_id:016x}",
        traceparent=f"00-{trace_id}-{span_id}-{context.trace_flags:02x}",
    )

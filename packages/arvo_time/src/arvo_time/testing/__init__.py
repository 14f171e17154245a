"""A clock for tests, and what was reported to OpenTelemetry. Never imported in production.

`SpanRecorder` and `MetricRecorder` need the extra `arvo-time[testing]`.
"""

from ._fake_clock import FakeClock
from ._metric_recorder import MetricRecorder, RecordedMetric
from ._span_recorder import RecordedSpan, RecordedSpanEvent, SpanRecorder

__all__ = [
    "FakeClock",
    "MetricRecorder",
    "RecordedMetric",
    "RecordedSpan",
    "RecordedSpanEvent",
    "SpanRecorder",
]

"""Metrics, kept in memory while a block runs."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ._open_telemetry import recording_metrics
from ._selection import select, select_one

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMetric:
    """What one instrument measured within the block, for one set of attributes."""

    name: str
    """The instrument's name."""
    unit: str
    """The instrument's unit; empty if it has none."""
    attributes: Mapping[str, object]
    """The labels of the measurements."""
    value: float
    """A counter's increase, a histogram's sum, or a gauge's new value."""
    count: int | None
    """Number of measurements of a histogram; None for other instruments."""


class MetricRecorder:
    """Records metrics for the length of a block, on the real OpenTelemetry SDK.

    The global meter provider is replaced within the block and restored after it. What was recorded
    stays readable. Blocks may be nested, but must not run in several threads concurrently.

    Raises:
        ModuleNotFoundError: At the start of the block: the SDK is not installed; the message has
            the command to install it.

    Example:
        >>> from opentelemetry import metrics
        >>> orders = metrics.get_meter("shop").create_counter("orders")
        >>> with MetricRecorder() as recorder:
        ...     orders.add(2, {"country": "is"})
        >>> recorder.find(name="orders").value
        2
    """

    def __init__(self) -> None:
        self._block = ExitStack()
        self._reader: InMemoryMetricReader | None = None
        self._before: dict[object, _Reading] = {}
        self._metrics: tuple[RecordedMetric, ...] = ()

    def __enter__(self) -> Self:
        self._reader = self._block.enter_context(recording_metrics())
        self._before = {reading.identity: reading for reading in _read(self._reader)}
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._metrics = self.metrics
        self._reader = None
        self._block.close()

    @property
    def metrics(self) -> tuple[RecordedMetric, ...]:
        """What was measured so far within the block."""
        if self._reader is None:
            return self._metrics
        return tuple(
            metric for metric in map(self._since_start, _read(self._reader)) if metric is not None
        )

    def find_all(
        self, *, name: str | None = None, attributes: Mapping[str, object] | None = None
    ) -> list[RecordedMetric]:
        """Return the metrics of a name that have certain attributes, and maybe others.

        Args:
            name: The name; None accepts any.
            attributes: The attributes that must be present and equal; None accepts any.
        """
        return select(self.metrics, name=name, attributes=attributes)

    def find(
        self, *, name: str | None = None, attributes: Mapping[str, object] | None = None
    ) -> RecordedMetric:
        """Return the only metric of a name that has certain attributes, and maybe others.

        Args:
            name: The name; None accepts any.
            attributes: The attributes that must be present and equal; None accepts any.

        Raises:
            LookupError: There is no such metric, or several; the message lists all metrics.
        """
        return select_one(
            self.metrics,
            name=name,
            attributes=attributes,
            show=lambda: "\n".join(map(repr, self.metrics)),
        )

    def _since_start(self, reading: "_Reading") -> RecordedMetric | None:
        """Return what was measured since the block began; None if nothing was."""
        metric = reading.metric
        before = self._before.get(reading.identity)
        if before is None:
            return metric
        if metric == before.metric:
            return None
        if reading.is_gauge:
            return metric
        return replace(
            metric,
            value=metric.value - before.metric.value,
            count=None if metric.count is None else metric.count - (before.metric.count or 0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """The value of an instrument, counted from the first block of the process."""

    metric: RecordedMetric
    is_gauge: bool

    @property
    def identity(self) -> object:
        return self.metric.name, frozenset(self.metric.attributes.items())


def _read(reader: "InMemoryMetricReader") -> Iterator[_Reading]:
    from opentelemetry.sdk.metrics.export import Gauge, NumberDataPoint

    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            for point in metric.data.data_points:
                value: float
                count: int | None
                if isinstance(point, NumberDataPoint):
                    value, count = point.value, None
                else:
                    value, count = point.sum, point.count
                yield _Reading(
                    metric=RecordedMetric(
                        name=metric.name,
                        unit=metric.unit or "",
                        attributes=dict(point.attributes or {}),
                        value=value,
                        count=count,
                    ),
                    is_gauge=isinstance(metric.data, Gauge),
                )

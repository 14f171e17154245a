"""Installs an OpenTelemetry SDK for the length of a block.

The API lets a process set its global providers only once, so this module changes private state of
the API. No other module does.

There is one recording provider per process, made when first needed, and blocks install and remove
it: a tracer or meter that a module keeps for itself stays bound to the first real provider it
meets, so a new provider for each block would miss what such a module reports.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.metrics import _internal as metrics

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

_NO_SDK = (
    "recording spans and metrics needs the OpenTelemetry SDK, install it with\n"
    "    pip install 'arvo-time[testing]'"
)


@contextmanager
def recording_spans() -> Iterator["InMemorySpanExporter"]:
    """Make the recording provider the global one, and yield its exporter."""
    provider, exporter = _tracing()
    before = trace._TRACER_PROVIDER  # noqa: SLF001
    trace._TRACER_PROVIDER = provider  # noqa: SLF001
    try:
        yield exporter
    finally:
        trace._TRACER_PROVIDER = before  # noqa: SLF001
        if before is not provider:
            exporter.clear()


@contextmanager
def recording_metrics() -> Iterator["InMemoryMetricReader"]:
    """Make the recording provider the global one, and yield its reader."""
    provider, reader = _metering()
    before = metrics._METER_PROVIDER  # noqa: SLF001
    _use_for_metrics(provider)
    try:
        yield reader
    finally:
        _use_for_metrics(before)


def _use_for_metrics(provider: "metrics.MeterProvider | None") -> None:
    metrics._METER_PROVIDER = provider  # noqa: SLF001
    if provider is not None:
        metrics._PROXY_METER_PROVIDER.on_set_meter_provider(provider)  # noqa: SLF001


@cache
def _tracing() -> "tuple[TracerProvider, InMemorySpanExporter]":
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(_NO_SDK) from error
    exporter = InMemorySpanExporter()
    provider = TracerProvider(
        sampler=ALWAYS_ON, resource=Resource.get_empty(), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


@cache
def _metering() -> "tuple[MeterProvider, InMemoryMetricReader]":
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.resources import Resource
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(_NO_SDK) from error
    reader = InMemoryMetricReader()
    return MeterProvider(
        metric_readers=[reader], resource=Resource.get_empty(), shutdown_on_exit=False
    ), reader

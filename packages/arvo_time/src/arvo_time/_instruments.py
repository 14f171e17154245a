"""Instruments that measure what happens, through the OpenTelemetry API alone.

Each does nothing while no SDK is installed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation


def counter(name: str, *, scope: str, description: str) -> Counter:
    """Return a counter.

    Args:
        name: The name of the metric.
        scope: The package that counts.
        description: What is counted, as a sentence.
    """
    return metrics.get_meter(scope).create_counter(name, description=description)


def histogram(
    name: str, *, scope: str, description: str, unit: str, bounds: Sequence[float]
) -> Histogram:
    """Return a histogram.

    Args:
        name: The name of the metric.
        scope: The package that measures.
        description: What is measured, as a sentence.
        unit: In what, such as "s".
        bounds: Between which values its buckets are, unless a view of the SDK says otherwise.
    """
    return metrics.get_meter(scope).create_histogram(
        name, unit=unit, description=description, explicit_bucket_boundaries_advisory=bounds
    )


def gauge(
    name: str,
    *,
    scope: str,
    description: str,
    unit: str = "",
    observe: Callable[[], Iterable[tuple[float, Mapping[str, str]]]],
) -> None:
    """Make a gauge, which is looked at whenever an SDK reads its metrics.

    Args:
        name: The name of the metric.
        scope: The package that measures.
        description: What is measured, as a sentence.
        unit: In what; empty if it is a number of things.
        observe: Returns the values now, each with its attributes. It is called in any thread.
    """

    def observations(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value, attributes) for value, attributes in observe()]

    metrics.get_meter(scope).create_observable_gauge(
        name, callbacks=[observations], unit=unit, description=description
    )

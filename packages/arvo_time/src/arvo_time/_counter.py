"""Counters of what happened, through the OpenTelemetry API alone."""

from opentelemetry import metrics
from opentelemetry.metrics import Counter


def counter(name: str, *, scope: str, description: str) -> Counter:
    """Return a counter, which does nothing while no SDK is installed.

    Args:
        name: The name of the metric.
        scope: The package that counts.
        description: What is counted, as a sentence.
    """
    return metrics.get_meter(scope).create_counter(name, description=description)

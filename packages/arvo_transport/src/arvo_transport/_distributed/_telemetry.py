"""Counters and gauges of workers, through the OpenTelemetry API alone."""

from collections.abc import Iterable
from typing import Final, Protocol
from weakref import WeakSet

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Counter, Observation

_meter = metrics.get_meter("arvo_transport")


def _counter(name: str, description: str) -> Counter:
    return _meter.create_counter(f"arvo.transport.{name}", description=description)


PUBLISHED: Final = _counter("published", "Events stored: published, or as what came of others.")
RECEIVED: Final = _counter("received", "Events that were received, by topic.")
REDELIVERED: Final = _counter("redelivered", "Those that had been delivered before, by topic.")
SETTLED: Final = _counter("settled", "Deliveries that were settled, by topic and how.")
LOST: Final = _counter("lost", "Deliveries that another worker has got meanwhile, by topic.")
TOO_NEW: Final = _counter("too_new", "Deliveries that were left to newer workers, by topic.")
WAIT: Final = _meter.create_histogram(
    "arvo.transport.wait",
    unit="s",
    description="Time from when an event was stored until its handling began, by topic.",
    explicit_bucket_boundaries_advisory=[
        *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
        *(1, 2.5, 5, 10, 30, 60, 300, 1800, 3600),
    ],
)


class Measured(Protocol):
    """Whatever knows how much waits in topics."""

    def measures(self) -> Iterable[tuple[str, int, float]]:
        """Return by topic how many events wait, and for how many seconds the oldest does.

        Being asked, it looks again soon: what it returns is of the time it was asked before.
        """
        ...


measured: Final[WeakSet[Measured]] = WeakSet()
"""The workers that are asked, as long as they live."""


def _depths(_: CallbackOptions) -> Iterable[Observation]:
    found = {topic: depth for each in [*measured] for topic, depth, _ in each.measures()}
    for topic, depth in found.items():
        yield Observation(depth, {"arvo.topic": topic})


def _lags(_: CallbackOptions) -> Iterable[Observation]:
    found = {topic: lag for each in [*measured] for topic, _, lag in each.measures()}
    for topic, lag in found.items():
        yield Observation(lag, {"arvo.topic": topic})


_meter.create_observable_gauge(
    "arvo.transport.depth",
    callbacks=[_depths],
    description="Events that wait in the engine, by topic.",
)
_meter.create_observable_gauge(
    "arvo.transport.lag",
    callbacks=[_lags],
    unit="s",
    description="How long the oldest of them waits, by topic.",
)


def count(counter: Counter, topic: str, *, number: int = 1) -> None:
    """Count something of a topic."""
    counter.add(number, {"arvo.topic": topic})

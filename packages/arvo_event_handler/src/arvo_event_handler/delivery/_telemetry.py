"""Counters of brokers, through the OpenTelemetry API alone."""

from collections import Counter
from collections.abc import Iterable
from typing import Final
from weakref import WeakSet

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from ._stats import HasStats

_meter = metrics.get_meter("arvo_event_handler")
_retries = _meter.create_counter(
    "arvo.broker.retries", description="Tries that failed and are made again, by topic."
)
_dead_letters = _meter.create_counter(
    "arvo.broker.dead_letters", description="Events that could not be handled, by topic and reason."
)

observed: Final[WeakSet[HasStats]] = WeakSet()
"""The brokers whose queues are measured, as long as they live."""


def _depths(_: CallbackOptions) -> Iterable[Observation]:
    depths: Counter[str] = Counter()  # several brokers of one process may have equal topics
    for broker in [*observed]:
        for topic, stats in broker.stats.topics.items():
            depths[topic] += stats.queued + stats.sleeping
    for topic, depth in depths.items():
        yield Observation(depth, {"arvo.topic": topic})


_meter.create_observable_gauge(
    "arvo.broker.queue.depth",
    callbacks=[_depths],
    description="Events that wait for a handler or for their next try, by topic.",
)


def count_retry(topic: str) -> None:
    """Count a try that is made again."""
    _retries.add(1, {"arvo.topic": topic})


def count_dead_letter(topic: str | None, *, reason: str) -> None:
    """Count an event that will not be handled."""
    _dead_letters.add(1, {"arvo.topic": topic or "", "arvo.reason": reason})

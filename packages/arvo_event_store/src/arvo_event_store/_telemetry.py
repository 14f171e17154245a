"""Counters of the event store, through the OpenTelemetry API alone."""

from arvo_time.telemetry import counter

_SCOPE = "arvo_event_store"
_act_retries = counter(
    "arvo.event_store.act.retries",
    scope=_SCOPE,
    description="Decisions made again because somebody else was faster.",
)
_snapshot_failures = counter(
    "arvo.event_store.snapshot.failures",
    scope=_SCOPE,
    description="Snapshots that could not be stored after their append.",
)


def count_act_retry() -> None:
    """Count a decision that is made again."""
    _act_retries.add(1)


def count_snapshot_failure() -> None:
    """Count a snapshot that could not be stored."""
    _snapshot_failures.add(1)

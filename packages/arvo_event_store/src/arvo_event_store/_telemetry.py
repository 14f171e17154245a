"""What is counted of the log and of aggregates, and the trace that events carry."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from arvo_time.telemetry import counter

from ._append import Appended

SCOPE: Final = "arvo_event_store"
"""The name under which this package measures."""
TRACEPARENT: Final = "traceparent"
"""Where the meta of an event has its trace."""

_STORED: Final = {"arvo.outcome": "stored"}
_DUPLICATE: Final = {"arvo.outcome": "duplicate"}
_CONFLICT: Final = {"arvo.outcome": "conflict"}
_appends = counter(
    "arvo.event_store.appends",
    scope=SCOPE,
    description="Appends of a stream: stored, duplicates of what was stored, and conflicts.",
)
_events = counter("arvo.event_store.events", scope=SCOPE, description="Events that were stored.")
_act_retries = counter(
    "arvo.event_store.act.retries",
    scope=SCOPE,
    description="Decisions made again because somebody else was faster.",
)
_snapshot_failures = counter(
    "arvo.event_store.snapshot.failures",
    scope=SCOPE,
    description="Snapshots that could not be stored after their append.",
)


def count_appends(answers: Sequence[Appended]) -> None:
    """Count appends that a store answered; what stored nothing is left out unless it is a duplicate.

    A store calls it when the answers are final, so not for appends of a transaction that is open still.
    """
    for answer in answers:
        if answer.duplicate:
            _appends.add(1, _DUPLICATE)
        elif answer.count:
            count_stored(answer.count)


def count_stored(events: int) -> None:
    """Count an append that stored events."""
    _appends.add(1, _STORED)
    _events.add(events)


def count_conflict() -> None:
    """Count an append that was refused with a `ConflictError`."""
    _appends.add(1, _CONFLICT)


def count_act_retry() -> None:
    """Count a decision that is made again."""
    _act_retries.add(1)


def count_snapshot_failure() -> None:
    """Count a snapshot that could not be stored."""
    _snapshot_failures.add(1)


def with_trace(meta: Any, traceparent: object) -> Any:
    """Return the meta of an event with the trace that it belongs to.

    Args:
        meta: The meta, which may have a trace already; what is not a mapping is returned as it is, and
            refused by the append.
        traceparent: The trace; what is not a string is none.
    """
    if not isinstance(traceparent, str) or not isinstance(meta, Mapping) or TRACEPARENT in meta:
        return meta
    return {**meta, TRACEPARENT: traceparent}

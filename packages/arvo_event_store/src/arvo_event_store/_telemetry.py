"""Counters and spans of the event store, through the OpenTelemetry API alone."""

from collections.abc import Iterable
from contextlib import AbstractContextManager

from arvo_time.telemetry import counter, handling_span

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
_handled = counter(
    "arvo.event_store.reaction.handled",
    scope=_SCOPE,
    description="Events that a reaction handled, and whose outcome is stored.",
)
_failures = counter(
    "arvo.event_store.reaction.failures",
    scope=_SCOPE,
    description="Tries of events that failed, by what becomes of the event.",
)
_lost_leases = counter(
    "arvo.event_store.reaction.lost_leases",
    scope=_SCOPE,
    description="Leases that were lost while a worker had them.",
)


def count_act_retry() -> None:
    """Count a decision that is made again."""
    _act_retries.add(1)


def count_snapshot_failure() -> None:
    """Count a snapshot that could not be stored."""
    _snapshot_failures.add(1)


def count_handled(count: int, *, group: str, reaction: str) -> None:
    """Count events that are handled and stored."""
    _handled.add(count, {"arvo.group": group, "arvo.reaction": reaction})


def count_failure(outcome: str, *, group: str, reaction: str) -> None:
    """Count a try that failed."""
    attributes = {"arvo.group": group, "arvo.reaction": reaction, "arvo.outcome": outcome}
    _failures.add(1, attributes)


def count_lost_lease(*, group: str, reaction: str) -> None:
    """Count a lease that was lost."""
    _lost_leases.add(1, {"arvo.group": group, "arvo.reaction": reaction})


def handle_span(
    *, group: str, reaction: str, events: int, attempt: int, caused_by: Iterable[object]
) -> AbstractContextManager[None]:
    """Trace a call of a handler, linked to the traces of its events.

    Args:
        group: The group.
        reaction: The reaction.
        events: How many events it gets.
        attempt: Which try this is.
        caused_by: The `traceparent` of each event; None if it has none.
    """
    return handling_span(
        f"handle {reaction}",
        scope=_SCOPE,
        attributes={
            "arvo.group": group,
            "arvo.reaction": reaction,
            "arvo.events": events,
            "arvo.attempt": attempt,
        },
        caused_by=caused_by,
    )

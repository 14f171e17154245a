"""What is counted, measured and traced of reactions."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Final, Protocol, TypeAlias
from weakref import WeakSet

from arvo_event_store._telemetry import SCOPE
from arvo_time.telemetry import counter, gauge, handling_span, histogram

Observations: TypeAlias = Iterable[tuple[float, Mapping[str, str]]]
"""What gauges show: values with their attributes."""
_PREFIX: Final = "arvo.event_store.reaction"
_leases = counter(
    f"{_PREFIX}.leases", scope=SCOPE, description="Targets that were claimed, by reaction."
)
_lost_leases = counter(
    f"{_PREFIX}.lost_leases",
    scope=SCOPE,
    description="Leases that were lost while a worker had them.",
)
_handled = counter(
    f"{_PREFIX}.handled",
    scope=SCOPE,
    description="Events that a reaction handled, and whose outcome is stored.",
)
_failures = counter(
    f"{_PREFIX}.failures",
    scope=SCOPE,
    description="Tries of events that failed, by what becomes of the event.",
)
_postponed = counter(
    f"{_PREFIX}.postponed", scope=SCOPE, description="Tries that asked to be made later."
)
_duration = histogram(
    f"{_PREFIX}.duration",
    scope=SCOPE,
    description="Time that a call of a handler took.",
    unit="s",
    bounds=[
        *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
        *(1, 2.5, 5, 10, 30, 60, 300),
    ],
)
_looks = counter(
    "arvo.event_store.worker.looks",
    scope=SCOPE,
    description="Queries of workers for lanes that have work, by whether there was any.",
)


def count_look(*, group: str, found: bool) -> None:
    """Count a query for lanes that have work."""
    _looks.add(1, {"arvo.group": group, "arvo.outcome": "work" if found else "idle"})


def count_lease(*, group: str, reaction: str) -> None:
    """Count a target that was claimed."""
    _leases.add(1, {"arvo.group": group, "arvo.reaction": reaction})


def count_lost_lease(*, group: str, reaction: str) -> None:
    """Count a lease that was lost."""
    _lost_leases.add(1, {"arvo.group": group, "arvo.reaction": reaction})


def count_handled(count: int, *, group: str, reaction: str) -> None:
    """Count events that are handled and stored."""
    _handled.add(count, {"arvo.group": group, "arvo.reaction": reaction})


def count_failure(outcome: str, *, group: str, reaction: str) -> None:
    """Count a try that failed, or an event that could not be routed."""
    attributes = {"arvo.group": group, "arvo.reaction": reaction, "arvo.outcome": outcome}
    _failures.add(1, attributes)


def count_postponed(*, group: str, reaction: str) -> None:
    """Count a try that asked to be made later."""
    _postponed.add(1, {"arvo.group": group, "arvo.reaction": reaction})


def measure_call(seconds: float, *, group: str, reaction: str, outcome: str) -> None:
    """Measure how long a call of a handler took: one that was ok, raised an error or was cancelled."""
    attributes = {"arvo.group": group, "arvo.reaction": reaction, "arvo.outcome": outcome}
    _duration.record(seconds, attributes)


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
        scope=SCOPE,
        attributes={
            "arvo.group": group,
            "arvo.reaction": reaction,
            "arvo.events": events,
            "arvo.attempt": attempt,
        },
        caused_by=caused_by,
    )


# --- gauges -----------------------------------------------------------------


class Measured(Protocol):
    """A worker that knows how far its reactions are behind."""

    def measures(self, name: str) -> Observations:
        """Return what is known by one name, with attributes.

        Being asked, it looks again soon: what it returns is of the time it was asked before.
        """
        ...


measured: Final[WeakSet[Measured]] = WeakSet()
"""The workers that are asked, as long as they live."""

_GAUGES: Final = {
    "unscanned": ("Positions up to the horizon that are not scanned, by reaction.", ""),
    "pending": ("Targets that have work, by reaction.", ""),
    "asleep": ("Targets that wait until they are due, by reaction.", ""),
    "blocked": ("Targets that wait for an operator, by reaction.", ""),
    "parked": ("Events that were put aside, by reaction.", ""),
    "oldest": ("Age of the first event that may not be done, by reaction.", "s"),
}


def _observed(name: str) -> Callable[[], Observations]:
    def observe() -> Observations:
        # Workers of one group in one process know the same.
        found = {
            tuple(attributes.items()): (value, attributes)
            for each in [*measured]
            for value, attributes in each.measures(name)
        }
        return found.values()

    return observe


for _name, (_description, _unit) in _GAUGES.items():
    gauge(
        f"{_PREFIX}.{_name}",
        scope=SCOPE,
        description=_description,
        unit=_unit,
        observe=_observed(_name),
    )
gauge(
    "arvo.event_store.worker.troubles",
    scope=SCOPE,
    description="Parts of workers that fail now, and are tried again; see `ReactionWorker.health`.",
    observe=_observed("troubles"),
)

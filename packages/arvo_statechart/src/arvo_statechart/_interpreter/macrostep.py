"""What happens to a machine on one event, and when it starts."""

from arvo_statechart._call import NO_PARAMS, new_call
from arvo_statechart._definition.fresh import fresh
from arvo_statechart._definition.states import UNSET
from arvo_statechart._effects import Host
from arvo_statechart._errors import InvalidResultError
from arvo_statechart._event import ACTOR_ERROR, INIT, STOP, Event

from .configuration import Nowhere
from .plan import Planner
from .snapshot import Snapshot, new_snapshot
from .step import Step


def unstarted(planner: Planner) -> Snapshot:
    """Return the machine before its first step: nothing is entered, but the root is active."""
    return new_snapshot(planner.configuration((planner.chart.root,)), "active", {}, ())


def with_first_context(snapshot: Snapshot, event: Event) -> Snapshot:
    """Return the unstarted machine with the context that the event of its start gives it.

    Raises:
        InvalidResultError: If the function that makes the context returns anything but a dict.
    """
    context = snapshot._configuration.chart.context
    if callable(context):
        made = context(new_call({}, event, NO_PARAMS, snapshot._configuration))
        if not isinstance(made, dict):
            raise InvalidResultError(
                f"context: expected the function to return a dict, got {type(made).__name__}"
            )
    else:
        made = fresh(context)
    return new_snapshot(snapshot._configuration, "active", made, ())


def begin(planner: Planner, snapshot: Snapshot, event: Event, host: Host) -> Snapshot:
    """Enter the initial states and let the machine come to rest."""
    step = Step(planner, snapshot, event, host)
    # Nothing is left: for the plan not even the root is active.
    step.follow(planner.plan((planner.configuration(()), (planner.chart.start,), ())))
    step.settle()
    return step.snapshot()


def proceed(
    planner: Planner, snapshot: Snapshot, event: Event, event_type: str, host: Host
) -> Snapshot:
    """Take an event and let the machine come to rest."""
    if event_type == STOP:
        return new_snapshot(
            snapshot._configuration,
            "stopped",
            snapshot.context,
            snapshot._history,
            snapshot._output,
            snapshot._error,
        )
    step = Step(planner, snapshot, event, host)
    if event_type != INIT:
        enabled = step.select(event_type)
        if enabled:
            step.take(enabled)
        elif event_type.startswith(ACTOR_ERROR):
            return failed(snapshot, event.get("error", UNSET))
        elif not snapshot._configuration.eventless.chains:
            return snapshot
    step.settle()
    return step.snapshot()


def failed_to_start(unstarted: Snapshot, error: object) -> Snapshot:
    """Return the snapshot of a machine whose first step failed."""
    chart = unstarted._configuration.chart
    if chart.rules.failed_start_keeps_context:
        return failed(unstarted, error)
    return failed(new_snapshot(Nowhere(chart), "active", {}, ()), error)


def failed(snapshot: Snapshot, error: object) -> Snapshot:
    """Return the snapshot with status error."""
    return new_snapshot(
        snapshot._configuration,
        "error",
        snapshot.context,
        snapshot._history,
        snapshot._output,
        error,
    )

"""What happens to a machine on one event, and when it starts."""

from ._call import NO_PARAMS, new_call
from ._chart import Chart
from ._configuration import Nowhere, configuration_of
from ._effects import Host
from ._errors import InvalidResultError
from ._event import ACTOR_ERROR, INIT, STOP, Event
from ._fresh import fresh
from ._node import UNSET
from ._plan import plan_of
from ._snapshot import Snapshot, new_snapshot
from ._step import Step


def unstarted(chart: Chart) -> Snapshot:
    """Return the machine before its first step: nothing is entered, but the root is active."""
    return new_snapshot(configuration_of(chart, (chart.root,)), "active", {}, ())


def with_first_context(snapshot: Snapshot, event: Event) -> Snapshot:
    """Return the unstarted machine with the context that the event of its start gives it.

    Raises:
        InvalidResultError: If the function that makes the context returns anything but a dict.
    """
    context = snapshot.configuration.chart.context
    if callable(context):
        made = context(new_call({}, event, NO_PARAMS, snapshot.configuration))
        if not isinstance(made, dict):
            raise InvalidResultError(
                f"context: expected the function to return a dict, got {type(made).__name__}"
            )
    else:
        made = fresh(context)
    return new_snapshot(snapshot.configuration, "active", made, ())


def begin(snapshot: Snapshot, event: Event, host: Host) -> Snapshot:
    """Enter the initial states and let the machine come to rest."""
    chart = snapshot.configuration.chart
    step = Step(snapshot, event, host)
    # Nothing is left: for the plan not even the root is active.
    step.follow(plan_of(configuration_of(chart, ()), (chart.start,), ()))
    step.settle()
    return step.snapshot()


def proceed(snapshot: Snapshot, event: Event, event_type: str, host: Host) -> Snapshot:
    """Take an event and let the machine come to rest."""
    if event_type == STOP:
        return new_snapshot(
            snapshot.configuration,
            "stopped",
            snapshot.context,
            snapshot.history,
            snapshot.raw_output,
            snapshot.raw_error,
        )
    step = Step(snapshot, event, host)
    if event_type != INIT:
        enabled = step.select(event_type)
        if enabled:
            step.take(enabled)
        elif event_type.startswith(ACTOR_ERROR):
            return failed(snapshot, event.get("error", UNSET))
        elif not snapshot.configuration.eventless.chains:
            return snapshot
    step.settle()
    return step.snapshot()


def failed_to_start(unstarted: Snapshot, error: object) -> Snapshot:
    """Return the snapshot of a machine whose first step failed."""
    chart = unstarted.configuration.chart
    if chart.rules.failed_start_keeps_context:
        return failed(unstarted, error)
    return failed(new_snapshot(Nowhere(chart), "active", {}, ()), error)


def failed(snapshot: Snapshot, error: object) -> Snapshot:
    """Return the snapshot with status error."""
    return new_snapshot(
        snapshot.configuration,
        "error",
        snapshot.context,
        snapshot.history,
        snapshot.raw_output,
        error,
    )

"""What happens to a machine on one event, and when it starts."""

from ._call import NO_PARAMS, Call, Context, new_call
from ._chart import Chart
from ._configuration import configuration_of
from ._effects import Host
from ._errors import InvalidResultError
from ._event import ACTOR_ERROR, INIT, STOP, Event, init_event
from ._fresh import fresh
from ._node import UNSET
from ._plan import plan_of
from ._snapshot import Snapshot, new_snapshot
from ._step import Step


def begin(chart: Chart, start_input: object, host: Host) -> Snapshot:
    """Enter the initial states and let the machine come to rest."""
    event = init_event(start_input)
    # Nothing is active yet, so nothing is left; but guards and actions find the root active.
    nowhere, at_root = configuration_of(chart, ()), configuration_of(chart, (chart.root,))
    context = _first_context(chart, new_call({}, event, NO_PARAMS, at_root))
    step = Step(new_snapshot(at_root, "active", context, ()), event, host)
    step.follow(plan_of(nowhere, (chart.start,), ()))
    step.settle()
    return step.snapshot()


def _first_context(chart: Chart, call: Call) -> Context:
    if not callable(chart.context):
        copied: Context = fresh(chart.context)
        return copied
    made = chart.context(call)
    if not isinstance(made, dict):
        raise InvalidResultError(f"context: expected the function to return a dict, got {made!r}")
    return made


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

"""Runs the microsteps of one event until the machine comes to rest."""

from arvo_statechart._call import NO_PARAMS, Call, Context, Params, new_call
from arvo_statechart._definition.executables import copy_containers
from arvo_statechart._definition.states import UNSET, Transition
from arvo_statechart._effects import Host
from arvo_statechart._errors import InvalidResultError, MicrostepLimitError
from arvo_statechart._event import ACTOR_ERROR, INIT, STOP, Event
from arvo_statechart._messages import short_repr
from arvo_statechart._state_value import Status

from .configuration import Configuration, Nowhere
from .entry_and_exit import History
from .plan import Plan, Planner
from .snapshot import Snapshot, new_snapshot


class Step:
    """The processing of one event, from the first microstep until the machine comes to rest.

    Actions read and change it. The configuration and the history change between microsteps, so
    an action sees them as they were before its microstep.
    """

    __slots__ = (
        "_error",
        "_planner",
        "assigned",
        "configuration",
        "context",
        "event",
        "history",
        "host",
        "output",
        "queue",
        "status",
    )

    def __init__(self, planner: Planner, snapshot: Snapshot, event: Event, host: Host) -> None:
        self._planner = planner
        self.configuration: Configuration = snapshot._configuration
        self.status: Status = snapshot.status
        self.context: Context = snapshot.context
        self.history: History = snapshot._history
        self.output = snapshot._output
        self._error = snapshot._error
        self.event = event
        self.host = host
        self.queue: list[Event] = []
        self.assigned = False

    def call(self, params: Params) -> Call:
        """Return the argument for a function of the user, with the event being processed."""
        call = new_call(self.context, self.event, NO_PARAMS, self.configuration)
        if params is NO_PARAMS:
            return call
        given = params(call) if callable(params) else params
        return new_call(self.context, self.event, given, self.configuration)

    def select(self, event_type: str) -> tuple[Transition, ...]:
        """Return the transitions that the event being processed enables."""
        selector = self.configuration.selector(event_type)
        if selector.fixed is not None:
            return selector.fixed
        return selector.choose(self.call(NO_PARAMS))

    def take(self, transitions: tuple[Transition, ...]) -> bool:
        """Run one microstep and return whether it changed the machine."""
        key = (self.configuration, transitions, self.history)
        # Saves a call in the usual case that the plan exists.
        return self.follow(self._planner.plans.get(key) or self._planner.plan(key))

    def follow(self, plan: Plan) -> bool:
        """Run one microstep as planned and return whether it changed the machine."""
        self.assigned = False
        for execute in plan.actions:
            execute(self)
        self.configuration = plan.configuration
        self.history = plan.history
        return plan.changes or self.assigned

    def settle(self) -> None:
        """Run microsteps until no transition is enabled without an event from outside.

        Raises:
            MicrostepLimitError: If there were as many microsteps as the machine allows.
        """
        limit = self.configuration.chart.max_microsteps
        # Counted as in XState: without the microstep before this one, but with the last search.
        rounds = 0
        look_for_eventless = True
        processed = 0
        while self.status == "active":
            rounds += 1
            if rounds > limit:
                raise self._never_rests(int(limit))
            eventless = self.configuration.eventless
            if look_for_eventless and eventless.chains:
                enabled = eventless.choose(self.call(NO_PARAMS))
                if enabled:
                    # A transition that changes nothing would stay enabled.
                    look_for_eventless = self.take(enabled)
                    continue
            if processed == len(self.queue):
                return
            self.event = self.queue[processed]
            processed += 1
            enabled = self.select(self.event["type"])
            if enabled:
                self.take(enabled)
            look_for_eventless = True

    def _never_rests(self, limit: int) -> MicrostepLimitError:
        machine_id = self.configuration.chart.root.id
        return MicrostepLimitError(
            f"event {short_repr(self.event['type'])} led to more than {limit} microsteps "
            f"in machine {short_repr(machine_id)}: does an `always` transition stay enabled, or do "
            "events raise each other indefinitely?",
            limit=limit,
        )

    def snapshot(self) -> Snapshot:
        """Return the current snapshot."""
        return new_snapshot(
            self.configuration,
            self.status,
            self.context,
            self.history,
            self.output,
            self._error,
        )


def unstarted(planner: Planner) -> Snapshot:
    """Return the snapshot before the first step: the root is active, but was not entered."""
    return new_snapshot(planner.configuration((planner.chart.root,)), "active", {}, ())


def with_first_context(snapshot: Snapshot, event: Event) -> Snapshot:
    """Return the unstarted snapshot with its first context, made from the event of the start.

    Raises:
        InvalidResultError: If the function that makes the context does not return a dict.
    """
    context = snapshot._configuration.chart.context
    if callable(context):
        made = context(new_call({}, event, NO_PARAMS, snapshot._configuration))
        if not isinstance(made, dict):
            raise InvalidResultError(
                f"context: expected the function to return a dict, got {type(made).__name__}"
            )
    else:
        made = copy_containers(context)
    return new_snapshot(snapshot._configuration, "active", made, ())


def begin(planner: Planner, snapshot: Snapshot, event: Event, host: Host) -> Snapshot:
    """Enter the initial states and let the machine come to rest."""
    step = Step(planner, snapshot, event, host)
    # No state is left: in this plan, not even the root was active.
    step.follow(planner.plan((planner.configuration(()), (planner.chart.start,), ())))
    step.settle()
    return step.snapshot()


def proceed(
    planner: Planner, snapshot: Snapshot, event: Event, event_type: str, host: Host
) -> Snapshot:
    """Take an event and let the machine come to rest."""
    if event_type == STOP:
        return _ended(snapshot, "stopped", snapshot._error)
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
    return _ended(snapshot, "error", error)


def _ended(snapshot: Snapshot, status: Status, error: object) -> Snapshot:
    return new_snapshot(
        snapshot._configuration,
        status,
        snapshot.context,
        snapshot._history,
        snapshot._output,
        error,
    )

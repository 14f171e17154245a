"""Machines, which users define once and run any number of times."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from ._call import Context
from ._config import MachineConfig
from ._definition.chart import compile_chart
from ._definition.implementations import ActionImplementation, GuardImplementation
from ._definition.rules import XStateVersion
from ._delay import Delay
from ._effects import Effect, write_to_logger
from ._errors import DefinitionProblem, InvalidSnapshotError
from ._event import Event, init_event, type_of
from ._hosts import PerformingHost, RecordingHost
from ._interpreter.persistence import persist, resolve, restore
from ._interpreter.plan import Planner
from ._interpreter.snapshot import RunResult, Snapshot, new_result
from ._interpreter.step import (
    begin,
    failed,
    failed_to_start,
    proceed,
    unstarted,
    with_first_context,
)
from ._state_value import StateValue


class Machine:
    """A statechart that behaves like one of XState 5, for events that arrive one at a time.

    It is immutable, holds no state of its own, and may be shared between threads. A `Snapshot`
    holds its current state; each step returns the next snapshot.

    There are two ways to run it. `initial_transition` and `transition` are pure: they call only
    guards and assigns, and return everything else as effects. `start` and `run` are for hosts:
    they also perform the actions, and turn failures into a snapshot with status "error".

    TypeScript: `createMachine`, or `setup({...}).createMachine`.

    Args:
        config: The definition, as XState takes it. It must not be changed afterwards.
        actions: The implementations of named actions: functions, or what `assign`, `emit`,
            `raise_`, `cancel`, `log` and `enqueue_actions` return.
        guards: The implementations of named guards: functions, or combinations of guards.
        delays: The delays that `after` and `raise_` name: numbers of milliseconds, timedeltas, or
            functions that return one of them.
        longest_delay: The longest constant delay; a longer one is an error of the definition, and of the step
            if `enqueue_actions` has chosen it. Default: any.
        events: The types of the events that a host will send. `warnings` then name each `on` that
            waits for another event. Default: any event may come.
        xstate: The version of XState to follow where versions differ. "5.33" is the current one.
            "5.24" is for machines that also run in TypeScript Arvo, which uses that version.
            Default: "5.33", and `warnings` name the places where the versions differ for this
            definition. If either version is given, they do not.
        max_microsteps: How many microsteps one event may lead to before it fails; at least 1,
            or `math.inf` for no limit. Default: `maxIterations` of the config's `options`, or
            10,000 without it.

    Raises:
        MachineDefinitionError: If the definition is wrong. Its `problems` say what and where.

    Example:
        >>> light = Machine(
        ...     {
        ...         "id": "light",
        ...         "initial": "off",
        ...         "states": {"off": {"on": {"TOGGLE": "on"}}, "on": {"on": {"TOGGLE": "off"}}},
        ...     }
        ... )
        >>> snapshot = light.start().snapshot
        >>> snapshot.value
        'off'
        >>> light.run(snapshot, {"type": "TOGGLE"}).snapshot.value
        'on'

    Attributes:
        id: The id of the root; `(machine)` if the config has none.
        version: The `version` of the config; None if it has none.
    """

    def __init__(
        self,
        config: MachineConfig,
        *,
        actions: Mapping[str, ActionImplementation] | None = None,
        guards: Mapping[str, GuardImplementation] | None = None,
        delays: Mapping[str, Delay] | None = None,
        longest_delay: timedelta | None = None,
        events: Iterable[str] | None = None,
        xstate: XStateVersion | None = None,
        max_microsteps: float | None = None,
    ) -> None:
        self._config = config
        self._actions: Mapping[str, ActionImplementation] = {} if actions is None else actions
        self._guards: Mapping[str, GuardImplementation] = {} if guards is None else guards
        self._delays: Mapping[str, Delay] = {} if delays is None else delays
        if isinstance(events, Iterable) and not isinstance(events, str):
            events = tuple(events)  # an iterator would be exhausted for `provide`
        self._longest_delay = longest_delay
        self._events = events
        self._xstate: XStateVersion | None = xstate
        self._max_microsteps = max_microsteps
        chart, self._find_warnings = compile_chart(
            config,
            actions=self._actions,
            guards=self._guards,
            delays=self._delays,
            longest_delay=longest_delay,
            events=events,
            xstate=xstate,
            max_microsteps=max_microsteps,
        )
        self._chart = chart
        self._planner = Planner(chart)
        self.id: str = chart.root.id
        self.version: str | None = config.get("version")
        self._warnings: tuple[DefinitionProblem, ...] | None = None

    @property
    def warnings(self) -> tuple[DefinitionProblem, ...]:
        """What is allowed but probably a mistake, with its place in the config.

        The warnings are computed at the first access.
        """
        if self._warnings is None:
            self._warnings = self._find_warnings()
        return self._warnings

    def provide(
        self,
        *,
        actions: Mapping[str, ActionImplementation] | None = None,
        guards: Mapping[str, GuardImplementation] | None = None,
        delays: Mapping[str, Delay] | None = None,
    ) -> "Machine":
        """Return a machine of the same definition with other implementations.

        This machine does not change. Snapshots belong to one machine: to move them to the other,
        persist them here and restore them there.

        Args:
            actions: Implementations of named actions to replace. Others stay as they are.
            guards: Implementations of named guards to replace. Others stay as they are.
            delays: Named delays to replace. Others stay as they are.

        Raises:
            MachineDefinitionError: If an implementation or a delay is not valid.

        Example:
            >>> door = Machine(
            ...     {"on": {"KNOCK": {"guard": "expected", "actions": "open"}}},
            ...     actions={"open": emit({"type": "opened"})},
            ...     guards={"expected": lambda call: call.event["name"] == "Ann"},
            ... )
            >>> public = door.provide(guards={"expected": lambda call: True})
            >>> public.run(public.start().snapshot, {"type": "KNOCK", "name": "Bob"}).emitted
            ({'type': 'opened'},)
        """
        return Machine(
            self._config,
            actions={**self._actions, **(actions or {})},
            guards={**self._guards, **(guards or {})},
            delays={**self._delays, **(delays or {})},
            longest_delay=self._longest_delay,
            events=self._events,
            xstate=self._xstate,
            max_microsteps=self._max_microsteps,
        )

    def initial_transition(self, input: Any = None) -> tuple[Snapshot, tuple[Effect, ...]]:
        """Return the first snapshot and its effects, without performing them.

        Args:
            input: Passed to the function that makes the context, as `call.input`.

        Raises:
            InvalidResultError: If a function returned something that cannot be used.
            MachineDefinitionError: If `enqueue_actions` chose something that is not an action.
            MicrostepLimitError: If the machine does not come to rest.
            Exception: Any exception of a guard, an assign or another function of the machine.
        """
        host = RecordingHost()
        event = init_event(input)
        snapshot = begin(
            self._planner, with_first_context(unstarted(self._planner), event), event, host
        )
        return snapshot, tuple(host.effects)

    def transition(self, snapshot: Snapshot, event: Event) -> tuple[Snapshot, tuple[Effect, ...]]:
        """Return the next snapshot and its effects, without performing them.

        The status does not matter: a host that wants a machine to stop at its end must check it.

        Args:
            snapshot: The current snapshot.
            event: The event to process.

        Raises:
            GuardError: If a guard failed while the transition for the event was chosen.
            InvalidEventError: If `event` is not an event.
            InvalidResultError: If a function returned something that cannot be used.
            InvalidSnapshotError: If `snapshot` belongs to another machine.
            MachineDefinitionError: If `enqueue_actions` chose something that is not an action.
            MicrostepLimitError: If the machine does not come to rest.
            Exception: Any exception of another guard, an assign or another function.
        """
        self._check_own(snapshot)
        host = RecordingHost()
        after = proceed(self._planner, snapshot, event, type_of(event), host)
        return after, tuple(host.effects)

    def start(
        self, input: Any = None, *, log: Callable[[object], None] = write_to_logger
    ) -> RunResult:
        """Enter the initial states and perform the actions.

        The actions are performed after the machine has come to rest. If one of them fails, those
        after it are dropped, and so are all emitted events; the snapshot stays, with status "error".

        If a guard or an assign fails, nothing is entered: the snapshot of status "error" has the
        default value and the context as it was before every assign, which is empty if the function
        that makes it failed. With the rules of XState 5.24 it has neither value nor context.

        Args:
            input: Passed to the function that makes the context, as `call.input`.
            log: Called with the messages of `log` actions. Default: the logger `arvo_statechart`,
                at level INFO.
        """
        host = RecordingHost()
        event = init_event(input)
        before = unstarted(self._planner)
        try:
            before = with_first_context(before, event)
            snapshot = begin(self._planner, before, event, host)
        except Exception as error:
            return RunResult(snapshot=failed_to_start(before, error))
        performing = PerformingHost(log)
        try:
            performing.perform(host.effects)
        except Exception as error:
            return RunResult(snapshot=failed(snapshot, error))
        return _result(snapshot, performing)

    def run(
        self,
        snapshot: Snapshot,
        event: Event,
        *,
        log: Callable[[object], None] = write_to_logger,
    ) -> RunResult:
        """Process an event and perform the actions, each in its place.

        If anything fails, the state stays as it was, with status "error", and nothing is emitted;
        actions before the failure have been performed. A machine that is not active ignores the
        event.

        Args:
            snapshot: The current snapshot.
            event: The event to process.
            log: Called with the messages of `log` actions. Default: the logger `arvo_statechart`,
                at level INFO.

        Raises:
            InvalidEventError: If `event` is not an event.
            InvalidSnapshotError: If `snapshot` belongs to another machine.
        """
        self._check_own(snapshot)
        event_type = type_of(event)
        if snapshot.status != "active":
            return RunResult(snapshot=snapshot)
        host = PerformingHost(log)
        try:
            after = proceed(self._planner, snapshot, event, event_type, host)
        except Exception as error:
            return RunResult(snapshot=failed(snapshot, error))
        return _result(after, host)

    def persist(self, snapshot: Snapshot) -> dict[str, Any]:
        """Return a snapshot as the JSON object that XState stores.

        An exception in it is stored as its class name and message. The context, the output and any
        other error are those of the snapshot, not copies; whether they are JSON is not checked.

        Raises:
            InvalidSnapshotError: If the snapshot belongs to another machine.
        """
        self._check_own(snapshot)
        return persist(snapshot)

    def restore(self, persisted: Mapping[str, Any]) -> Snapshot:
        """Return the snapshot that was stored, here or by XState.

        The order in which states were entered is not stored; the order of the keys in the value
        takes its place. States that the value leaves out are entered by default, without their
        actions. History states and recorded states that the machine does not have are dropped.

        Args:
            persisted: The stored snapshot. Its context becomes that of the snapshot.

        Raises:
            InvalidSnapshotError: If it is not a snapshot, or names an unknown state.
        """
        return restore(self._planner, persisted)

    def resolve(self, value: StateValue, *, context: Context | None = None) -> Snapshot:
        """Return the snapshot of a machine that is in some state, without running anything.

        Args:
            value: The state value. States that it leaves out are entered by default.
            context: The context. Default: empty.

        Raises:
            InvalidSnapshotError: If it names an unknown state.
        """
        return resolve(self._planner, value, context or {})

    def _check_own(self, snapshot: Snapshot) -> None:
        if snapshot._configuration.chart is not self._chart:
            other = snapshot._configuration.chart.root.id
            raise InvalidSnapshotError(
                f"snapshot: expected one of machine {self.id!r}, got one of another machine, "
                f"{other!r}; persist it there and restore it here"
            )


def _result(snapshot: Snapshot, host: PerformingHost) -> RunResult:
    emitted, timers = tuple(host.emitted), host.timers
    if timers is None or snapshot.status != "active":
        return new_result(snapshot, emitted)
    return new_result(snapshot, emitted, tuple(timers.scheduled), tuple(timers.cancelled))

"""The state of a machine between two events, and the result of a step for a host."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arvo_statechart._call import NO_PARAMS, Context, new_call
from arvo_statechart._definition.states import UNSET
from arvo_statechart._effects import ScheduleEffect
from arvo_statechart._event import Event, type_of
from arvo_statechart._messages import short_repr
from arvo_statechart._state_value import PartialStateValue, StateValue, Status, copy_value

from .configuration import Configuration
from .entry_and_exit import History


class Snapshot:
    """The state of a machine between two events. Read it only: a step returns a new one.

    Machines make snapshots; there is nothing to construct.

    Attributes:
        status: Whether the machine still takes events.
        context: What the machine remembers. Read it only.
    """

    __slots__ = ("_configuration", "_error", "_history", "_output", "context", "status")

    if TYPE_CHECKING:  # set by `new_snapshot`
        _configuration: Configuration
        status: Status
        context: Context
        _history: History
        _output: object
        _error: object

    @property
    def value(self) -> StateValue:
        """The state value, as in `{"stock": "held", "money": "asked"}`.

        Empty if the machine failed in its first step under the rules of XState 5.24.
        """
        return copy_value(self._configuration.value)

    @property
    def tags(self) -> frozenset[str]:
        """The tags of all active states."""
        return self._configuration.tags

    @property
    def meta(self) -> dict[str, Any]:
        """The meta of the active states that have one, by state id."""
        return self._configuration.meta

    @property
    def output(self) -> Any:
        """What the machine computed at its end; None before, and if its root has no `output`."""
        return None if self._output is UNSET else self._output

    @property
    def error(self) -> Any:
        """The exception that failed, or what was stored of it; None unless the status is "error"."""
        return None if self._error is UNSET else self._error

    @property
    def expected_timers(self) -> tuple[str, ...]:
        """The ids of timers that a host has pending while the machine is here, in document order.

        These are the timers of `after`s which are certain to leave one of the active states when they are
        due; others may have fired already. A host without one of them has entered the state when that had
        no such delay, or under XState, which stores no timers. Nor has it one that an action cancelled.
        """
        leaving = self._configuration.chart.leaving_delays
        if not leaving:
            return ()
        active = self._configuration.in_document_order
        return tuple(each for node in active for each in leaving.get(node, ()))

    def matches(self, value: PartialStateValue) -> bool:
        """Return whether the machine is in a state.

        Args:
            value: A state value or part of one, or a path like `"open.waiting"`.
        """
        return self._configuration.matches(value)

    def has_tag(self, tag: str) -> bool:
        """Return whether an active state has a tag."""
        return tag in self._configuration.tags

    def can(self, event: Event) -> bool:
        """Return whether an event would enable a transition with targets or actions.

        The status does not matter: check `status` to find out whether the machine still takes events.

        Raises:
            GuardError: If a guard fails.
            InvalidEventError: If it is not an event.
        """
        selector = self._configuration.selector(type_of(event))
        chosen = selector.choose(new_call(self.context, event, NO_PARAMS, self._configuration))
        return any(transition.targets or transition.actions for transition in chosen)

    def __repr__(self) -> str:  # type: ignore[explicit-override]  # needs a dependency before 3.12
        return f"<Snapshot {self.status} {short_repr(self._configuration.value)} {short_repr(self.context)}>"


_new = object.__new__


def new_snapshot(
    configuration: Configuration,
    status: Status,
    context: Context,
    history: History,
    output: object = UNSET,
    error: object = UNSET,
) -> Snapshot:
    """Return a snapshot, made in a third of the time that keyword arguments take."""
    snapshot = _new(Snapshot)
    snapshot._configuration = configuration
    snapshot.status = status
    snapshot.context = context
    snapshot._history = history
    snapshot._output = output
    snapshot._error = error
    return snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The result of running a step: the new snapshot, the emitted events and the timers.

    A host that keeps timers first removes the one whose event this step processed, then those in
    `cancelled`, and then sets those in `scheduled`; one that is set replaces a pending one of its id.
    A machine that is not active has no timers: the host removes all of them.
    """

    snapshot: Snapshot
    """The snapshot after the step."""
    emitted: tuple[Event, ...] = ()
    """The emitted events in order; none if the step failed."""
    scheduled: tuple[ScheduleEffect, ...] = ()
    """The timers to set, in order; empty if the machine is not active after the step."""
    cancelled: tuple[str, ...] = ()
    """The ids of timers to cancel, some of which may not be pending; empty if the machine is not active
    after the step."""

    @property
    def done(self) -> bool:
        """Whether the machine has reached its end."""
        return self.snapshot.status == "done"

    @property
    def output(self) -> Any:
        """What the machine computed at its end; None before, and if its root has no `output`."""
        return self.snapshot.output

    @property
    def error(self) -> Any:
        """The exception that failed, or what was stored of it; None unless the status is "error"."""
        return self.snapshot.error


# The slots of a frozen dataclass, which refuses plain assignments.
_set_snapshot, _set_emitted, _set_scheduled, _set_cancelled = (
    vars(RunResult)[name].__set__ for name in ("snapshot", "emitted", "scheduled", "cancelled")
)


def new_result(
    snapshot: Snapshot,
    emitted: tuple[Event, ...],
    scheduled: tuple[ScheduleEffect, ...] = (),
    cancelled: tuple[str, ...] = (),
) -> RunResult:
    """Return a result, made in a third of the time that keyword arguments take."""
    result = _new(RunResult)
    _set_snapshot(result, snapshot)
    _set_emitted(result, emitted)
    _set_scheduled(result, scheduled)
    _set_cancelled(result, cancelled)
    return result

"""The timers of a machine's step."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from arvo_event_handler._emission._moment import LONGEST_DELAY, moment
from arvo_event_handler._errors import ContractViolation
from arvo_event_handler.memory._pending_timers import timer_name
from arvo_statechart import ScheduleEffect
from arvo_time.logs import bounded_logger

from ._machine_engine import MachineExecution
from ._timers import DEADLINE
from ._workflow import FiredTimer, NewTimer, TimerChanges, WorkflowStep

_logger = bounded_logger("arvo_event_handler")

_AFTER: Final = "xstate.after."
_LONGEST_MS: Final = LONGEST_DELAY / timedelta(milliseconds=1)


class MissingTimers:
    """Warns of workflows in states whose delays were not there when they were entered."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def look(self, reaction: MachineExecution, step: WorkflowStep, *, where: str) -> None:
        """Warn if a timer is missing: on the span of each step, and once for each delay in the log.

        Args:
            reaction: How the machine reacted.
            step: The step, before its timers are accounted for.
            where: What the machine is called.
        """
        if not reaction.expected:
            return
        pending = {timer_name(key) for key in step.state.timers}
        missing = [each for each in reaction.expected if each not in pending]
        if not missing:
            return
        message = (
            f"{where}: no timer is pending for {', '.join(missing)}: the state was entered when it had no "
            "such delay, or in TypeScript, which stores no timers; the delay counts from when the state is "
            "entered next"
        )
        step.trace.warn(message)
        if any((where, each) not in self._said for each in missing):
            self._said |= {(where, each) for each in missing}
            _logger.warning("workflow %s: %s", step.state.subject, message)


def machine_event(fired: FiredTimer) -> Mapping[str, Any]:
    """Return the event that a machine takes when a timer is due."""
    return {"type": fired.name} if fired.event is None else fired.event


def machine_timers(reaction: MachineExecution, *, now: datetime, where: str) -> TimerChanges | None:
    """Return what a machine's step does to the timers of its workflow; None for nothing.

    Args:
        reaction: What the machine asks for.
        now: The time of the step.
        where: What an error calls the machine.

    Raises:
        ContractViolation: A delay is too long, or a timer has the name that is reserved.
    """
    if not (reaction.scheduled or reaction.cancelled):
        return None
    new = [_new_timer(effect, now=now, where=where) for effect in reaction.scheduled]
    return TimerChanges(cancel=reaction.cancelled, set=new)


def _new_timer(effect: ScheduleEffect, *, now: datetime, where: str) -> NewTimer:
    event = dict(effect.event)
    name = event["type"] if effect.id is None else effect.id
    if DEADLINE in (name, event["type"]):
        raise ContractViolation(
            f"{where}: {DEADLINE!r} is reserved for the deadline of the workflow; "
            "give the delayed event another type and id"
        )
    at = _due(effect.delay, now=now, what=f"{where}: timer {name!r}")
    # The event of a state's delay says nothing more than its type, which is its id.
    plain = name.startswith(_AFTER) and event == {"type": name}
    return NewTimer(name, at, None if plain else event, named=effect.id is not None)


def _due(delay: float, *, now: datetime, what: str) -> datetime:
    # One that is below 0 is due already, before others. How long ago need not be exact.
    delay = min(max(delay, -_LONGEST_MS), 2 * _LONGEST_MS)
    return moment(what, at=now + timedelta(milliseconds=delay), after=None, now=now)

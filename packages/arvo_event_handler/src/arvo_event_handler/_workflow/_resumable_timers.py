"""The timers of a resumable's step, and the requests that leave later."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, get_origin

from arvo_core import ArvoEvent
from arvo_event_handler._call import Addressed
from arvo_event_handler._construction_checks import argument_members
from arvo_event_handler._emission._emit import Emit
from arvo_event_handler._emission._moment import moment
from arvo_event_handler._errors import ConfigViolation, ContractViolation
from arvo_event_handler.memory._pending_timers import timer_name

from ._resumable_call import Step
from ._timers import DEADLINE
from ._workflow import NewTimer, TimerChanges, WorkflowStep


class DelayedRequest(NamedTuple):
    """A request that leaves later."""

    item: Emit
    events: Sequence[ArvoEvent]
    """What leaves, one for each domain."""


def named_inputs(function: Callable[..., Any]) -> frozenset[type[Addressed]]:
    """Return the inputs that the annotation of a function names; none where it cannot be resolved."""
    try:
        kinds = [get_origin(member) or member for member in argument_members(function)]
    except Exception:
        return frozenset()
    return frozenset(
        kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Addressed)
    )


def cancelled_requests(returned: Step[Any], step: WorkflowStep) -> frozenset[str]:
    """Return the ids of the requests that a step cancels before they leave."""
    return frozenset(
        str(timer.event["id"])
        for key, timer in step.state.timers.items()
        if timer.event is not None and timer_name(key) in returned.cancel
    )


def timer_changes(
    returned: Step[Any],
    delayed: Sequence[DelayedRequest],
    *,
    step: WorkflowStep,
    now: datetime,
    where: str,
) -> TimerChanges:
    """Return what a step does to the timers of its workflow.

    Args:
        returned: What the function has returned.
        delayed: The requests that leave later, in order.
        step: The step.
        now: Its time.
        where: What an error calls the workflow.

    Raises:
        ContractViolation: A timer is too far ahead, or a request has the id that is reserved.
        ConfigViolation: A timer has the name of a request that leaves later, or the other way round.
    """
    new: list[NewTimer] = []
    for item, events in delayed:
        what = f"{where}: Emit of {item.type}"
        at = moment(what, at=item.at, after=item.after, now=now)
        if events[0].id == DEADLINE:
            raise ContractViolation(
                f"{what}: the id {DEADLINE!r} is reserved for the deadline of the workflow; "
                "choose another"
            )
        # The copies for further domains have ids of their own, and are cancelled with the first.
        new += [NewTimer(events[0].id, at, event.to_dict()) for event in events]
    for timer in returned.timers:
        what = f"{where}: timer {timer.name!r}"
        new.append(NewTimer(timer.name, moment(what, at=timer.at, after=timer.after, now=now)))
    _check_names(returned, new, step, where=where)
    return TimerChanges(cancel=returned.cancel, set=new)


def _check_names(
    returned: Step[Any], new: Sequence[NewTimer], step: WorkflowStep, *, where: str
) -> None:
    """Check that no request is taken for a timer: to replace it would leave it awaited."""
    requests = {timer.name for timer in new if timer.event is not None}
    names = {timer.name for timer in new if timer.event is None}
    for key, timer in step.state.timers.items():
        name = timer_name(key)
        if name not in returned.cancel and key != (step.fired and step.fired.key):
            (names if timer.event is None else requests).add(name)
    if both := names & requests:
        raise ConfigViolation(
            f"{where}: {min(both)!r} is the name of a timer, and the id of a request that leaves "
            "later; give the timer another name"
        )

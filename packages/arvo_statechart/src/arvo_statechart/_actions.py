"""The built-in actions."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, TypeAlias, TypedDict

from ._call import Call, Computed, Params
from ._delay import Delay, delay_label
from ._event import Event
from ._messages import LABEL_CHARACTERS, cut, name_of


class ActionConfig(TypedDict):
    """An action by name, with parameters."""

    type: str
    """The name of the action."""
    params: NotRequired[Params]
    """What the action finds in `call.params`."""


class BuiltInAction:
    """What `assign`, `emit`, `raise_`, `cancel`, `log` and `enqueue_actions` return.

    Use it wherever an action is expected, and as an implementation of a named action.
    """

    __slots__ = ()


Action: TypeAlias = str | ActionConfig | Callable[[Call], object] | BuiltInAction
"""An action: its name, its name with parameters, a function, or a built-in one."""

Update: TypeAlias = Callable[[Call], Mapping[str, Any]]
"""A function that returns the keys of the context that change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign(BuiltInAction):
    """Changes the context."""

    update: Update | Mapping[str, Computed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Emit(BuiltInAction):
    """Hands an event to the host."""

    event: Event | Callable[[Call], Event]


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise(BuiltInAction):
    """Puts an event into the internal queue, or sets a timer that sends it later."""

    event: Event | Callable[[Call], Event]
    delay: str | Delay | None
    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(BuiltInAction):
    """Cancels a timer."""

    id: str | Callable[[Call], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Log(BuiltInAction):
    """Writes a message."""

    message: object


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueActions(BuiltInAction):
    """Runs the actions that a function chooses."""

    choose: Callable[[Call], Iterable[Action] | None]


def assign(update: Update | Mapping[str, Computed]) -> BuiltInAction:
    """Change the context: the only way to do so.

    The context passed to functions is never changed in place; each assign makes a new one. A
    machine that assigned has changed, even if the values are equal: `always` is tried again.

    Args:
        update: A function that returns the keys to change, or those keys with their new values.
            A value that is a function is called, and its result is used.

    Example:
        >>> count = assign({"count": lambda call: call.context["count"] + 1, "last": "PAY"})
        >>> machine = Machine({"context": {"count": 0}, "on": {"PAY": {"actions": count}}})
        >>> snapshot, _ = machine.initial_transition()
        >>> snapshot, _ = machine.transition(snapshot, {"type": "PAY"})
        >>> snapshot.context
        {'count': 1, 'last': 'PAY'}
    """
    return Assign(update=update)


def emit(event: Event | Callable[[Call], Event]) -> BuiltInAction:
    """Hand an event to the host, once the whole step has succeeded.

    Args:
        event: The event, or a function that returns it.
    """
    return Emit(event=event)


def raise_(
    event: Event | Callable[[Call], Event],
    *,
    delay: str | Delay | None = None,
    id: str | None = None,
) -> BuiltInAction:
    """Send the machine an event of its own: within the same step, or later.

    Without a delay it waits behind the events raised before it and behind `always` transitions. With
    one the host is asked to send it to the machine later: see `RunResult.scheduled`. Event and delay
    are computed here, not when the delay is over. Leaving a state does not cancel the event.

    Args:
        event: The event, or a function that returns it.
        delay: A number of milliseconds, a timedelta, a function that returns one of them, or a name
            out of the machine's `delays`. Zero and less are delays, too: the event comes in a step
            of its own. None, also from a function, means no delay.
        id: The name by which `cancel` finds the event while it waits. An event that waits under the
            same id is replaced. It has no effect without a delay. Default: `cancel` does not find it.

    Example:
        >>> search = [cancel("search"), raise_({"type": "SEARCH"}, delay=300, id="search")]
        >>> machine = Machine({"on": {"KEY": {"actions": search}, "SEARCH": {"actions": log("found")}}})
        >>> result = machine.run(machine.start().snapshot, {"type": "KEY"})
        >>> result.scheduled
        (ScheduleEffect(id='search', event={'type': 'SEARCH'}, delay=300),)
    """
    return Raise(event=event, delay=delay, id=id)


def cancel(id: str | Callable[[Call], str]) -> BuiltInAction:
    """Cancel an event that waits for its delay to pass; nothing happens if none has that id.

    Args:
        id: The id that `raise_` was given, or a function that returns it. The id of an `after` is the
            type of its event, such as `xstate.after.1000.order.open`.
    """
    return Cancel(id=id)


def _context_and_event(call: Call) -> dict[str, Any]:
    return {"context": call.context, "event": call.event}


def log(message: Computed = _context_and_event) -> BuiltInAction:
    """Write a message: to the logger `arvo_statechart`, unless the host writes it elsewhere.

    The logger writes its first 2000 characters.

    Args:
        message: What to write, or a function that returns it. A function is called in its place
            among the actions. Default: a dict with the `context` and the `event`.
    """
    return Log(message=message)


def enqueue_actions(choose: Callable[[Call], Iterable[Action] | None]) -> BuiltInAction:
    """Run the actions that a function chooses, in the place of this one.

    The function ends before the first of its actions runs, so it sees the context as it was before
    them.

    Args:
        choose: Returns the actions, or yields them one after another. None means no actions.

    Example:
        >>> def react(call: Call) -> Iterable[Action]:
        ...     yield assign({"seen": True})
        ...     if call.check("is_large"):
        ...         yield emit({"type": "alarm"})
        >>> machine = Machine(
        ...     {"context": {}, "on": {"PAY": {"actions": enqueue_actions(react)}}},
        ...     guards={"is_large": lambda call: call.event["total"] > 10},
        ... )
        >>> snapshot = machine.start().snapshot
        >>> machine.run(snapshot, {"type": "PAY", "total": 11}).emitted
        ({'type': 'alarm'},)
    """
    return EnqueueActions(choose=choose)


def action_label(action: object) -> str:
    """Return the name of an action, or what a built-in one does: `emit(order.paid)`."""
    return cut(_action_label(action), LABEL_CHARACTERS)


def _action_label(action: object) -> str:
    match action:
        case Assign(update=Mapping() as update):
            return f"assign({', '.join(map(str, update))})"
        case Assign(update=update):
            return f"assign({name_of(update)})"
        case Emit(event=event):
            return f"emit({_event_label(event)})"
        case Raise(event=event, delay=None):
            return f"raise({_event_label(event)})"
        case Raise(event=event, delay=delay):
            return f"raise({_event_label(event)} after {delay_label(delay)})"
        case Cancel(id=timer):
            return f"cancel({name_of(timer)})"
        case Log():
            return "log"
        case EnqueueActions(choose=choose):
            return name_of(choose)
        case _:
            return name_of(action)


def _event_label(event: object) -> str:
    return str(event.get("type")) if isinstance(event, Mapping) else name_of(event)

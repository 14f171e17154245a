"""What to call guards and actions in messages and diagrams."""

from collections.abc import Mapping

from arvo_statechart._actions import Assign, Emit, EnqueueActions, Log, Raise
from arvo_statechart._guards import All, AnyOf, Not, StateIn
from arvo_statechart._messages import cut, shown

from .problems import listed

_CHARACTERS = 200


def guard_label(guard: object) -> str:
    """Return the name of a guard, or how it is made of others: `and(paid, not(disputed))`."""
    return cut(_guard_label(guard), _CHARACTERS)


def _guard_label(guard: object) -> str:
    match guard:
        case All(guards=guards):
            return f"and({', '.join(map(_guard_label, guards))})"
        case AnyOf(guards=guards):
            return f"or({', '.join(map(_guard_label, guards))})"
        case Not(guard=negated):
            return f"not({_guard_label(negated)})"
        case StateIn(value=value):
            return f"in({value if isinstance(value, str) else shown(value)})"
        case _:
            return _name(guard)


def action_label(action: object) -> str:
    """Return the name of an action, or what a built-in one does: `emit(order.paid)`."""
    return cut(_action_label(action), _CHARACTERS)


def action_labels(actions: object) -> tuple[str, ...]:
    """Return the names of one action, or of a list of them."""
    return tuple(action_label(action) for _, action in listed(None, actions))


def _action_label(action: object) -> str:
    match action:
        case Assign(update=Mapping() as update):
            return f"assign({', '.join(map(str, update))})"
        case Assign(update=update):
            return f"assign({_name(update)})"
        case Emit(event=event):
            return f"emit({_event_label(event)})"
        case Raise(event=event):
            return f"raise({_event_label(event)})"
        case Log():
            return "log"
        case EnqueueActions(choose=choose):
            return _name(choose)
        case _:
            return _name(action)


def _event_label(event: object) -> str:
    return str(event.get("type")) if isinstance(event, Mapping) else _name(event)


def _name(value: object) -> str:
    """Return the name that a config gives, or that of a function."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return str(value.get("type"))
    return str(getattr(value, "__name__", type(value).__name__))

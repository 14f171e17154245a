"""The built-in guards: combinations of other guards, and `state_in`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ._call import BuiltInGuard, Guard
from ._messages import LABEL_CHARACTERS, cut, name_of, short_repr
from ._state_value import PartialStateValue, copy_value


@dataclass(frozen=True, slots=True, kw_only=True)
class All(BuiltInGuard):
    """Passes if every guard passes."""

    guards: tuple[Guard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf(BuiltInGuard):
    """Passes if any guard passes."""

    guards: tuple[Guard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not(BuiltInGuard):
    """Passes if the guard does not pass."""

    guard: Guard


@dataclass(frozen=True, slots=True, kw_only=True)
class StateIn(BuiltInGuard):
    """Passes if the state is active."""

    value: PartialStateValue


def and_(guards: Sequence[Guard]) -> BuiltInGuard:
    """Pass if all guards pass. Evaluates them in order and stops at the first that does not pass.

    Args:
        guards: Names, functions or other guards. An empty list passes.

    Example:
        >>> paid_in_full = and_(["is_paid", not_("is_disputed")])
    """
    return All(guards=_listed(guards))


def or_(guards: Sequence[Guard]) -> BuiltInGuard:
    """Pass if any guard passes. Evaluates them in order and stops at the first that passes.

    Args:
        guards: Names, functions or other guards. An empty list does not pass.
    """
    return AnyOf(guards=_listed(guards))


def not_(guard: Guard) -> BuiltInGuard:
    """Pass if the guard does not pass.

    Args:
        guard: A name, a function or another guard.
    """
    return Not(guard=guard)


def _listed(guards: Sequence[Guard]) -> tuple[Guard, ...]:
    """Return the guards as a tuple; anything else is returned as it is, and the machine refuses it."""
    single = isinstance(guards, str | Mapping) or not isinstance(guards, Iterable)
    return guards if single else tuple(guards)  # type: ignore[return-value]


def state_in(value: PartialStateValue) -> BuiltInGuard:
    """Pass if a state is active.

    Inside `enqueue_actions` it sees the states from before the current microstep.

    Args:
        value: `"#id"` for the state of that id; otherwise a path like `"open.waiting"` or a part of
            the state value like `{"open": "waiting"}`.

    Example:
        >>> stock = {"initial": "asked", "states": {"asked": {"on": {"HOLD": "held"}}, "held": {}}}
        >>> money = {"on": {"PAY": {"guard": state_in("stock.held"), "actions": log("paid")}}}
        >>> order = Machine({"type": "parallel", "states": {"stock": stock, "money": money}})
        >>> snapshot = order.start().snapshot
        >>> snapshot.can({"type": "PAY"})
        False
        >>> order.run(snapshot, {"type": "HOLD"}).snapshot.can({"type": "PAY"})
        True
    """
    # A copy, so that a later change of the config does not change the machine.
    return StateIn(value=copy_value(value) if isinstance(value, Mapping) else value)


def guard_label(guard: object) -> str:
    """Return the name of a guard, or its combination of others: `and(paid, not(disputed))`."""
    return cut(_guard_label(guard), LABEL_CHARACTERS)


def _guard_label(guard: object) -> str:
    match guard:
        case All(guards=guards):
            return f"and({', '.join(map(_guard_label, guards))})"
        case AnyOf(guards=guards):
            return f"or({', '.join(map(_guard_label, guards))})"
        case Not(guard=negated):
            return f"not({_guard_label(negated)})"
        case StateIn(value=value):
            return f"in({value if isinstance(value, str) else short_repr(value)})"
        case _:
            return name_of(guard)

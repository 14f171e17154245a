"""What a guard, an action or any other function of a machine is called with."""

from collections.abc import Callable, Container, Mapping
from types import MappingProxyType
from typing import Any, NotRequired, Protocol, TypeAlias, TypedDict

from ._errors import MachineDefinitionError
from ._event import INIT, Event
from ._state_value import PartialStateValue

Context: TypeAlias = dict[str, Any]
"""What a machine remembers beside its state; it must be a JSON object if it is stored."""

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


class ConfigurationView(Protocol):
    """What a call may ask of the active states."""

    @property
    def members(self) -> Container[object]:
        """The active states."""

    def matches(self, value: PartialStateValue) -> bool:
        """Return whether all states that a partial state value names are active."""

    def test(self, guard: "Guard") -> "Callable[[Call], object]":
        """Return a function that evaluates a guard of the machine."""


class Call:
    """What a guard, an action or any other function of a machine is called with.

    Machines make calls. Make one yourself to test such a function on its own.

    Example:
        >>> def is_large(call: Call) -> bool:
        ...     return call.context["total"] >= call.params["limit"]
        >>> is_large(Call(context={"total": 5}, event={"type": "PAY"}, params={"limit": 3}))
        True

    Attributes:
        context: The context at this point. Read it only: an `assign` gives it new values.
        event: The event being processed.
        params: The params of the guard or action in the config; empty if it has none.
    """

    __slots__ = ("_configuration", "context", "event", "params")

    def __init__(
        self, *, context: Context, event: Event, params: Mapping[str, Any] = NO_PARAMS
    ) -> None:
        self.context: Context = context
        self.event: Event = event
        self.params: Mapping[str, Any] = params
        # None if the call was made by hand.
        self._configuration: ConfigurationView | None = None

    @property
    def input(self) -> Any:
        """What the machine was started with; None after the step that starts it."""
        return self.event.get("input") if self.event["type"] == INIT else None

    def check(self, guard: "Guard") -> bool:
        """Return whether a guard passes here: for functions passed to `enqueue_actions`.

        Args:
            guard: Anything that is allowed as a `guard` in a config.

        Raises:
            MachineDefinitionError: If the machine has no guard of that name. Also if this call was
                made by hand, so that it has no machine, and the guard is not a function.
        """
        if self._configuration is not None:
            # The params here are those of the action, not of the guard.
            bare = new_call(self.context, self.event, NO_PARAMS, self._configuration)
            return bool(self._configuration.test(guard)(bare))
        if callable(guard):
            return bool(guard(Call(context=self.context, event=self.event)))
        raise MachineDefinitionError(
            f"unknown guard {guard!r}: a call made by hand has no machine in which to look it up; "
            "check a function instead"
        )

    def matches(self, value: PartialStateValue) -> bool:
        """Return whether the machine was in a state before the current microstep.

        Args:
            value: A state value or part of one, or a path like `"open.waiting"`.

        Raises:
            MachineDefinitionError: If this call was made by hand, so that it has no state.
        """
        if self._configuration is None:
            raise MachineDefinitionError("a call made by hand has no state")
        return self._configuration.matches(value)


Computed: TypeAlias = Callable[[Call], Any] | object
"""A value, or a function that computes it when it is needed."""

Params: TypeAlias = Mapping[str, Any] | Callable[[Call], Mapping[str, Any]]
"""Parameters of a named guard or action: a mapping, or a function that computes it for each use."""


class GuardConfig(TypedDict):
    """A guard by name, with parameters."""

    type: str
    """The name of the guard."""
    params: NotRequired[Params]
    """What the guard finds in `call.params`."""


class BuiltInGuard:
    """What `and_`, `or_`, `not_` and `state_in` return. Use it wherever a guard is expected."""

    __slots__ = ()


Guard: TypeAlias = str | GuardConfig | Callable[[Call], bool] | BuiltInGuard
"""A guard: its name, its name with parameters, a function, or a combination of guards."""

_new = object.__new__


def new_call(
    context: Context,
    event: Event,
    params: Mapping[str, Any],
    configuration: ConfigurationView | None,
) -> Call:
    """Return a call, made in a third of the time that keyword arguments take: every guard needs one."""
    call = _new(Call)
    call.context = context
    call.event = event
    call.params = params
    call._configuration = configuration
    return call

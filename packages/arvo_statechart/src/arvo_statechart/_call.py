"""What a guard, an action or any other function of a machine is called with."""

from collections.abc import Callable, Container, Mapping
from types import MappingProxyType
from typing import Any, NotRequired, Protocol, TypeAlias, TypedDict

from ._errors import MachineDefinitionError
from ._event import INIT, Event
from ._state_value import PartialStateValue

Context: TypeAlias = dict[str, Any]
"""What a machine remembers beside its state; a JSON object if it is to be stored."""

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


class ConfigurationView(Protocol):
    """What a call may ask of the active states."""

    @property
    def members(self) -> Container[object]:
        """The active states."""

    def matches(self, value: PartialStateValue) -> bool:
        """Return whether everything that a part of a state value names is active."""

    def test(self, guard: "Guard") -> "Callable[[Call], object]":
        """Return what asks a guard of the machine."""


class Call:
    """What a guard, an action or any other function of a machine is called with.

    A machine makes them. Make one yourself to test such a function on its own.

    Example:
        >>> def is_large(call: Call) -> bool:
        ...     return call.context["total"] >= call.params["limit"]
        >>> is_large(Call(context={"total": 5}, event={"type": "PAY"}, params={"limit": 3}))
        True

    Attributes:
        context: The context at this point. Read it only: an `assign` gives it new values.
        event: The event being processed.
        params: What the config gives beside the name of the guard or action; empty if nothing.
    """

    __slots__ = ("_configuration", "context", "event", "params")

    def __init__(
        self, *, context: Context, event: Event, params: Mapping[str, Any] = NO_PARAMS
    ) -> None:
        self.context: Context = context
        self.event: Event = event
        self.params: Mapping[str, Any] = params
        # None if it was made by hand.
        self._configuration: ConfigurationView | None = None

    @property
    def input(self) -> Any:
        """What the machine was started with; None after the step that starts it."""
        return self.event.get("input") if self.event["type"] == INIT else None

    def check(self, guard: "Guard") -> bool:
        """Whether a guard passes here: for functions given to `enqueue_actions`.

        Args:
            guard: Whatever may stand as a `guard` in a config.

        Raises:
            MachineDefinitionError: If the machine has no guard of that name, and if this call
                was made by hand, so has no machine, and the guard is not a function.
        """
        if self._configuration is not None:
            # The params here are those of the action, not of the guard.
            bare = new_call(self.context, self.event, NO_PARAMS, self._configuration)
            return bool(self._configuration.test(guard)(bare))
        if callable(guard):
            return bool(guard(Call(context=self.context, event=self.event)))
        raise MachineDefinitionError(
            f"a call made by hand has no machine that could say what the guard {guard!r} is; "
            "check a function instead"
        )

    def matches(self, value: PartialStateValue) -> bool:
        """Whether the machine is in a state, as it was before the current microstep.

        Args:
            value: A state value or part of one, or a path like `"open.waiting"`.

        Raises:
            MachineDefinitionError: If this call was made by hand, so is in no state.
        """
        if self._configuration is None:
            raise MachineDefinitionError("a call made by hand is in no state")
        return self._configuration.matches(value)


Computed: TypeAlias = Callable[[Call], Any] | object
"""A value as it is, or a function that computes it when it is needed."""

Params: TypeAlias = Mapping[str, Any] | Callable[[Call], Mapping[str, Any]]
"""Parameters of a named guard or action: as they are, or computed when it is used."""


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
    """Make a call in a third of the time that keyword arguments take: every guard needs one."""
    call = _new(Call)
    call.context = context
    call.event = event
    call.params = params
    call._configuration = configuration
    return call

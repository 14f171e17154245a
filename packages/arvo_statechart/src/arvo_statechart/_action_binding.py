"""What each kind of action does in a step."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ._actions import Action, Update
from ._call import Call, Computed, Params
from ._errors import InvalidEventError, InvalidResultError
from ._event import Event, type_of
from ._fresh import fresh
from ._node import Executable

if TYPE_CHECKING:
    from ._step import Step


def performer(name: str, function: Callable[[Call], object], params: Params) -> Executable:
    """Return what hands a call of a function to the host."""

    def execute(step: "Step") -> None:
        step.host.act(name, function, step.call(params))

    return execute


def assigner(update: Update | Mapping[str, Computed], params: Params) -> Executable:
    """Return what changes the context."""
    changes_for = update if callable(update) else _each_value(update)

    def execute(step: "Step") -> None:
        changes = changes_for(step.call(params))
        if type(changes) is not dict and not isinstance(changes, Mapping):
            raise InvalidResultError(
                f"assign expects a mapping of the keys that change, got {type(changes).__name__}"
            )
        step.context = {**step.context, **changes}
        step.assigned = True

    return execute


def _each_value(values: Mapping[str, Computed]) -> Update:
    computed = [(key, value) for key, value in values.items() if callable(value)]
    given = {key: value for key, value in values.items() if not callable(value)}

    def changes_for(call: Call) -> Mapping[str, Any]:
        changes: dict[str, Any] = fresh(given)
        for key, value in computed:
            changes[key] = value(call)
        return changes

    return changes_for


def emitter(event: Event | Callable[[Call], Event], params: Params) -> Executable:
    """Return what hands an event to the host."""

    def execute(step: "Step") -> None:
        emitted = event(step.call(params)) if callable(event) else fresh(event)
        step.host.emit(_checked("emit", emitted))

    return execute


def raiser(event: Event | Callable[[Call], Event], params: Params) -> Executable:
    """Return what puts an event into the internal queue."""

    def execute(step: "Step") -> None:
        raised = event(step.call(params)) if callable(event) else fresh(event)
        step.queue.append(_checked("raise_", raised))

    return execute


def _checked(action: str, event: Event) -> Event:
    try:
        type_of(event)
    except InvalidEventError as error:
        raise InvalidResultError(f"{action}: {error}") from None
    return event


def logger(message: object, params: Params) -> Executable:
    """Return what hands a message to the host."""

    def execute(step: "Step") -> None:
        step.host.log(message(step.call(params)) if callable(message) else message)

    return execute


def enqueuer(
    choose: Callable[[Call], Iterable[Action] | None],
    params: Params,
    executable_of: Callable[[Action], Executable],
) -> Executable:
    """Return what runs the actions that a function decides on."""

    def execute(step: "Step") -> None:
        chosen = choose(step.call(params))
        # All is decided before anything runs.
        for action in list(() if chosen is None else chosen):
            executable_of(action)(step)

    return execute

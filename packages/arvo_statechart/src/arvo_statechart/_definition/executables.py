"""Compiled actions, and the part of a step that they may use."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias

from arvo_statechart._actions import Action, Update
from arvo_statechart._call import Call, Computed, ConfigurationView, Context, Params
from arvo_statechart._effects import Host, ScheduleEffect
from arvo_statechart._errors import InvalidEventError, InvalidResultError
from arvo_statechart._event import Event, type_of
from arvo_statechart._state_value import Status


class ActionScope(Protocol):
    """The part of a step that its actions may use."""

    context: Context
    """The current context; replaced, never changed in place."""
    assigned: bool
    """Whether an action of this microstep has replaced the context."""
    status: Status
    """The current status; the step ends when it is not "active"."""
    output: object
    """What the machine computed at its end; `UNSET` before."""

    @property
    def configuration(self) -> ConfigurationView:
        """The active states, as they were before the microstep."""

    @property
    def event(self) -> Event:
        """The event being processed."""

    @property
    def queue(self) -> list[Event]:
        """The events that the machine has sent itself, in order."""

    @property
    def host(self) -> Host:
        """The host that receives the effects."""

    def call(self, params: Params) -> Call:
        """Return the argument for a function of the user, with the event being processed."""


Executable: TypeAlias = Callable[[ActionScope], None]
"""A compiled action."""

Wait: TypeAlias = float | Callable[[Call], float | None]
"""A compiled delay: milliseconds, or a function that computes them; None means no delay."""


def performer(name: str, function: Callable[[Call], object], params: Params) -> Executable:
    """Return an executable that passes a call of a function to the host."""

    def execute(scope: ActionScope) -> None:
        scope.host.act(name, function, scope.call(params))

    return execute


def assigner(update: Update | Mapping[str, Computed], params: Params) -> Executable:
    """Return an executable that changes the context."""
    changes_for = update if callable(update) else _each_value(update)

    def execute(scope: ActionScope) -> None:
        changes = changes_for(scope.call(params))
        if type(changes) is not dict and not isinstance(changes, Mapping):
            raise InvalidResultError(
                f"assign expects a mapping of the keys that change, got {type(changes).__name__}"
            )
        scope.context = {**scope.context, **changes}
        scope.assigned = True

    return execute


def _each_value(values: Mapping[str, Computed]) -> Update:
    computed = [(key, value) for key, value in values.items() if callable(value)]
    given = {key: value for key, value in values.items() if not callable(value)}

    def changes_for(call: Call) -> Mapping[str, Any]:
        changes: dict[str, Any] = copy_containers(given)
        for key, value in computed:
            changes[key] = value(call)
        return changes

    return changes_for


def emitter(event: Event | Callable[[Call], Event], params: Params) -> Executable:
    """Return an executable that passes an event to the host."""

    def execute(scope: ActionScope) -> None:
        emitted = event(scope.call(params)) if callable(event) else copy_containers(event)
        scope.host.emit(_checked("emit", emitted))

    return execute


def raiser(event: Event | Callable[[Call], Event], params: Params) -> Executable:
    """Return an executable that puts an event into the internal queue."""

    def execute(scope: ActionScope) -> None:
        scope.queue.append(_raised(event, params, scope))

    return execute


def scheduler(
    event: Event | Callable[[Call], Event], params: Params, *, wait: Wait, id: str | None
) -> Executable:
    """Return an executable that asks the host to send an event later.

    If the delay is computed and there is none, it puts the event into the internal queue.
    """

    def execute(scope: ActionScope) -> None:
        raised = _raised(event, params, scope)
        delay = wait(scope.call(params)) if callable(wait) else wait
        if delay is None:
            scope.queue.append(raised)
        else:
            scope.host.schedule(ScheduleEffect(id=id, event=raised, delay=delay))

    return execute


def _raised(event: Event | Callable[[Call], Event], params: Params, scope: ActionScope) -> Event:
    made = event(scope.call(params)) if callable(event) else copy_containers(event)
    return _checked("raise_", made)


def canceller(id: str | Callable[[Call], str], params: Params) -> Executable:
    """Return an executable that asks the host to cancel a timer."""

    def execute(scope: ActionScope) -> None:
        name = id(scope.call(params)) if callable(id) else id
        if not isinstance(name, str):
            raise InvalidResultError(
                f"cancel expects the function to return a string, got {type(name).__name__}"
            )
        scope.host.cancel(name)

    return execute


def _checked(action: str, event: Event) -> Event:
    try:
        type_of(event)
    except InvalidEventError as error:
        raise InvalidResultError(f"{action}: {error}") from None
    return event


def logger(message: object, params: Params) -> Executable:
    """Return an executable that passes a message to the host."""

    def execute(scope: ActionScope) -> None:
        scope.host.log(message(scope.call(params)) if callable(message) else message)

    return execute


def enqueuer(
    choose: Callable[[Call], Iterable[Action] | None],
    params: Params,
    executable_of: Callable[[Action], Executable],
) -> Executable:
    """Return an executable that runs the actions that a function chooses."""

    def execute(scope: ActionScope) -> None:
        chosen = choose(scope.call(params))
        # All actions are chosen before the first one runs.
        for action in list(() if chosen is None else chosen):
            executable_of(action)(scope)

    return execute


def copy_containers(value: Any) -> Any:
    """Return the value with its dicts and lists copied, at every depth."""
    if type(value) is not dict and type(value) is not list:
        return value
    copied = value.copy()
    # A container that occurs twice, or inside itself, is copied once.
    copies: dict[int, Any] = {}
    waiting = [copied]
    while waiting:
        container = waiting.pop()
        members = container.items() if type(container) is dict else enumerate(container)
        for key, member in members:
            if type(member) is dict or type(member) is list:
                if not copies:
                    copies[id(value)] = copied
                known = copies.get(id(member))
                if known is None:
                    known = copies[id(member)] = member.copy()
                    waiting.append(known)
                container[key] = known
    return copied

"""What a step wants done outside of the machine."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ._call import Call
from ._event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitEffect:
    """An event for the host."""

    event: Event
    """The event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEffect:
    """A message to write."""

    message: object
    """The message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionEffect:
    """A call of an action of the user."""

    type: str
    """The name of the action, or of its function."""
    function: Callable[[Call], object]
    """What to call."""
    call: Call
    """What to call it with."""

    def perform(self) -> None:
        """Call the action; whatever it raises escapes."""
        self.function(self.call)


Effect: TypeAlias = EmitEffect | LogEffect | ActionEffect
"""What a step wants done outside of the machine."""


_logger = logging.getLogger("arvo_statechart")


def write_to_logger(message: object) -> None:
    """Write a message of a `log` action where messages go unless the host says otherwise."""
    # A message may be of an event, and who sends it must not fill a disk.
    _logger.info("%.2000s", message)


def performed(effects: Iterable[Effect], log: Callable[[object], None]) -> Iterator[Event]:
    """Perform effects in order and yield the emitted events."""
    for effect in effects:
        match effect:
            case EmitEffect():
                yield effect.event
            case LogEffect():
                log(effect.message)
            case _:
                effect.perform()


class Host(Protocol):
    """What a step hands its effects to, in order."""

    def emit(self, event: Event) -> None:
        """Take an event."""

    def log(self, message: object) -> None:
        """Take a message."""

    def act(self, name: str, function: Callable[[Call], object], call: Call) -> None:
        """Take a call of an action."""


class RecordingHost:
    """Writes down what is to be done."""

    __slots__ = ("effects",)

    def __init__(self) -> None:
        self.effects: list[Effect] = []

    def emit(self, event: Event) -> None:
        """Write down an event."""
        self.effects.append(EmitEffect(event=event))

    def log(self, message: object) -> None:
        """Write down a message."""
        self.effects.append(LogEffect(message=message))

    def act(self, name: str, function: Callable[[Call], object], call: Call) -> None:
        """Write down a call."""
        self.effects.append(ActionEffect(type=name, function=function, call=call))


class PerformingHost:
    """Does everything at once, except that it keeps the events until the step has succeeded."""

    __slots__ = ("_write", "emitted")

    def __init__(self, write: Callable[[object], None]) -> None:
        self.emitted: list[Event] = []
        self._write = write

    def emit(self, event: Event) -> None:
        """Keep an event."""
        self.emitted.append(event)

    def log(self, message: object) -> None:
        """Write a message."""
        self._write(message)

    def act(self, name: str, function: Callable[[Call], object], call: Call) -> None:
        """Call an action."""
        function(call)

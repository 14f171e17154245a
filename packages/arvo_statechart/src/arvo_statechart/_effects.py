"""Effects: what a step asks to be done outside of the machine."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEffect:
    """A message of a `log` action, to be written."""

    message: object


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionEffect:
    """A call of an action of the user."""

    type: str
    """The name of the action, or of its function."""
    function: Callable[[Call], object]
    """The function to call."""
    call: Call
    """The argument to call it with."""

    def perform(self) -> None:
        """Call the action; its exceptions propagate."""
        self.function(self.call)


Effect: TypeAlias = EmitEffect | LogEffect | ActionEffect
"""What a step asks to be done outside of the machine."""


_logger = logging.getLogger("arvo_statechart")


def write_to_logger(message: object) -> None:
    """Write a message of a `log` action to the logger `arvo_statechart`."""
    # A message may contain an event, whose sender must not be able to fill a disk.
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
    """Receives the effects of a step, in order."""

    def emit(self, event: Event) -> None:
        """Receive an emitted event."""

    def log(self, message: object) -> None:
        """Receive a message of a `log` action."""

    def act(self, name: str, function: Callable[[Call], object], call: Call) -> None:
        """Receive a call of an action."""


class RecordingHost:
    """Records the effects without performing them."""

    __slots__ = ("effects",)

    def __init__(self) -> None:
        self.effects: list[Effect] = []

    def emit(self, event: Event) -> None:
        """Record an event."""
        self.effects.append(EmitEffect(event=event))

    def log(self, message: object) -> None:
        """Record a message."""
        self.effects.append(LogEffect(message=message))

    def act(self, name: str, function: Callable[[Call], object], call: Call) -> None:
        """Record a call."""
        self.effects.append(ActionEffect(type=name, function=function, call=call))


class PerformingHost:
    """Performs actions and messages immediately, and collects the emitted events."""

    __slots__ = ("_write", "emitted")

    def __init__(self, write: Callable[[object], None]) -> None:
        self.emitted: list[Event] = []
        self._write = write

    def emit(self, event: Event) -> None:
        """Collect an event."""
        self.emitted.append(event)

    def log(self, message: object) -> None:
        """Write a message."""
        self._write(message)

    def act(self, name: str, function: Callable[[Call], object], call: Call) -> None:
        """Call an action."""
        function(call)

"""Effects: what a step asks to be done outside of the machine."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ._call import Call
from ._event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitEffect:
    """An event for the host."""

    event: Event
    """A mapping with at least a `type`, as the action made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEffect:
    """A message of a `log` action, to be written."""

    message: object
    """What the action was given, or what its function returned."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleEffect:
    """A timer to set: an event for the host to send to the machine later."""

    id: str | None
    """The name of the timer, which replaces one of that name; None if it cannot be cancelled."""
    event: Event
    """The event to send, as it was when the timer was set."""
    delay: float
    """The delay in milliseconds as computed: it may be fractional, 0 or negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelEffect:
    """A timer to cancel."""

    id: str
    """The name of the timer, which may not be pending."""


Effect: TypeAlias = EmitEffect | LogEffect | ActionEffect | ScheduleEffect | CancelEffect
"""What a step asks to be done outside of the machine."""


_logger = logging.getLogger("arvo_statechart")


def write_to_logger(message: object) -> None:
    """Write a message of a `log` action to the logger `arvo_statechart`."""
    # A message may contain an event, whose sender must not be able to fill a disk.
    _logger.info("%.2000s", message)


class Host(Protocol):
    """Receives the effects of a step, in order."""

    def emit(self, event: Event) -> None:
        """Receive an emitted event."""

    def log(self, message: object) -> None:
        """Receive a message of a `log` action."""

    def act(self, name: str, function: Callable[[Call], object], call: Call) -> None:
        """Receive a call of an action."""

    def schedule(self, timer: ScheduleEffect) -> None:
        """Receive a timer to set."""

    def cancel(self, id: str) -> None:
        """Receive the name of a timer to cancel."""

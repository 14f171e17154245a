"""The hosts of steps: one records the effects, one performs them."""

from collections.abc import Callable, Iterable

from ._call import Call
from ._effects import (
    ActionEffect,
    CancelEffect,
    Effect,
    EmitEffect,
    LogEffect,
    ScheduleEffect,
)
from ._event import Event


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

    def schedule(self, timer: ScheduleEffect) -> None:
        """Record a timer to set."""
        self.effects.append(timer)

    def cancel(self, id: str) -> None:
        """Record the name of a timer to cancel."""
        self.effects.append(CancelEffect(id=id))


class TimerChanges:
    """The timers that a step sets and cancels, without those that it takes back itself.

    Attributes:
        cancelled: The names of cancelled timers, in order. They may have been pending before the
            step, so they stay here even if the step has set them, too.
    """

    __slots__ = ("_scheduled", "cancelled")

    def __init__(self) -> None:
        self.cancelled: dict[str, None] = {}
        # By name, or by an object of its own if it has none.
        self._scheduled: dict[object, ScheduleEffect] = {}

    @property
    def scheduled(self) -> Iterable[ScheduleEffect]:
        """The timers to set, in order."""
        return self._scheduled.values()

    def schedule(self, timer: ScheduleEffect) -> None:
        """Add a timer behind the others, in the place of one of the same name."""
        key = object() if timer.id is None else timer.id
        self._scheduled.pop(key, None)
        self._scheduled[key] = timer

    def cancel(self, id: str) -> None:
        """Cancel the timer of a name."""
        self._scheduled.pop(id, None)
        self.cancelled[id] = None


class PerformingHost:
    """Performs actions and messages immediately, and collects emitted events and timers.

    Attributes:
        emitted: The emitted events, in order.
        timers: The timers that the step changes; None if it changes none.
    """

    __slots__ = ("_write", "emitted", "timers")

    def __init__(self, write: Callable[[object], None]) -> None:
        self.emitted: list[Event] = []
        self.timers: TimerChanges | None = None
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

    def schedule(self, timer: ScheduleEffect) -> None:
        """Collect a timer to set."""
        self._changes().schedule(timer)

    def cancel(self, id: str) -> None:
        """Collect the name of a timer to cancel."""
        self._changes().cancel(id)

    def _changes(self) -> TimerChanges:
        if self.timers is None:
            self.timers = TimerChanges()
        return self.timers

    def perform(self, effects: Iterable[Effect]) -> None:
        """Perform recorded effects in order."""
        for effect in effects:
            match effect:
                case EmitEffect():
                    self.emit(effect.event)
                case LogEffect():
                    self.log(effect.message)
                case ActionEffect():
                    effect.perform()
                case ScheduleEffect():
                    self.schedule(effect)
                case CancelEffect():
                    self.cancel(effect.id)

"""Lets time pass for the workflows of a handler under test."""

from datetime import timedelta
from typing import Final, Protocol, runtime_checkable

from arvo_core import ArvoEvent
from arvo_event_handler import IArvoEventHandler, IMachineMemory
from arvo_event_handler._timer_event import timer_event
from arvo_event_handler.memory import DueMachine, ITimedMachineMemory
from arvo_event_handler.memory._pending_timers import TIMER_DUE
from arvo_time import Clock
from arvo_time.testing import FakeClock

_HOLD: Final = timedelta(seconds=30)


class UnmovableTimeError(Exception):
    """Time cannot pass for a handler; the message says what it needs."""


@runtime_checkable
class _WaitsForTime(Protocol):
    """A handler whose workflows wait for time."""

    clock: Clock
    memory: IMachineMemory


async def pass_time(handler: IArvoEventHandler, delta: timedelta) -> list[ArvoEvent]:
    """Move the clock of a handler, and give it the ticks of its timers, each at its own time.

    Args:
        handler: The handler.
        delta: How far; not negative.

    Returns:
        What the steps emitted, in order, without the ticks among it.

    Raises:
        UnmovableTimeError: The handler has no `FakeClock`, or its memory no index of what is due, or
            another clock.
        Exception: What `execute` raised. The clock has moved all the same.
    """
    clock, memory = _time_of(handler)
    end = clock.now() + delta
    emitted: list[ArvoEvent] = []
    try:
        while (due := await memory.next_due()) is not None and due <= end:
            clock.advance(max(due - clock.now(), timedelta(0)))
            claimed = await memory.claim_due(limit=1, hold=_HOLD)
            if not claimed:
                raise UnmovableTimeError(
                    f"a timer is due at {due.isoformat()}, and {type(memory).__name__} does not find it: "
                    "give the memory the clock of the handler"
                )
            for each in claimed:
                emitted += await _fire(handler, each, clock)
    finally:
        clock.advance(end - clock.now())
    return emitted


async def _fire(handler: IArvoEventHandler, due: DueMachine, clock: Clock) -> list[ArvoEvent]:
    """Return what the tick of a timer leads to."""
    tick = timer_event(due.machine_id, key=due.key, at=due.at, due_by=due.due_by, now=clock.now())
    # The tick of the next timer may be among it, which is claimed in its turn as well.
    return [each for each in await handler.execute(tick) if each.type != TIMER_DUE]


def _time_of(handler: IArvoEventHandler) -> tuple[FakeClock, ITimedMachineMemory]:
    if not isinstance(handler, _WaitsForTime):
        raise UnmovableTimeError(
            f"no time can pass for {handler!r}: it is not the handler of workflows"
        )
    if not isinstance(handler.clock, FakeClock):
        raise UnmovableTimeError(
            f"no time can pass for {handler!r}: its clock is {type(handler.clock).__name__}; make it "
            "with policy=ExecutionPolicy(clock=clock) and ConcurrentMachineMemory(clock=clock), where "
            "clock = FakeClock()"
        )
    if not isinstance(handler.memory, ITimedMachineMemory):
        raise UnmovableTimeError(
            f"no timers fire for {handler!r}: {type(handler.memory).__name__} has no index of what is "
            "due; use ConcurrentMachineMemory(clock=clock)"
        )
    return handler.clock, handler.memory

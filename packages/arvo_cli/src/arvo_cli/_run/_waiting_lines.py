"""Lines whose workflows wait for time, when everything else is done."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from arvo_cli._backend._next_due import NextDue, NextTimers
from arvo_cli._terminal._listing import local_time
from arvo_cli._terminal._report import counted
from arvo_core import ArvoEvent
from arvo_event_handler import MachineMemoryError
from arvo_time import Clock

from ._line_state import LineState

_LATENESS: Final = timedelta(seconds=35)
"""How late a timer may be: a process that was killed may have claimed it, for 30 seconds."""
_BETWEEN_LOOKS: Final = timedelta(milliseconds=200)
_SHORT: Final = timedelta(seconds=2)
"""A shorter wait needs no explanation."""


class WaitingLines:
    """Knows the lines under way by their events, and stays for those that wait for time.

    Args:
        timers: Says until when a workflow waits.
        idle: Returns when nothing is left to do but to wait.
        stay: For how long to stay then.
        clock: Says what time it is.
        say: Shows the user a message.
    """

    def __init__(
        self,
        timers: NextTimers,
        *,
        idle: Callable[[], Awaitable[None]],
        stay: timedelta,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._timers = timers
        self._idle = idle
        self._stay = stay
        self._clock = clock
        self._say = say
        self._by_event: dict[str, list[LineState]] = {}
        self._due: dict[LineState, NextDue | None] = {}
        self._failed: set[str] = set()
        self._stopped = asyncio.Event()
        self._said_failure = False

    def open(self, state: LineState) -> None:
        """Note a line that is under way."""
        self._by_event.setdefault(state.request.event.id, []).append(state)

    def close(self, state: LineState) -> None:
        """Forget a line that has ended."""
        self._due.pop(state, None)
        event = state.request.event.id
        others = [each for each in self._by_event.get(event, ()) if each is not state]
        if others:
            self._by_event[event] = others
        else:
            self._by_event.pop(event, None)

    def asked_by(self, answer: ArvoEvent) -> list[LineState]:
        """Return the lines under way whose final event this is."""
        return [*self._by_event.get(answer.parentid or "", ())]

    async def begin(self, state: LineState) -> bool:
        """Wait for a line from now on, if its workflow waits for time; return whether it does.

        Raises:
            MachineMemoryError: The memory fails.
        """
        due = await self._timers.of(state.request.event)
        if due is not None and state.answer is None:
            self._due[state] = due
        return due is not None

    def is_waiting(self, state: LineState) -> bool:
        """Return whether a line is waited for here, and nowhere else."""
        return state in self._due

    def fail(self, event: ArvoEvent, failure: str) -> bool:
        """Note that an event has failed; return whether it is of a workflow whose line waits."""
        self._failed.add(event.subject)
        found = [state for state in self._due if state.request.event.subject == event.subject]
        for state in found:
            state.failures.append(failure)
        return bool(found)

    def stop(self) -> None:
        """Stay no longer."""
        self._stopped.set()

    async def stay(self) -> None:
        """Stay as long as timers are due soon enough; each then leads to a final event, or further."""
        until = self._clock.now() + self._stay
        pause, said = _BETWEEN_LOOKS, False
        while not self._stopped.is_set() and (soon := self._soon(until)):
            now = self._clock.now()
            earliest = min(soon.values())
            if now >= until + _LATENESS:
                return
            if not said and earliest - now > _SHORT:
                said = True
                verb = "waits" if len(soon) == 1 else "wait"
                self._say(
                    f"{counted(len(soon), 'line')} {verb} for a time, the next until "
                    f"{local_time(earliest)}; interrupt to end the waiting"
                )
            await self._sleep(max(earliest - now, pause))
            begun = self._clock.monotonic()
            await self._look_again(soon, at=self._clock.now())
            # A look at many must not become most of the work.
            took = timedelta(seconds=self._clock.monotonic() - begun)
            pause = max(_BETWEEN_LOOKS, 4 * took)

    async def left(self) -> list[tuple[LineState, NextDue | None]]:
        """Return the lines that still wait, and until when; None when it is not for time any more."""
        now = self._clock.now()
        for state, due in [*self._due.items()]:
            if due is None or due.at <= now:
                await self._look(state)
        return sorted(self._due.items(), key=lambda each: each[0].line.number)

    def _soon(self, until: datetime) -> dict[LineState, datetime]:
        """Return the lines to stay for, each with its time."""
        now = self._clock.now()
        return {
            state: due.at
            for state, due in self._due.items()
            if due is not None
            and due.at <= until
            and not (due.at <= now and due.subject in self._failed)
        }

    async def _sleep(self, pause: timedelta) -> None:
        if self._due and not self._stopped.is_set():
            with suppress(TimeoutError):
                async with self._clock.timeout(pause):
                    await self._stopped.wait()

    async def _look_again(self, soon: dict[LineState, datetime], *, at: datetime) -> None:
        over = [state for state, due in soon.items() if due <= at]
        await self._until_idle()
        gone = [state for state in over if not await self._look(state)]
        if gone:
            # What came of the timer may have been under way, and may have set another one.
            await self._until_idle()
            for state in gone:
                await self._look(state)

    async def _look(self, state: LineState) -> bool:
        """Look until when a line waits now; return whether it does, as far as that is known."""
        if state not in self._due:
            return True
        try:
            due = await self._timers.of(state.request.event)
        except MachineMemoryError as error:
            if not self._said_failure:
                self._said_failure = True
                self._say(f"cannot look until when workflows wait, and tries again: {error}")
            return True
        if state in self._due:  # it may have ended meanwhile
            self._due[state] = due
        return due is not None

    async def _until_idle(self) -> None:
        """Wait until nothing is left to do, or until `stop`."""
        await _first_of(self._idle(), self._stopped.wait())


async def _first_of(*waits: Awaitable[object]) -> None:
    tasks: Iterable[asyncio.Future[object]] = [asyncio.ensure_future(each) for each in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()

"""Fires the timers of workflows: finds what is due, and hands its ticks to a broker."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, TypeAlias

from arvo_core import ArvoEvent, InvalidSubjectError
from arvo_event_handler._errors import TransactionViolation
from arvo_event_handler._handler import IArvoEventHandler, IWorkflowHandler, SelfStarting
from arvo_event_handler._timer_event import timer_event
from arvo_event_handler.memory._timed_memory import (
    DueMachine,
    ITimedMachineMemory,
    ITimerSource,
)
from arvo_time import Backoff, Clock, ClockTimer
from arvo_time.settings import check_duration

from ._errors import BrokerClosedError

PublishTick: TypeAlias = Callable[[DueMachine, ArvoEvent], Awaitable[None]]
"""Takes the tick of a claimed timer; returns when it has a place where it will be handled."""

Room: TypeAlias = Callable[[], Awaitable[int]]
"""Waits until ticks may be claimed, and returns how many."""

TICKS_TOGETHER: Final = 100
"""How many timers are claimed at once; the next are claimed when these are published."""
_POLL: Final = timedelta(seconds=1)
"""The longest pause while another process may set an earlier timer."""
_NEAR: Final = timedelta(minutes=1)
"""From when on the memory's clock is asked what is due, rather than this one, which may be slow."""
_SLEEP: Final = timedelta(seconds=30)
"""How long no timer is pending before there is a look only so often."""
_AFTER_FAILURE: Final = Backoff(initial=timedelta(seconds=1), maximum=timedelta(seconds=30))
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class TimerPump:
    """Looks for timers that are due in the memories of a broker's workflows.

    Any number of pumps may share a memory. A tick that is not handled by the end of its hold is
    published again.

    Schedules begin before their timers are looked for; one that cannot is tried again.

    Args:
        publish: Takes the ticks, the earliest first, one after another.
        clock: Says when to look; what is due the memory knows.
        random: Spreads the looks of several pumps.
        logger: Where failures are logged.
        room: Limits what is claimed to what can be handled soon; None where `publish` hands ticks
            on to an engine that keeps them.
        hold: How long a timer's first claim keeps it from other pumps; each further claim keeps it
            twice as long, at most an hour. A whole one passes when the process that claimed it dies.

    Raises:
        TypeError: `hold` is not a timedelta.
        ValueError: `hold` is not above zero.
    """

    def __init__(
        self,
        publish: PublishTick,
        *,
        clock: Clock,
        random: Random,
        logger: logging.Logger,
        room: Room | None = None,
        hold: timedelta = timedelta(seconds=30),
    ) -> None:
        self._publish = publish
        self._room = room
        self._clock = clock
        self._random = random
        self._logger = logger
        self._hold = check_duration(hold, name="hold", above_zero=True)
        self._watches: dict[int, _Watch] = {}
        self._ending: list[asyncio.Task[None]] = []
        self._runs = False

    def watch(self, handler: IArvoEventHandler) -> None:
        """Look for the timers of a handler's workflows, if its memory has an index of them."""
        if not isinstance(handler, IWorkflowHandler):
            return
        memory = handler.memory
        if not isinstance(memory, ITimedMachineMemory):
            return
        watch = self._watches.get(id(memory))
        if watch is None:
            watch = self._watches[id(memory)] = _Watch(
                memory,
                publish=self._publish,
                clock=self._clock,
                random=self._random,
                logger=self._logger,
                room=self._room,
                hold=self._hold,
            )
        watch.add(handler)
        if self._runs:
            watch.start()

    def unwatch(self, handler: IArvoEventHandler) -> None:
        """Look no more for those of a handler."""
        for key, watch in [*self._watches.items()]:
            if watch.remove(handler):
                del self._watches[key]
                self._ending += watch.stop()

    async def begin(self) -> None:
        """Let schedules begin, each once; those that cannot do so after `start`."""
        for watch in [*self._watches.values()]:
            await watch.begin()

    def start(self) -> None:
        """Begin to look, in tasks of the running event loop."""
        self._runs = True
        for watch in self._watches.values():
            watch.start()

    def stop(self) -> None:
        """Look no more. What is claimed and not published comes again after its hold. Idempotent."""
        self._runs = False
        for watch in self._watches.values():
            self._ending += watch.stop()

    async def ended(self) -> None:
        """Wait until nothing runs any more, after `stop`."""
        ending, self._ending = self._ending, []
        await asyncio.gather(*ending, return_exceptions=True)


class _UnfiredError(Exception):
    """Ticks could not be published."""


class _Watch:
    """Looks for what is due in one memory."""

    def __init__(
        self,
        memory: ITimedMachineMemory,
        *,
        publish: PublishTick,
        clock: Clock,
        random: Random,
        logger: logging.Logger,
        room: Room | None,
        hold: timedelta,
    ) -> None:
        self._memory = memory
        # Whether it says itself of each timer that is set, so that no other look is needed.
        self._hears_all = isinstance(memory, ITimerSource)
        self._publish = publish
        self._clock = clock
        self._random = random
        self._logger = logger
        self._room = room
        self._hold = hold
        self._handlers: list[IWorkflowHandler] = []
        self._unbegun: list[SelfStarting] = []
        self._failed_begins = 0
        self._deafen: dict[int, Callable[[], None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._until = _NEVER
        self._heard = _NEVER
        self._waiter: asyncio.Future[None] | None = None
        self._timer: ClockTimer | None = None
        self._none_since: datetime | None = None

    def add(self, handler: IWorkflowHandler) -> None:
        self._handlers.append(handler)
        if isinstance(handler, SelfStarting):
            self._unbegun.append(handler)
        if self._task is None:
            return
        if not self._hears_all:
            self._listen_to(handler)
        if self._unbegun:
            self._hear(self._clock.now())

    def remove(self, handler: object) -> bool:
        """Return whether no handler is left."""
        if (deafen := self._deafen.pop(id(handler), None)) is not None:
            deafen()
        self._handlers = [each for each in self._handlers if each is not handler]
        self._unbegun = [each for each in self._unbegun if each is not handler]
        return not self._handlers

    def start(self) -> None:
        if self._task is None:
            for source in [self._memory] if self._hears_all else self._handlers:
                self._listen_to(source)
            # A context of its own: a timer has nothing to do with whoever starts this, which may be
            # a handler that subscribes another.
            self._task = asyncio.create_task(self._run(), name="arvo timers", context=Context())

    def stop(self) -> list[asyncio.Task[None]]:
        for deafen in self._deafen.values():
            deafen()
        self._deafen.clear()
        task, self._task = self._task, None
        if task is None:
            return []
        task.cancel()
        return [task]

    async def begin(self) -> datetime:
        """Let handlers begin that do so by themselves, and return when to try again."""
        for handler in [*self._unbegun]:
            try:
                await handler.begin()
            except Exception as error:
                contends = isinstance(error, TransactionViolation) and error.cause.is_contention
                level = logging.DEBUG if contends else logging.WARNING
                self._logger.log(level, "%r cannot begin, and tries again: %s", handler, error)
            else:
                self._unbegun = [each for each in self._unbegun if each is not handler]
        if not self._unbegun:
            self._failed_begins = 0
            return _NEVER
        pause = _AFTER_FAILURE.delay(self._failed_begins, random=self._random)
        self._failed_begins += 1
        return self._clock.now() + pause

    def _listen_to(self, source: object) -> None:
        if isinstance(source, ITimerSource):
            self._deafen[id(source)] = source.watch_timers(self._hear)

    async def _run(self) -> None:
        failures = 0
        while True:
            begin_again = await self.begin()
            try:
                until = min(begin_again, await self._look())
                failures = 0
            except BrokerClosedError:
                return
            except Exception as error:
                self._logger.warning("cannot fire timers, and tries again: %s", error)
                pause = _AFTER_FAILURE.delay(failures, random=self._random)
                until = self._clock.now() + pause
                failures += 1
            await self._rest(until)

    async def _look(self) -> datetime:
        """Publish the ticks of what is due, and return when to look again."""
        due = await self._memory.next_due()
        now = self._clock.now()
        if due is None:
            return self._look_without_timers(now)
        self._none_since = None
        if due - now > (timedelta(0) if self._hears_all else _NEAR):
            return self._next_look(due, now)
        limit = TICKS_TOGETHER if self._room is None else await self._room()
        claimed = await self._memory.claim_due(limit=limit, hold=self._hold)
        await self._fire_all(claimed)
        return now if claimed else self._next_look(due, now)

    async def _fire_all(self, claimed: Sequence[DueMachine]) -> None:
        """Publish the ticks of what is claimed. One that fails keeps none of the others from it.

        Raises:
            BrokerClosedError: The broker takes nothing more.
            _UnfiredError: Some could not be published; they are claimed again after their hold.
        """
        failed: list[tuple[str, Exception]] = []
        for due in claimed:
            try:
                await self._fire(due)
            except BrokerClosedError:
                raise
            except Exception as error:
                failed.append((due.machine_id, error))
        if failed:
            machine_id, cause = failed[0]
            raise _UnfiredError(
                f"{len(failed)} of {len(claimed)} that are due, the first of {machine_id}: {cause}"
            ) from cause

    async def _fire(self, due: DueMachine) -> None:
        try:
            tick = timer_event(
                due.machine_id, key=due.key, at=due.at, due_by=due.due_by, now=self._clock.now()
            )
        except InvalidSubjectError:
            self._logger.warning("a timer is due of %s, which is no workflow", due.machine_id)
            return
        await self._publish(due, tick)

    def _look_without_timers(self, now: datetime) -> datetime:
        if self._hears_all:
            return _NEVER
        if self._none_since is None:
            self._none_since = now
        rests = now - self._none_since >= _SLEEP
        return now + self._spread(_SLEEP if rests else _POLL)

    def _next_look(self, due: datetime, now: datetime) -> datetime:
        if due <= now:
            # Due by this clock, and not by that of the memory.
            return now + self._spread(_POLL)
        return due if self._hears_all else min(due, now + self._spread(_POLL))

    def _spread(self, pause: timedelta) -> timedelta:
        return pause * (0.8 + 0.2 * self._random.random())

    # --- waiting ------------------------------------------------------------

    async def _rest(self, until: datetime) -> None:
        """Wait until a time, or until a timer is due that was set meanwhile."""
        self._until = min(until, self._heard)
        self._heard = _NEVER
        self._waiter = asyncio.get_running_loop().create_future()
        self._set_alarm()
        try:
            await self._waiter
        finally:
            self._waiter = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _hear(self, at: datetime) -> None:
        if self._waiter is None:
            self._heard = min(at, self._heard)
        elif at < self._until:
            self._until = at
            self._set_alarm()

    def _set_alarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._until is not _NEVER:
            self._timer = self._clock.call_at(self._until, self._wake)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

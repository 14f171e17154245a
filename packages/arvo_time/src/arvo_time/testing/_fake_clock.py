"""A clock that moves only when a test moves it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import heapify, heappop, heappush
from typing import ClassVar, Final, TypeVar
from weakref import WeakSet

from typing_extensions import override

from arvo_time import Clock, ClockTimer
from arvo_time._timeout import timeout

T = TypeVar("T")

_ZERO: Final = timedelta(0)
# Below this many timers, cancelled ones are not worth looking for.
_MIN_TIMERS_BEFORE_CLEANUP: Final = 64


@dataclass(slots=True, kw_only=True, order=True)
class _Timer(ClockTimer):
    due: timedelta
    number: int
    callback: Callable[[], None] = field(compare=False)
    context: Context = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    @override
    def cancel(self) -> None:
        self.cancelled = True


class FakeClock(Clock):
    """A clock that moves only when a test moves it, so that a test of a long wait takes no time.

    Pass it to what you test and move the time yourself:

    * `advance` fires what falls due. It does not await, so the tasks it wakes run later, when the
      test awaits something.
    * `run_for` does the same and lets the woken tasks run at each moment.
    * `run_until_complete` awaits something, moving the time whenever nothing else can run.

    Waits fire in order of their due time, those of one moment in the order in which they began.
    Work in other threads and on sockets takes real time and is not waited for.

    Example:
        >>> async def main() -> None:
        ...     clock = FakeClock()
        ...     reminder = asyncio.create_task(clock.sleep(timedelta(days=30)))
        ...     await clock.run_for(timedelta(days=29))
        ...     print(reminder.done())
        ...     await clock.run_for(timedelta(days=1))
        ...     print(reminder.done())
        >>> asyncio.run(main())
        False
        True
    """

    _settling: ClassVar[WeakSet[asyncio.AbstractEventLoop]] = WeakSet()

    def __init__(self, *, start: datetime = datetime(2025, 1, 1, tzinfo=UTC)) -> None:
        """Make a clock that shows `start`.

        Args:
            start: What `now` returns first, an aware datetime.

        Raises:
            ValueError: `start` has no time zone.
        """
        if start.utcoffset() is None:
            raise ValueError(f"start must be aware, got {start!r}; give it a time zone")
        self._start = start.astimezone(UTC)
        self._elapsed = _ZERO
        self._timers: list[_Timer] = []
        self._started = 0
        self._cleanup_above = _MIN_TIMERS_BEFORE_CLEANUP

    @override
    def now(self) -> datetime:
        return self._start + self._elapsed

    @override
    def monotonic(self) -> float:
        return self._elapsed.total_seconds()

    @override
    async def sleep(self, delay: timedelta) -> None:
        if delay <= _ZERO:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(delay, partial(_wake, woken))
        try:
            await woken
        finally:
            timer.cancel()

    @override
    def timeout(self, delay: timedelta) -> AbstractAsyncContextManager[object]:
        return timeout(0) if delay <= _ZERO else self._timeout(delay)

    @asynccontextmanager
    async def _timeout(self, delay: timedelta) -> AsyncIterator[object]:
        # asyncio's own block without a deadline; when the time comes, its deadline becomes now. So
        # asyncio does the cancelling and nesting, and tells its own cancellation from others.
        now = asyncio.get_running_loop().time
        async with timeout(None) as block:
            timer = self.call_later(delay, lambda: block.reschedule(now()))
            try:
                yield block
            finally:
                timer.cancel()

    @override
    def call_later(self, delay: timedelta, callback: Callable[[], None]) -> ClockTimer:
        if delay <= _ZERO:
            return asyncio.get_running_loop().call_soon(callback)
        timer = _Timer(
            due=self._elapsed + delay,
            number=self._started,
            callback=callback,
            context=copy_context(),
        )
        self._started += 1
        self._drop_cancelled()
        heappush(self._timers, timer)
        return timer

    @property
    def pending(self) -> int:
        """How many sleeps, timeouts and calls are not due yet."""
        return sum(not timer.cancelled for timer in self._timers)

    def advance(self, delta: timedelta) -> None:
        """Move the time forward and fire what falls due, each at its own due time.

        Scheduled calls are made immediately, and so are the calls that they schedule in turn, if
        those fall due. Sleeping tasks are woken, and tasks past their timeout cancelled, but they
        run only when the caller awaits. An exception of a call propagates from here, at that call's
        due time.

        Args:
            delta: How far; zero is allowed and fires nothing new.

        Raises:
            ValueError: `delta` is negative.
        """
        target = self._target(delta)
        while (due := self._next_due()) is not None and due <= target:
            self._fire(due)
        self._elapsed = max(self._elapsed, target)

    async def run_for(self, delta: timedelta) -> None:
        """Move the time forward, letting woken tasks run at each moment as far as they can.

        So their next waits count from the moment they were woken. Tasks that are ready at the start
        run before the time moves.

        Args:
            delta: How far; zero runs only what is ready.

        Raises:
            ValueError: `delta` is negative.
            RuntimeError: See `settle`.
        """
        target = self._target(delta)
        await self.settle()
        while (due := self._next_due()) is not None and due <= target:
            self._fire(due)
            await self.settle()
        self._elapsed = max(self._elapsed, target)

    async def run_until_complete(self, awaitable: Awaitable[T]) -> T:
        """Await something, moving the time to the next wait whenever nothing else can run.

        Returns:
            What the awaitable returned; an exception that it raised propagates unchanged.

        Raises:
            RuntimeError: The awaitable is not done and nothing waits for this clock, so it would
                never end (or it waits for another thread or a socket). It was cancelled. Also see
                `settle`.
        """
        task = asyncio.ensure_future(awaitable)
        try:
            await self.settle()
            while not task.done():
                if (due := self._next_due()) is None:
                    raise RuntimeError(
                        f"{awaitable!r} is not done, and nothing waits for this clock at "
                        f"{self.now()}: it waits for something that moving the time cannot bring"
                    )
                self._fire(due)
                await self.settle()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return await task

    async def settle(self) -> None:
        """Let tasks run, without moving the time, until every one waits for something.

        You need not guess a number of turns: this returns when the event loop has nothing left
        that is ready. A task that spins on `asyncio.sleep(0)` never lets it return.

        Raises:
            RuntimeError: The event loop is not asyncio's own, or another task is doing this.
        """
        loop = asyncio.get_running_loop()
        # Not public, but asyncio has no public way to ask whether anything is ready to run.
        ready = getattr(loop, "_ready", None)
        if ready is None:
            raise RuntimeError(
                f"FakeClock cannot see what is ready to run in {type(loop).__qualname__}; "
                "run this test on asyncio's own event loop"
            )
        if loop in self._settling:
            raise RuntimeError("another task is settling this event loop; await that one first")
        self._settling.add(loop)
        try:
            while True:
                await asyncio.sleep(0)
                if not ready:
                    return
        finally:
            self._settling.discard(loop)

    def _drop_cancelled(self) -> None:
        """Drop cancelled timers whenever their list has doubled, which costs little per timer."""
        if len(self._timers) < self._cleanup_above:
            return
        self._timers = [timer for timer in self._timers if not timer.cancelled]
        heapify(self._timers)
        self._cleanup_above = max(_MIN_TIMERS_BEFORE_CLEANUP, 2 * len(self._timers))

    def _target(self, delta: timedelta) -> timedelta:
        if delta < _ZERO:
            raise ValueError(f"delta must not be negative, got {delta}")
        return self._elapsed + delta

    def _next_due(self) -> timedelta | None:
        while self._timers and self._timers[0].cancelled:
            heappop(self._timers)
        return self._timers[0].due if self._timers else None

    def _fire(self, due: timedelta) -> None:
        """Set the time to `due`, and fire what is due then."""
        self._elapsed = due
        while self._next_due() == due:
            timer = heappop(self._timers)
            timer.context.run(timer.callback)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)

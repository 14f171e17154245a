"""The events of one handler: what waits, in which order, and the workers that take it on."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import Context
from datetime import timedelta
from functools import partial
from typing import Any, Final, Generic, TypeVar

from arvo_time import Clock, ClockTimer

from ._ordering import Order, laning
from ._rate import Rate, TokenBucket
from ._seats import Handling, Seats, enter
from ._trial import Trial

TrialT = TypeVar("TrialT", bound=Trial)
VerdictT = TypeVar("VerdictT")

# Handlers may never wait, and timers and signals must come through all the same.
_EVENTS_WITHOUT_A_PAUSE: Final = 32


class Topic(Generic[TrialT, VerdictT]):
    """A queue with long-lived workers, which come as needed and stay.

    It knows no broker: the methods of `Trial` report where an event is to whatever counts it or
    waits for it.

    Args:
        name: What it is called.
        run: Makes one try and says what is to follow. It raises nothing but a cancellation, or
            what ends the program.
        carry_out: Does that. It returns when to try again, or None when the event is done: then
            its lane opens. It is not called for an event that was given up meanwhile.
        undelivered: Reports an event that will not be handled: its worker was cancelled, it was
            to be tried again when everything else had been abandoned, or an error beside its
            handling, which is passed too, left no worker to decide what comes next.
        prefetch: How many workers there are, at most.
        order: What an event waits for: those of its `ordering_key`, in a lane that stays closed
            until its head is done; or nothing.
        broker: Identifies the broker.
        clock: For the delays.
        logger: The broker's.
        rate: How many tries may begin, before each of which an event waits without a slot; None
            for any number.
        of_listeners: Whether it is for the listeners of the broker's owner, not for a handler.
    """

    def __init__(
        self,
        name: str,
        *,
        run: Callable[[TrialT], Awaitable[VerdictT]],
        carry_out: Callable[[VerdictT, TrialT], timedelta | None],
        undelivered: Callable[[TrialT, Exception | None], None],
        prefetch: int,
        order: Order,
        broker: object,
        clock: Clock,
        logger: logging.Logger,
        rate: Rate | None = None,
        of_listeners: bool = False,
    ) -> None:
        self.name: str = name
        """What it is called."""
        self.prefetch: int = prefetch
        """How many workers there are, at most."""
        self._run = run
        self._carry_out = carry_out
        self._undelivered = undelivered
        self._lane_of = laning(order)
        self._clock = clock
        self._logger = logger
        self._bucket = None if rate is None else TokenBucket(rate, clock=clock)
        # Before the lanes, or before another try, until there is a token for the first of them.
        self._metered: deque[tuple[TrialT, Callable[[TrialT], None]]] = deque()
        self._refill: ClockTimer | None = None
        self._ready: deque[TrialT] = deque()
        # Behind the head of each lane; None while nothing waits behind it.
        self._lanes: dict[str, deque[TrialT] | None] = {}
        self.seats: Seats = Seats(
            broker, slots=prefetch, lane_of=self._lane_of, of_listeners=of_listeners
        )
        """What of it is held by handlers that wait for an answer."""
        self._sleeping: dict[TrialT, ClockTimer] = {}
        self._running: set[TrialT] = set()
        self._workers: set[asyncio.Task[None]] = set()
        self._unoccupied: list[asyncio.Future[None]] = []
        self._empty: asyncio.Future[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._size = 0
        self._abandoned = False
        self.stopped: bool = False
        """Whether no further event is started."""

    @property
    def running(self) -> int:
        """How many events are being handled."""
        return len(self._running)

    @property
    def sleeping(self) -> int:
        """How many events wait for their next try."""
        return len(self._sleeping)

    @property
    def queued(self) -> int:
        """How many events wait for a worker or for their lane."""
        return self._size - len(self._running) - len(self._sleeping)

    @property
    def behind_sleepers(self) -> int:
        """How many events wait for one of their lane that sleeps."""
        if self._lane_of is None:
            return 0
        lanes = (self._lanes.get(self._lane_of(trial.event)) for trial in self._sleeping)
        return sum(len(lane) for lane in lanes if lane)

    def put(self, trial: TrialT) -> None:
        """Add an event at the end."""
        self._size += 1
        trial.enter(self.seats)
        if self._bucket is None:
            self._enter_lane(trial)
        else:
            self._meter(trial, self._enter_lane)

    def _enter_lane(self, trial: TrialT) -> None:
        if self._lane_of is not None:
            key = self._lane_of(trial.event)
            if key in self._lanes:
                lane = self._lanes[key]
                if lane is None:
                    lane = self._lanes[key] = deque()
                lane.append(trial)
                return
            self._lanes[key] = None
        self._make_ready(trial)

    async def wait_empty(self) -> None:
        """Wait until no event is left."""
        while self._size:
            if self._empty is None:
                self._empty = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._empty)

    async def wait_idle(self) -> None:
        """Wait until no event is being handled, after `abandon` has left nothing to begin."""
        while self._running:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    def abandon(self) -> Iterator[TrialT]:
        """Take out, one after another, what waits and what sleeps; from now on nothing sleeps."""
        self._abandoned = True
        for trial in self._withdrawn():
            yield trial
            self._done(trial)

    def withdraw(self) -> list[TrialT]:
        """Take out what waits and what sleeps; events of one lane in order.

        Those that run are left, and later ones are handled as before.
        """
        withdrawn = self._withdrawn()
        for trial in withdrawn:
            self._done(trial)
        return withdrawn

    def withdraw_sleeping(self) -> list[TrialT]:
        """Take out what sleeps, each event followed by those behind it in its lane."""
        withdrawn: list[TrialT] = []
        for trial, timer in self._sleeping.items():
            timer.cancel()
            trial.resume(self.seats)
            trial.start(self.seats)
            withdrawn += (trial, *self._lane_behind(trial))
            if self._lane_of is not None:
                del self._lanes[self._lane_of(trial.event)]
        self._sleeping.clear()
        for trial in withdrawn:
            self._done(trial)
        return withdrawn

    def withdraw_behind(self, trial: TrialT) -> list[TrialT]:
        """Take out what waits behind an event that runs, in its lane, in order."""
        withdrawn = self._lane_behind(trial)
        for each in withdrawn:
            self._done(each)
        return withdrawn

    def _withdrawn(self) -> list[TrialT]:
        for timer in self._sleeping.values():
            timer.cancel()
        sleeping, waiting = [*self._sleeping], [*self._ready]
        for lane in self._lanes.values():
            waiting.extend(lane or ())
        waiting.extend(trial for trial, _ in self._metered)
        self._metered.clear()
        self._sleeping.clear()
        self._ready.clear()
        self._lanes.clear()
        if self._lane_of is not None:
            self._lanes = {self._lane_of(trial.event): None for trial in self._running}
        for trial in sleeping:
            trial.resume(self.seats)
        for trial in (*sleeping, *waiting):
            trial.start(self.seats)
        return sleeping + waiting

    def _lane_behind(self, trial: TrialT) -> list[TrialT]:
        """Empty the lane behind its head, and what waits for a token to enter it."""
        if self._lane_of is None:
            return []
        key = self._lane_of(trial.event)
        behind = [*(self._lanes.get(key) or ())]
        self._lanes[key] = None
        for metered in [*self._metered]:
            if metered[0] is not trial and self._lane_of(metered[0].event) == key:
                behind.append(metered[0])
                self._metered.remove(metered)
        for each in behind:
            each.start(self.seats)
        return behind

    def stop(self) -> None:
        """Cancel the workers, each of which reports what it was handling."""
        self.stopped = True
        for worker in self._workers:
            worker.cancel()

    async def ended(self) -> None:
        """Wait until no worker is left, after `stop`."""
        if self._workers:
            await asyncio.wait(self._workers)

    def give_up_running(self) -> None:
        """Report what still runs after `stop`, as it swallows its cancellation.

        What comes of it later is not published.
        """
        for trial in [*self._running]:
            self._undelivered(trial, None)
            trial.given_up = True
            self._finish(trial)
        self._running.clear()
        self._workers.clear()
        self._look_for_idle()

    def _make_ready(self, trial: TrialT) -> None:
        self._ready.append(trial)
        self._call_worker()

    def _meter(self, trial: TrialT, go_on: Callable[[TrialT], None]) -> None:
        """Let an event go on once there is a token for it, first come, first served."""
        self._metered.append((trial, go_on))
        if self._refill is None:
            self._hand_out_tokens()

    def _hand_out_tokens(self) -> None:
        self._refill = None
        bucket = self._bucket
        while bucket is not None and self._metered:
            if pause := bucket.take():
                self._refill = self._clock.call_later(pause, self._hand_out_tokens)
                return
            trial, go_on = self._metered.popleft()
            go_on(trial)

    def _call_worker(self) -> None:
        while self._unoccupied:
            waker = self._unoccupied.pop()
            if not waker.done():
                waker.set_result(None)
                return
        if len(self._workers) < self.prefetch and not self.stopped:
            # A context of its own: it outlives the event on whose account it was started.
            context = Context()
            worker = asyncio.create_task(self._work(), name=f"arvo {self.name}", context=context)
            worker.add_done_callback(self._worker_ended, context=context)
            self._workers.add(worker)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if self._ready:
            self._call_worker()

    async def _work(self) -> None:
        handled = 0
        this = asyncio.current_task()
        ready, running, seats = self._ready, self._running, self.seats
        run, carry_out = self._run, self._carry_out
        verdict: VerdictT | None
        while not self.stopped:
            if not ready:
                await self._wait_for_work()
                continue
            trial = ready.popleft()
            running.add(trial)
            trial.start(seats)
            handling = Handling(seats, trial.event, trial.asker)
            if trial.context is None:
                enter(handling)
            else:
                trial.context.run(enter, handling)
            try:
                verdict = await run(trial)
                if trial.given_up:
                    self._log_late(trial)
                elif (pause := carry_out(verdict, trial)) is None:
                    self._finish(trial)
                elif self._abandoned:
                    self._end_undelivered(trial)
                else:
                    self._sleep(trial, pause)
            except GeneratorExit:
                raise  # the event loop is gone, and with it everybody to report to
            except Exception as error:
                # A clock or a source of randomness has failed, which must not lose an event.
                self._end_undelivered(trial, cause=error)
                verdict = None
            except BaseException:
                # By `stop`, by user code that cancelled the task it runs in, by the event loop.
                self._end_undelivered(trial)
                raise
            finally:
                handling.end()
                running.discard(trial)
                if self._idle is not None:
                    self._look_for_idle()
            if this is not None and this.cancelling():
                return  # its handler cancelled the task it ran in, which is not for the next event
            del trial, handling, verdict  # or a worker without work would keep the last ones alive
            handled += 1
            if not handled % _EVENTS_WITHOUT_A_PAUSE:
                await asyncio.sleep(0)

    def _look_for_idle(self) -> None:
        if not self._running and self._idle is not None:
            self._idle.set_result(None)
            self._idle = None

    def _log_late(self, trial: TrialT) -> None:
        event = trial.event
        message = "event %s of type %s ended after it had been given up; nothing is published"
        trial.call(self._logger.warning, message, event.id, event.type)
        self._log_errors(trial)

    def _log_errors(self, trial: TrialT) -> None:
        """Log the side errors of an event whose verdict is dropped."""
        event = trial.event
        message = "another error in the delivery of event %s of type %s, which had been given up"
        for error in trial.errors:
            trial.call(partial(self._logger.error, message, event.id, event.type, exc_info=error))

    async def _wait_for_work(self) -> None:
        waker = asyncio.get_running_loop().create_future()
        self._unoccupied.append(waker)
        await waker

    def _sleep(self, trial: TrialT, pause: timedelta) -> None:
        timer = self._clock.call_later(pause, partial(self._wake, trial))
        self._sleeping[trial] = timer
        trial.pause()

    def _wake(self, trial: TrialT) -> None:
        del self._sleeping[trial]
        trial.resume(self.seats)
        if self._bucket is None:
            self._make_ready(trial)
        else:
            self._meter(trial, self._make_ready)

    def _end_undelivered(self, trial: TrialT, *, cause: Exception | None = None) -> None:
        if trial.given_up:
            self._log_errors(trial)
            return
        self._undelivered(trial, cause)
        self._finish(trial)

    def _finish(self, trial: TrialT) -> None:
        if self._lane_of is not None:
            self._open_lane(self._lane_of(trial.event))
        self._done(trial)

    def _open_lane(self, key: str) -> None:
        """Let the next event of a key go."""
        lane = self._lanes.get(key)
        if lane:
            self._make_ready(lane.popleft())
        else:
            self._lanes.pop(key, None)

    def _done(self, trial: TrialT) -> None:
        self._size -= 1
        trial.end()
        if not self._size and self._empty is not None:
            self._empty.set_result(None)
            self._empty = None


async def stop_topics(
    topics: Sequence[Topic[Any, Any]], *, patience: timedelta, clock: Clock
) -> None:
    """Cancel what runs in some topics, and wait for it.

    Args:
        topics: The topics.
        patience: How long to wait; what has not ended by then is given up.
        clock: For that.
    """
    for topic in topics:
        topic.stop()
    try:
        async with clock.timeout(patience):
            for topic in topics:
                await topic.ended()
    except TimeoutError:
        pass
    finally:
        for topic in topics:
            topic.give_up_running()

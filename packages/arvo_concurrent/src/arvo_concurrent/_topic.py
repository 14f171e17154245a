"""The events of one handler: what waits, in which order, and the workers that take it on."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextvars import Context
from datetime import timedelta
from functools import partial

from arvo_time import Clock, ClockTimer
from arvo_time.logs import bounded_logger

from ._backlog import Backlog
from ._delivery import Delivery
from ._handling import Handling, Seats, enter

_logger = bounded_logger("arvo_concurrent")

# Handlers may never wait, and timers and signals must come through all the same.
_IN_ONE_GO = 32


class Topic:
    """A queue with long-lived workers, which come as needed and stay.

    Args:
        name: What it is called.
        run: Makes one try. It returns when to try again, or None when the event is done. It
            raises nothing but a cancellation, or what ends the program.
        undelivered: Reports an event that will not be handled: its worker was cancelled, it was
            to be tried again when everything else had been abandoned, or an error beside its
            handling, which is given too, left nobody to say what comes next.
        prefetch: How many workers there are, at most.
        by_subject: Whether events of one subject go one after another, in a lane that stays
            closed until its head is done.
        backlog: What counts the events.
        clock: For the delays.
        of_listeners: Whether it is for the listeners of the broker's owner, not for a handler.
    """

    def __init__(
        self,
        name: str,
        *,
        run: Callable[[Delivery], Awaitable[timedelta | None]],
        undelivered: Callable[[Delivery, Exception | None], None],
        prefetch: int,
        by_subject: bool,
        backlog: Backlog,
        clock: Clock,
        of_listeners: bool = False,
    ) -> None:
        self.name = name
        self.prefetch = prefetch
        self._run = run
        self._undelivered = undelivered
        self._by_subject = by_subject
        self._backlog = backlog
        self._clock = clock
        self._ready: deque[Delivery] = deque()
        # Behind the head of each lane; None while nothing waits behind it.
        self._lanes: dict[str, deque[Delivery] | None] = {}
        self.seats = Seats(
            prefetch, by_subject=by_subject, broker=backlog, of_listeners=of_listeners
        )
        """What of it is held by handlers that wait for an answer."""
        self._sleeping: dict[Delivery, ClockTimer] = {}
        self._running: set[Delivery] = set()
        self._workers: set[asyncio.Task[None]] = set()
        self._unoccupied: list[asyncio.Future[None]] = []
        self._empty: asyncio.Future[None] | None = None
        self._at_rest: asyncio.Future[None] | None = None
        self._size = 0
        self._abandoned = False
        self.stopped = False
        """Whether nothing begins any more."""

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

    def put(self, delivery: Delivery) -> None:
        """Add an event at the end."""
        self._size += 1
        self._backlog.enter()
        delivery.tree.begin()
        if delivery.tree.asker is not None:
            delivery.tree.queued(self.seats, delivery.event.subject)
        if self._by_subject:
            subject = delivery.event.subject
            if subject in self._lanes:
                lane = self._lanes[subject]
                if lane is None:
                    lane = self._lanes[subject] = deque()
                lane.append(delivery)
                return
            self._lanes[subject] = None
        self._make_ready(delivery)

    async def empty(self) -> None:
        """Wait until no event is left."""
        while self._size:
            if self._empty is None:
                self._empty = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._empty)

    async def rest(self) -> None:
        """Wait until no event is being handled, after `abandon` has left nothing to begin."""
        while self._running:
            if self._at_rest is None:
                self._at_rest = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._at_rest)

    def abandon(self) -> Iterator[Delivery]:
        """Take out, one after another, what waits and what sleeps; from now on nothing sleeps."""
        self._abandoned = True
        for timer in self._sleeping.values():
            timer.cancel()
        sleeping, waiting = [*self._sleeping], [*self._ready]
        for lane in self._lanes.values():
            waiting.extend(lane or ())
        for delivery in waiting:
            delivery.tree.taken(self.seats, delivery.event.subject)
        self._sleeping.clear()
        self._ready.clear()
        self._lanes.clear()
        for delivery in (*sleeping, *waiting):
            self._backlog.leave()
            yield delivery
            self._done(delivery)

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
        """Report what still runs after `stop`: whoever swallows a cancellation is not waited for.

        What comes of it later is not published.
        """
        for delivery in [*self._running]:
            self._undelivered(delivery, None)
            delivery.given_up = True
            self._finish(delivery)
        self._running.clear()
        self._workers.clear()
        self._look_for_rest()

    def _make_ready(self, delivery: Delivery) -> None:
        self._ready.append(delivery)
        self._call_worker()

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
        ready, running, backlog = self._ready, self._running, self._backlog
        while not self.stopped:
            if not ready:
                await self._wait_for_work()
                continue
            delivery = ready.popleft()
            backlog.leave()
            running.add(delivery)
            if delivery.tree.asker is not None:
                delivery.tree.taken(self.seats, delivery.event.subject)
            handling = Handling(self.seats, delivery.event.subject, delivery.tree.asker)
            delivery.context.run(enter, handling)
            try:
                pause = await self._run(delivery)
                if delivery.given_up:
                    self._log_late(delivery)
                elif pause is None:
                    self._finish(delivery)
                elif self._abandoned:
                    self._end_undelivered(delivery)
                else:
                    self._sleep(delivery, pause)
            except GeneratorExit:
                raise  # the event loop is gone, and with it whoever could be told
            except Exception as error:
                # A clock or a source of chance has failed, which is no reason to lose an event.
                self._end_undelivered(delivery, cause=error)
            except BaseException:
                # By `stop`, by user code that cancelled the task it runs in, by the event loop.
                self._end_undelivered(delivery)
                raise
            finally:
                handling.end()
                running.discard(delivery)
                if self._at_rest is not None:
                    self._look_for_rest()
            if this is not None and this.cancelling():
                return  # its handler cancelled the task it ran in, which is not for the next event
            del delivery, handling  # or a worker without work would keep the last ones alive
            handled += 1
            if not handled % _IN_ONE_GO:
                await asyncio.sleep(0)

    def _look_for_rest(self) -> None:
        if not self._running and self._at_rest is not None:
            self._at_rest.set_result(None)
            self._at_rest = None

    def _log_late(self, delivery: Delivery) -> None:
        event = delivery.event
        text = "event %s of type %s ended after it had been given up; nothing is published"
        delivery.context.run(_logger.warning, text, event.id, event.type)

    async def _wait_for_work(self) -> None:
        waker = asyncio.get_running_loop().create_future()
        self._unoccupied.append(waker)
        try:
            await waker
        finally:
            if waker.cancelled() and waker in self._unoccupied:
                self._unoccupied.remove(waker)

    def _sleep(self, delivery: Delivery, pause: timedelta) -> None:
        timer = self._clock.call_later(pause, partial(self._wake, delivery))
        self._backlog.waiting += 1
        self._sleeping[delivery] = timer

    def _wake(self, delivery: Delivery) -> None:
        del self._sleeping[delivery]
        if delivery.tree.asker is not None:
            delivery.tree.queued(self.seats, delivery.event.subject)
        self._make_ready(delivery)

    def _end_undelivered(self, delivery: Delivery, *, cause: Exception | None = None) -> None:
        if not delivery.given_up:
            self._undelivered(delivery, cause)
            self._finish(delivery)

    def _finish(self, delivery: Delivery) -> None:
        if self._by_subject:
            self._open_lane(delivery)
        self._done(delivery)

    def _open_lane(self, delivery: Delivery) -> None:
        """Let the next event of the subject go."""
        subject = delivery.event.subject
        lane = self._lanes.get(subject)
        if lane:
            self._make_ready(lane.popleft())
        else:
            self._lanes.pop(subject, None)

    def _done(self, delivery: Delivery) -> None:
        self._size -= 1
        delivery.tree.end()
        self._backlog.done()
        if not self._size and self._empty is not None:
            self._empty.set_result(None)
            self._empty = None

"""A seeded simulation of workflows that wait for time, on workers that crash and whose clocks are wrong.

All random choices come from one generator and every wait is on a fake clock, so a seed always gives
the same run. Two brokers stand for two processes over one memory, which loses writes and replies.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import datetime, timedelta
from random import Random
from typing import Any

from typing_extensions import override

from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory
from arvo_core import ArvoEvent
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    Due,
    Emit,
    ExecutionPolicy,
    Start,
    Step,
    Timer,
)
from arvo_event_handler.delivery import BrokerClosedError, DeadLetter
from arvo_event_handler.memory import LockPolicy, MachineLease, RecordWrite
from arvo_time import Clock, ClockTimer
from arvo_time.testing import FakeClock

from .reminders import ASK_PAY, PAY, PAY_V1, PURCHASE, Ended, Order, paying, start

SECOND = timedelta(seconds=1)
WORKFLOWS = 5
WORKERS = 2
NAMES = ["a", "b", "c", "d"]
LONGEST = timedelta(hours=3)
"""The deadline of workflows that have no shorter one."""


class SkewedClock(Clock):
    """Goes as another clock does, and shows another time."""

    def __init__(self, inner: FakeClock, skew: timedelta) -> None:
        self._inner = inner
        self._skew = skew

    @override
    def now(self) -> datetime:
        return self._inner.now() + self._skew

    @override
    def monotonic(self) -> float:
        return self._inner.monotonic()

    @override
    async def sleep(self, delay: timedelta) -> None:
        await self._inner.sleep(delay)

    @override
    def timeout(self, delay: timedelta) -> AbstractAsyncContextManager[object]:
        return self._inner.timeout(delay)

    @override
    def call_later(self, delay: timedelta, callback: Callable[[], None]) -> ClockTimer:
        return self._inner.call_later(delay, callback)


class FaultyMemory(ConcurrentMachineMemory):
    """Fails before a commit, or loses its reply, as often as `faults` says."""

    def __init__(self, random: Random, *, clock: Clock) -> None:
        super().__init__(clock=clock, policy=LockPolicy(ttl=3 * SECOND, max_wait=SECOND))
        self._random = random
        self.faults = 0.15

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        chance = self._random.random()
        await asyncio.sleep(0)
        if chance < self.faults / 2:
            raise ConnectionError("not stored")
        await super().commit(lease, write)
        if chance < self.faults:
            raise ConnectionError("the reply was lost")


class Shared:
    """A memory as a process sees it that shares it: it does not say when a timer is set."""

    def __init__(self, memory: FaultyMemory) -> None:
        self._memory = memory

    def __getattr__(self, name: str) -> Any:
        if name == "watch_timers":
            raise AttributeError(name)
        return getattr(self._memory, name)


class TimerSimulation:
    """One run.

    Args:
        seed: Decides everything.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.clock = FakeClock()
        self.memory = FaultyMemory(self.random, clock=self.clock)
        self.brokers: dict[int, ConcurrentEventBroker] = {}
        self.wrong: list[str] = []
        self.figures: Counter[str] = Counter(seeds=1)
        choose = self.random
        self.answers: dict[str, ArvoEvent] = {}
        self.deadlines: dict[str, datetime] = {}
        self.inits = [self._init() for _ in range(WORKFLOWS)]
        self.cancels = {
            init.subject: choose.sample(NAMES, choose.randrange(4)) for init in self.inits
        }
        self.delays = {
            init.subject: {name: choose.randrange(120_000) for name in NAMES} for init in self.inits
        }
        self.skews = [choose.choice([-30, 0, 0, 30]) * SECOND for _ in range(WORKERS)]

    def _init(self) -> ArvoEvent:
        """Make the start of a workflow; one in three may have to give up before it can end."""
        if self.random.randrange(3):
            return start(self.clock)
        deadline = self.clock.now() + self.random.randrange(10, 150) * SECOND
        init = start(self.clock, extensions={"deadline": deadline.isoformat()})
        self.deadlines[init.subject] = deadline
        return init

    async def play(self) -> None:
        """Run the workflows, with workers that crash, until nothing is left to do."""
        workers = [self._begin(number) for number in range(WORKERS)]
        await self.clock.settle()
        for init in self.inits:
            await self._publish(init)
        for _ in range(20):
            await self.clock.run_for(timedelta(seconds=self.random.randrange(20)))
            if self.random.random() < 0.3:
                number = self.random.randrange(WORKERS)
                self.figures["crashes"] += 1
                await self._end(workers[number])
                workers[number] = self._begin(number)
                await self.clock.settle()
            # The sender delivers again what may have been lost.
            await self._publish(self.random.choice(self.inits))
        self.memory.faults = 0
        for _ in range(60):
            for init in self.inits:
                await self._publish(init)
            await self.clock.run_for(timedelta(minutes=1))
            if not await self._active():
                break
        for worker in workers:
            await self._end(worker)

    async def _active(self) -> list[str]:
        records: dict[str, Any] = {
            init.subject: await self.memory.read(init.subject) for init in self.inits
        }
        return [
            subject
            for subject, record in records.items()
            if record is None
            or (record["status"] != "done" and record["executionStatus"] != "failure")
        ]

    async def verify(self) -> None:
        """Check what was stored, and that no timer is left."""
        assert self.wrong == []
        assert await self.memory.next_due() is None
        for init in self.inits:
            record: Any = await self.memory.read(init.subject)
            context = record["state$$"]
            settled = context["fired"] + context["cancelled"]
            assert len(settled) == len({*settled}), context
            assert {*context["cancelled"]} <= {*self.cancels[init.subject]}
            self.figures["fired"] += len(context["fired"])
            self.figures["cancelled"] += len(context["cancelled"])
            if record["executionStatus"] == "failure":
                assert init.subject in self.deadlines, record
                self.figures["gave up"] += 1
            else:
                assert record["status"] == "done", record
                assert sorted(settled) == NAMES, context

    async def _flow(self, call: Any) -> Step[dict[str, Any]]:
        if isinstance(call, Start):
            delays = self.delays[call.event.subject]
            return Step(
                context={"fired": [], "cancelled": [], "paid": False},
                services=[Emit(ASK_PAY, Order())],
                timers=[
                    Timer(name, after=timedelta(milliseconds=delay))
                    for name, delay in delays.items()
                ],
            )
        context = call.context
        cancel: list[str] = []
        if isinstance(call, Due):
            if call.name in context["fired"] + context["cancelled"]:
                self.wrong.append(f"{call.name} fired again, or after it was cancelled")
            if self.clock.now() < call.at:
                self.wrong.append(f"{call.name} fired too early")
            context["fired"].append(call.name)
        elif not context["paid"]:
            cancel = [n for n in self.cancels[call.event.subject] if n not in context["fired"]]
            context |= {"paid": True, "cancelled": cancel}
        if context["paid"] and len(context["fired"] + context["cancelled"]) == len(NAMES):
            return Step(context=context, output=Complete(Ended()))
        return Step(context=context, cancel=cancel)

    async def _pay(self) -> None:
        await self.clock.sleep(timedelta(seconds=self.random.randrange(90)))

    def _handlers(self, clock: Clock) -> list[Any]:
        async def flow(call: Any) -> Step[dict[str, Any]]:
            return await self._flow(call)

        workflow = ArvoResumable(
            contract=PURCHASE,
            services=[PAY.version(PAY_V1)],
            memory=Shared(self.memory),
            handler={"1.0.0": flow},
            policy=ExecutionPolicy(clock=clock, finished_expiry=None),
            deadline=LONGEST,
        )
        return [workflow, paying(self._pay)]

    def _begin(self, number: int) -> "asyncio.Task[None]":
        return asyncio.create_task(self._work(number))

    async def _work(self, number: int) -> None:
        async def ignore(*_: object) -> None:
            pass

        async def keep(letter: DeadLetter) -> None:
            pass

        clock = SkewedClock(self.clock, self.skews[number])
        broker = ConcurrentEventBroker(
            self._handlers(clock),
            on_dead_letter=keep,
            on_broker_error=ignore,
            on_unclaimed=self._answered,
            clock=clock,
            random=Random(self.random.random()),
        )
        async with broker:
            self.brokers[number] = broker
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                del self.brokers[number]

    async def _answered(self, answer: ArvoEvent) -> None:
        first = self.answers.setdefault(answer.subject, answer)
        if (first.id, first.type, first.data) != (answer.id, answer.type, answer.data):
            self.wrong.append(f"{answer.subject} ended twice, differently")
        if answer.data.get("errorName") is None:
            return
        if answer.data["errorName"] != "WorkflowDeadlineExceeded":
            self.wrong.append(f"a workflow failed: {answer.data}")
        elif self.clock.now() < self.deadlines.get(answer.subject, self.clock.now() + SECOND):
            self.wrong.append("a workflow gave up before its deadline")

    async def _end(self, worker: "asyncio.Task[None]") -> None:
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await self.clock.run_until_complete(asyncio.wait([worker]))

    async def _publish(self, init: ArvoEvent) -> None:
        number = self.random.choice([*self.brokers])
        with suppress(BrokerClosedError):
            await self.brokers[number].publish(init, redelivered=True)

"""The concurrent broker fires the timers of its workflows."""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any

import pytest
from typing_extensions import override

from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory
from arvo_core import ArvoEvent, ArvoOrchestrationSubject
from arvo_event_handler import (
    Complete,
    Due,
    Emit,
    ExecutionViolation,
    Start,
    Step,
    Timer,
    UnreadableRecordError,
)
from arvo_event_handler.memory import DueMachine, IWorkflowQueries, StoredWorkflow
from arvo_time import ClockTimer, SystemClock
from arvo_time.testing import FakeClock

from .broker_owner import Gate, Owner, broker_of, left_inside, workers
from .reminders import (
    ASK_PAY,
    BEGIN,
    DAY,
    HOUR,
    Call,
    Ended,
    Order,
    Waiting,
    mailing,
    paying,
    purchase,
    start,
)
from .stub_handler import StubHandler

SECOND = timedelta(seconds=1)


class Ticking:
    """A function that completes at its timer, and notes when that was."""

    def __init__(self, clock: FakeClock, after: timedelta = DAY) -> None:
        self.clock = clock
        self.after = after
        self.fired: list[tuple[datetime, datetime]] = []

    async def __call__(self, call: Call) -> Step[Waiting]:
        if isinstance(call, Due):
            self.fired.append((call.at, self.clock.now()))
            return Step(output=Complete(Ended()))
        return Step(timers=[Timer("wait", after=self.after)])


async def test_a_week_of_reminders_fires_in_order(owner: Owner, clock: FakeClock) -> None:
    sent: list[str] = []
    gate = Gate()
    memory = ConcurrentMachineMemory(clock=clock)
    handlers = (purchase(memory, clock), mailing(sent), paying(gate.opened))
    async with broker_of(owner, clock, *handlers) as broker:
        answer = asyncio.ensure_future(broker.resolve(start(clock)))
        await clock.run_for(timedelta(days=7))
        assert len(sent) == 7
        gate.open()
        done = await answer
    assert done is not None
    assert done.data == {"reminders": 7}
    assert owner.letters == []


async def test_each_fires_at_its_time(owner: Owner, clock: FakeClock) -> None:
    memory = ConcurrentMachineMemory(clock=clock)
    fired: list[tuple[str, datetime]] = []

    async def several(call: Call) -> Step[Waiting]:
        if isinstance(call, Start):
            hours = {"c": 3, "a": 1, "b": 2, "d": 3}
            return Step(timers=[Timer(name, after=n * HOUR) for name, n in hours.items()])
        assert isinstance(call, Due)
        fired.append((call.name, clock.now()))
        return Step()

    async with broker_of(owner, clock, purchase(memory, clock, several)) as broker:
        await broker.publish(start(clock))
        await clock.run_for(DAY)
    assert fired == [
        (name, BEGIN + n * HOUR) for name, n in [("a", 1), ("b", 2), ("c", 3), ("d", 3)]
    ]


async def test_a_timer_is_nothing_to_do(owner: Owner, clock: FakeClock) -> None:
    memory = ConcurrentMachineMemory(clock=clock)
    function = Ticking(clock)
    async with broker_of(owner, clock, purchase(memory, clock, function)) as broker:
        assert await broker.resolve(start(clock)) is None
        await broker.wait_idle(timeout=SECOND)
        assert left_inside(broker) == {}
    assert clock.now() == BEGIN, "something waited for the timer"
    assert function.fired == []
    assert workers() == []


async def test_a_completion_that_nobody_waits_for_is_unclaimed(
    owner: Owner, clock: FakeClock
) -> None:
    memory = ConcurrentMachineMemory(clock=clock)
    async with broker_of(owner, clock, purchase(memory, clock, Ticking(clock))) as broker:
        await broker.resolve(start(clock))
        await clock.run_for(2 * DAY)
        assert left_inside(broker) == {}
    assert len(owner.unclaimed) == 1
    assert owner.letters == []


async def test_what_was_missed_fires_late_when_a_broker_runs_again(
    owner: Owner, clock: FakeClock
) -> None:
    memory = ConcurrentMachineMemory(clock=clock)
    function = Ticking(clock)
    async with broker_of(owner, clock, purchase(memory, clock, function)) as broker:
        for _ in range(250):
            await broker.publish(start(clock))
            await clock.run_for(SECOND)
    clock.advance(9 * DAY)
    async with broker_of(owner, clock, purchase(memory, clock, function)):
        await clock.settle()
    planned = [at for at, _ in function.fired]
    assert planned == sorted(planned)
    assert len(set(planned)) == 250
    assert await memory.next_due() is None


async def test_a_timer_that_is_set_meanwhile_comes_before_a_later_one(
    owner: Owner, clock: FakeClock
) -> None:
    memory = ConcurrentMachineMemory(clock=clock)
    function = Ticking(clock, after=2 * DAY)
    async with broker_of(owner, clock, purchase(memory, clock, function)) as broker:
        await broker.publish(start(clock))
        await clock.settle()
        function.after = HOUR
        await broker.publish(start(clock))
        await clock.run_for(3 * DAY)
    assert function.fired == [(BEGIN + HOUR,) * 2, (BEGIN + 2 * DAY,) * 2]


async def test_a_broker_without_timers_waits_for_no_time(owner: Owner, clock: FakeClock) -> None:
    memory = ConcurrentMachineMemory(clock=clock)
    async with broker_of(owner, clock, purchase(memory, clock)):
        await clock.settle()
        assert clock.pending == 0


async def test_a_tick_that_fails_is_a_dead_letter_for_each_claim(
    owner: Owner, clock: FakeClock
) -> None:
    memory = ConcurrentMachineMemory(clock=clock)
    tried: list[float] = []

    async def refusing(call: Call) -> Step[Waiting]:
        if isinstance(call, Due):
            tried.append((clock.now() - BEGIN - HOUR).total_seconds())
            raise ExecutionViolation("not now", retryable=False)
        return Step(timers=[Timer("wait", after=HOUR)])

    async with broker_of(owner, clock, purchase(memory, clock, refusing)) as broker:
        await broker.publish(start(clock))
        await clock.run_for(HOUR + timedelta(seconds=30 + 60 + 120))
    assert tried == [0, 30, 90, 210]
    assert [letter.event.type for letter in owner.letters] == ["arvo.timer.due"] * 4


async def test_the_next_tick_is_published_by_the_step_before(
    owner: Owner, clock: FakeClock
) -> None:
    claims: list[int] = []

    class Counted(ConcurrentMachineMemory):
        @override
        async def claim_due(self, *, limit: int, hold: timedelta) -> Sequence[DueMachine]:
            found = await super().claim_due(limit=limit, hold=hold)
            claims.append(len(found))
            return found

    memory = Counted(clock=clock)
    fired: list[str] = []

    async def several(call: Call) -> Step[Waiting]:
        if isinstance(call, Start):
            return Step(timers=[Timer(str(n), after=HOUR) for n in range(5)])
        assert isinstance(call, Due)
        fired.append(call.name)
        return Step()

    async with broker_of(owner, clock, purchase(memory, clock, several)) as broker:
        await broker.publish(start(clock))
        await clock.run_for(2 * HOUR)
    assert fired == ["0", "1", "2", "3", "4"]


class Shared:
    """A memory that other processes write too: it does not say when a timer is set."""

    def __init__(self, memory: ConcurrentMachineMemory) -> None:
        self._memory = memory
        self.looks: list[datetime] = []

    def __getattr__(self, name: str) -> Any:
        if name == "watch_timers":
            raise AttributeError(name)
        return getattr(self._memory, name)

    async def next_due(self) -> datetime | None:
        self.looks.append(self._memory._clock.now())
        return await self._memory.next_due()


async def test_a_shared_memory_is_asked_at_most_twice_a_second_and_rarely_when_nothing_is_pending(
    owner: Owner, clock: FakeClock
) -> None:
    shared: Any = Shared(ConcurrentMachineMemory(clock=clock))
    async with broker_of(owner, clock, purchase(shared, clock)):
        await clock.run_for(timedelta(seconds=60))
        first = len(shared.looks)
        assert first <= 30 * 1.25 + 2
        await clock.run_for(timedelta(minutes=10))
        assert len(shared.looks) - first <= 10 * 60 / 24 + 1


async def test_a_timer_that_another_process_sets_fires_within_a_second(
    owner: Owner, clock: FakeClock
) -> None:
    memory = ConcurrentMachineMemory(clock=clock)
    shared: Any = Shared(memory)
    function = Ticking(clock, after=HOUR)
    async with broker_of(owner, clock, purchase(shared, clock, function)):
        await purchase(memory, clock, function).execute(start(clock))
        await clock.run_for(HOUR + SECOND)
    [(planned, fired)] = function.fired
    assert planned == BEGIN + HOUR
    assert fired - planned <= SECOND


async def test_a_timer_that_a_step_here_sets_fires_at_its_time(
    owner: Owner, clock: FakeClock
) -> None:
    shared: Any = Shared(ConcurrentMachineMemory(clock=clock))
    function = Ticking(clock, after=timedelta(seconds=5))
    async with broker_of(owner, clock, purchase(shared, clock, function)) as broker:
        await clock.run_for(timedelta(minutes=5))
        await broker.publish(start(clock))
        await clock.run_for(timedelta(seconds=6))
    [(planned, fired)] = function.fired
    assert fired == planned


async def test_a_memory_that_fails_is_asked_again(owner: Owner, clock: FakeClock) -> None:
    class Failing(ConcurrentMachineMemory):
        failing = True

        @override
        async def next_due(self) -> datetime | None:
            if self.failing:
                raise ConnectionError("away")
            return await super().next_due()

    memory = Failing(clock=clock)
    function = Ticking(clock, after=HOUR)
    async with broker_of(owner, clock, purchase(memory, clock, function)) as broker:
        await broker.publish(start(clock))
        await clock.run_for(2 * HOUR)
        assert function.fired == []
        memory.failing = False
        await clock.run_for(timedelta(seconds=31))
    assert len(function.fired) == 1


async def test_a_tick_that_cannot_be_published_keeps_no_other_from_it(
    owner: Owner, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    damaged: list[str] = []

    class Damaged(ConcurrentMachineMemory):
        @override
        async def workflow(self, subject: str) -> StoredWorkflow | None:
            if subject in damaged:
                raise UnreadableRecordError("its row is damaged")
            return await super().workflow(subject)

    memory = Damaged(clock=clock)
    function = Ticking(clock, after=HOUR)
    async with broker_of(owner, clock, purchase(memory, clock, function)) as broker:
        first = start(clock)
        damaged.append(first.subject)
        await broker.publish(first)
        for _ in range(4):
            await broker.publish(start(clock))
        await clock.run_for(2 * HOUR)
        assert function.fired == [(BEGIN + HOUR, BEGIN + HOUR)] * 4
        damaged.clear()
        await clock.run_for(HOUR)
    assert len(function.fired) == 5
    assert f"1 of 5 that are due, the first of {first.subject}: its row is damaged" in caplog.text


async def test_a_tick_has_nothing_of_the_context_in_which_its_broker_was_opened(
    owner: Owner, clock: FakeClock
) -> None:
    user: ContextVar[str | None] = ContextVar("user", default=None)
    seen: list[str | None] = []

    async def noting(call: Call) -> Step[Waiting]:
        if isinstance(call, Due):
            seen.append(user.get())
            return Step(output=Complete(Ended()))
        return Step(timers=[Timer("wait", after=HOUR)])

    token = user.set("operator")
    memory = ConcurrentMachineMemory(clock=clock)
    async with broker_of(owner, clock, purchase(memory, clock, noting)) as broker:
        user.reset(token)
        await broker.publish(start(clock))
        await clock.run_for(HOUR)
    assert seen == [None]


async def test_a_handler_that_is_unsubscribed_fires_nothing(owner: Owner, clock: FakeClock) -> None:
    memory = ConcurrentMachineMemory(clock=clock)
    function = Ticking(clock)
    async with broker_of(owner, clock, StubHandler()) as broker:
        subscription = broker.subscribe(purchase(memory, clock, function))
        await broker.publish(start(clock))
        await clock.settle()
        await subscription.unsubscribe()
        await clock.run_for(2 * DAY)
        assert function.fired == []
        broker.subscribe(purchase(memory, clock, function))
        await clock.settle()
        assert len(function.fired) == 1


async def test_a_timer_of_a_workflow_without_handler_is_left_to_others(
    owner: Owner, clock: FakeClock
) -> None:
    """Its memory may be shared with another program, which has the handler."""
    memory = ConcurrentMachineMemory(clock=clock)
    assert isinstance(memory, IWorkflowQueries)
    lease = await memory.acquire("not a subject")
    assert lease is not None
    await memory.release(lease)
    record: Any = {"timers": {"a#1": {"at": "2025-01-01T00:00:00.000+00:00"}}}
    await memory.write("not a subject", record, None)
    function = Ticking(clock)
    async with broker_of(owner, clock, purchase(memory, clock, function)) as broker:
        await broker.publish(start(clock))
        await clock.run_for(2 * DAY)
    assert len(function.fired) == 1
    assert owner.letters == []


class SleepyClock(FakeClock):
    """A clock of a machine that sleeps: the wall clock goes on, and the event loop's timers do not."""

    slept = timedelta(0)

    @override
    def now(self) -> datetime:
        return super().now() + self.slept

    @override
    def call_at(self, when: datetime, callback: Callable[[], None]) -> ClockTimer:
        return SystemClock.call_at(self, when, callback)  # type: ignore[arg-type]


async def test_a_timer_is_a_minute_late_at_most_when_the_machine_has_slept(owner: Owner) -> None:
    clock = SleepyClock()
    memory = ConcurrentMachineMemory(clock=clock)
    function = Ticking(clock)
    async with broker_of(owner, clock, purchase(memory, clock, function)) as broker:
        await broker.publish(start(clock))
        await clock.settle()
        clock.slept = DAY
        await clock.run_for(timedelta(minutes=1))
        assert len(function.fired) == 1


async def test_timers_of_another_program_are_warned_of_once_for_each_type(
    owner: Owner, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    memory = ConcurrentMachineMemory(clock=clock)
    record: Any = {"timers": {"a#1": {"at": "2025-01-01T00:00:00.000+00:00"}}}
    subjects = [
        ArvoOrchestrationSubject.new(orchestrator=name, version="1.0.0", initiator="com.app.main")
        for name in ("arvo.orc.one", "arvo.orc.one", "arvo.orc.two")
    ]
    for subject in subjects:
        await memory.write(subject, record, None)
    async with broker_of(owner, clock, purchase(memory, clock)):
        await clock.run_for(HOUR)
    warned = [each.message for each in caplog.records if "no handler for" in each.message]
    assert len(warned) == 2
    assert subjects[0] in warned[0]
    assert "no handler for arvo.orc.one: it waits for another program" in warned[0]
    assert "no handler for arvo.orc.two" in warned[1]


@pytest.mark.parametrize("end", ["drain", "aclose"])
async def test_nothing_is_left_after_the_end(owner: Owner, clock: FakeClock, end: str) -> None:
    memory = ConcurrentMachineMemory(clock=clock)
    function = Ticking(clock)
    broker = broker_of(owner, clock, purchase(memory, clock, function))
    async with broker:
        await broker.publish(start(clock))
        await clock.settle()
        await getattr(broker, end)()
    assert workers() == []
    await clock.run_for(2 * DAY)
    assert function.fired == []
    assert memory._timers._watchers == []


async def test_a_delayed_request_leaves_and_is_answered(owner: Owner, clock: FakeClock) -> None:
    async def later(call: Call) -> Step[Waiting]:
        if isinstance(call, Start):
            return Step(services=[Emit(ASK_PAY, Order(), after=DAY)])
        return Step(output=Complete(Ended()))

    async def at_hand() -> None:
        pass

    memory = ConcurrentMachineMemory(clock=clock)
    handlers = (purchase(memory, clock, later), paying(at_hand))
    async with broker_of(owner, clock, *handlers) as broker:
        assert await broker.resolve(start(clock)) is None
        await clock.run_for(2 * DAY)
    assert len(owner.unclaimed) == 1
    assert owner.letters == []


async def test_resolve_gets_what_a_timer_leads_to_while_something_else_is_open(
    clock: FakeClock,
) -> None:
    """Such as a payment that is never made: the deadline answers."""
    memory = ConcurrentMachineMemory(clock=clock)
    gate = Gate()
    handlers = [
        purchase(memory, clock, deadline=timedelta(days=3)),
        paying(gate.opened),
        mailing([]),
    ]
    async with ConcurrentEventBroker(handlers, clock=clock) as broker:
        answer: asyncio.Future[ArvoEvent | None] = asyncio.ensure_future(
            broker.resolve(start(clock))
        )
        await clock.run_for(timedelta(days=4))
        error = await answer
        gate.open()
    assert error is not None
    assert error.data["errorName"] == "WorkflowDeadlineExceeded"

"""Workers fire the timers of their workflows: whichever claims one publishes its tick for all."""

from datetime import timedelta
from typing import Any

from arvo_concurrent import ConcurrentMachineMemory
from arvo_core import ArvoEvent, ArvoOrchestrationSubject, ArvoOrchestratorEventFactory
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    Due,
    ExecutionPolicy,
    ExecutionViolation,
    Reply,
    Start,
    Step,
    Timer,
)

from .bench import APP, Bench
from .nested_flow import NESTED_V1, Number, grandchild_contract

MINUTE = timedelta(minutes=1)
_STARTS = ArvoOrchestratorEventFactory(grandchild_contract.version(NESTED_V1))


def started(number: int, bench: Bench) -> ArvoEvent:
    """Return the event that starts a workflow."""
    return _STARTS.init(source=APP, data=Number(value=number), time=bench.clock.now().isoformat())


class Waiting:
    """Workflows that wait for a minute, over one memory, on any number of workers."""

    def __init__(self, bench: Bench) -> None:
        self.clock = bench.clock
        self.memory = ConcurrentMachineMemory(clock=bench.clock)
        self.fired: list[str] = []
        self.failures = 0

    def handler(self) -> ArvoResumable:
        async def wait_v1(call: Start[Number] | Reply[Any] | Due[Any]) -> Step[Any]:
            if isinstance(call, Due):
                self.fired.append(call.event.subject)
                if len(self.fired) <= self.failures:
                    raise ExecutionViolation("not now", retryable=False)
                return Step(output=Complete(Number(value=1)))
            return Step(timers=[Timer("wait", after=MINUTE)])

        return ArvoResumable(
            contract=grandchild_contract,
            services=[],
            memory=self.memory,
            handler={NESTED_V1.version: wait_v1},
            policy=ExecutionPolicy(clock=self.clock),
        )


async def test_a_timer_fires_once_over_two_workers(bench: Bench) -> None:
    await bench.declare_app()
    waiting = Waiting(bench)
    starts = [started(number, bench) for number in range(20)]
    async with bench.worker(waiting.handler()), bench.worker(waiting.handler()):
        await bench.send(*starts)
        await bench.clock.run_for(2 * MINUTE)
        assert sorted(waiting.fired) == sorted(each.subject for each in starts)
    for each in starts:
        done = await bench.answer_to(each.id)
        assert done is not None
        assert done.data == {"value": 1}
    assert await waiting.memory.next_due() is None


async def test_a_tick_that_is_claimed_again_is_delivered_again(bench: Bench) -> None:
    """Though its id is known: the engine would drop a repetition."""
    await bench.declare_app()
    waiting = Waiting(bench)
    waiting.failures = 2
    async with bench.worker(waiting.handler()):
        await bench.send(started(1, bench))
        await bench.clock.run_for(MINUTE + timedelta(seconds=30 + 60))
    assert len(waiting.fired) == 3
    assert await waiting.memory.next_due() is None


async def test_a_worker_that_drains_claims_nothing_more(bench: Bench) -> None:
    await bench.declare_app()
    waiting = Waiting(bench)
    async with bench.worker(waiting.handler()) as broker:
        await bench.send(started(1, bench))
        await broker.drain()
        await bench.clock.run_for(2 * MINUTE)
    assert waiting.fired == []
    assert await waiting.memory.next_due() is not None


async def test_a_tick_to_a_topic_that_nobody_declared_is_left(bench: Bench) -> None:
    """Such as of another program's workflow in the same memory."""
    await bench.declare_app()
    waiting = Waiting(bench)
    foreign: Any = {"timers": {"wait#1": {"at": "2025-01-01T00:00:00.000+00:00"}}}
    subject = ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.elsewhere", version="1.0.0", initiator=APP
    )
    await waiting.memory.write(subject, foreign, None)
    async with bench.worker(waiting.handler()):
        await bench.send(started(1, bench))
        await bench.clock.run_for(2 * MINUTE)
    assert len(waiting.fired) == 1

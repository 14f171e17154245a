"""What the end of a process has interrupted goes on in the next one."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory
from arvo_core import (
    PARENT_SUBJECT,
    ArvoEvent,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
)
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    ConfigViolation,
    EmissionDomains,
    Emit,
    Reply,
    SimpleMachineMemory,
    Start,
    Step,
)
from arvo_event_handler.delivery import BrokerClosedError, Publish
from arvo_event_handler.memory import LockPolicy, StoredWorkflow
from arvo_time.testing import FakeClock

from .broker_owner import Owner, broker_of, left_inside
from .expenses import CLAIM, CLAIM_V1, Count, Sum, claim, claiming, pricing
from .stub_handler import APP

TRIP_V1 = OrchestratorVersion("1.0.0", init=Count, complete=Sum)
TRIP = ArvoOrchestratorContract(uri="#/office/trip", name="trip", versions=[TRIP_V1])


async def travel(call: Start[Count] | Reply[Count]) -> Step[Count]:
    """Claim, and complete with what the claim says."""
    if isinstance(call, Start):
        data = {"parts": call.data.parts, PARENT_SUBJECT: call.event.subject}
        return Step(context=call.data, services=[Emit(CLAIM.type, data)])
    [done] = call.collected[f"{CLAIM.type}.done"]
    return Step(output=Complete(Sum(total=done.data["total"])))


def travelling(memory: ConcurrentMachineMemory) -> ArvoResumable:
    return ArvoResumable(
        contract=TRIP,
        services=[CLAIM.version(CLAIM_V1)],
        memory=memory,
        handler={"1.0.0": travel},
    )


def trip(parts: int) -> ArvoEvent:
    return ArvoOrchestratorEventFactory(TRIP.version(TRIP_V1)).init(
        source=APP, data=Count(parts=parts)
    )


class TestInterrupted:
    @pytest.mark.parametrize("died_after", [1, 2, 3, 4])
    async def test_a_workflow_and_its_child_go_on_wherever_the_process_died(
        self, owner: Owner, clock: FakeClock, died_after: int
    ) -> None:
        """It dies after some commits, and nothing that came of them was published."""
        memory, start = ConcurrentMachineMemory(clock=clock), trip(2)
        handlers = {each.source: each for each in (travelling(memory), claiming(memory), pricing())}
        queue, commits = [start], 0
        while commits < died_after:
            event = queue.pop(0)
            queue += await handlers[event.to or ""].execute(event)
            commits += handlers[event.to or ""].stateful
        async with broker_of(
            owner, clock, travelling(memory), claiming(memory), pricing()
        ) as broker:
            assert await broker.recover() == (1 if died_after in (1, 4) else 2)
            answer = await broker.resolve(start)
            await broker.wait_idle()
            assert await broker.recover() == 0
        assert answer is not None
        assert answer.data == {"total": 1}
        assert (owner.letters, owner.unclaimed) == ([], [])
        assert left_inside(broker) == {}

    async def test_the_oldest_goes_first_and_completions_are_unclaimed(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        memory, starts = ConcurrentMachineMemory(clock=clock), [claim(1) for _ in range(20)]
        for start in starts:
            assert len(await claiming(memory).execute(start)) == 1
        async with broker_of(owner, clock, claiming(memory), pricing(), max_queued=1) as broker:
            assert await broker.recover() == 20
        ids = [(await claiming(memory).owed(start.subject))[0].id for start in starts]
        assert owner.unclaimed == ids
        assert owner.letters == []

    async def test_what_is_for_the_outside_goes_there_again(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        memory, start, outside = ConcurrentMachineMemory(clock=clock), claim(2), []
        handler = ArvoResumable(
            contract=CLAIM,
            services=[pricing().contract.version("1.0.0")],
            memory=memory,
            handler={"1.0.0": asking_outside},
            domains=EmissionDomains(services=("outside",)),
        )
        await handler.execute(start)

        async def on_domained_event(event: ArvoEvent, publish: Publish) -> None:
            outside.append(event.type)

        async with ConcurrentEventBroker(
            [handler], on_domained_event=on_domained_event, clock=clock
        ) as broker:
            assert await broker.recover() == 1
        assert outside == ["com.part.price"]


async def asking_outside(call: Start[Count] | Reply[Count]) -> Step[Count]:
    return Step(context=Count(parts=1), services=[Emit("com.part.price", {"number": 1})])


class TestTrouble:
    async def test_a_workflow_that_cannot_be_read_is_reported_and_the_others_go_on(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        memory, starts = ConcurrentMachineMemory(clock=clock), [claim(1) for _ in range(3)]
        for start in starts:
            await claiming(memory).execute(start)
        record = await memory.read(starts[1].subject)
        await memory.write(starts[1].subject, {"status": "damaged"}, record)
        reported: list[tuple[str, str]] = []

        async def on_error(workflow: StoredWorkflow, error: Exception) -> None:
            reported.append((workflow.subject, str(error)))

        async with broker_of(owner, clock, claiming(memory), pricing()) as broker:
            assert await broker.recover(on_error=on_error) == 2
        [(subject, why)] = reported
        assert subject == starts[1].subject
        assert "not a workflow's record" in why
        assert len(owner.unclaimed) == 2

    async def test_what_the_dead_process_holds_goes_on_when_its_lease_is_over(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        policy = LockPolicy(ttl=timedelta(seconds=30), max_wait=timedelta(0))
        memory = ConcurrentMachineMemory(policy=policy, clock=clock)
        starts = [claim(1) for _ in range(20)]
        for start in starts:
            await claiming(memory).execute(start)
        for start in starts[:10]:
            assert await memory.acquire(start.subject) is not None
        async with broker_of(owner, clock, claiming(memory), pricing()) as broker:
            recovering = asyncio.create_task(broker.recover())
            await clock.settle()
            await broker.wait_idle()
            assert len(owner.unclaimed) == 10
            assert await clock.run_until_complete(recovering) == 20
            await broker.wait_idle()
            assert len(owner.unclaimed) == 20
        assert clock.monotonic() >= 30

    async def test_a_memory_without_queries_is_refused_by_name(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler: Any = claiming(SimpleMachineMemory())
        async with broker_of(owner, clock, handler) as broker:
            with pytest.raises(ConfigViolation, match=r"arvo.orc.claim.*SimpleMachineMemory"):
                await broker.recover()

    async def test_a_broker_that_does_not_run_recovers_nothing(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        broker = broker_of(owner, clock, claiming(ConcurrentMachineMemory(clock=clock)))
        with pytest.raises(BrokerClosedError):
            await broker.recover()

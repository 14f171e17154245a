"""A step may last as long as its lease is renewed, and no other event of its workflow is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory
from arvo_core import ArvoEvent
from arvo_event_handler import Reply, SimpleEventBroker, Start, Step, UnroutableError
from arvo_event_handler.delivery import CONTENTION_TIMEOUT
from arvo_event_handler.memory import LockPolicy
from arvo_time.testing import FakeClock

from .broker_owner import Owner
from .expenses import Count, claim, claim_v1, claiming, pricing


def test_the_default_timeout_is_as_long_as_a_lease_can_be_held() -> None:
    assert LockPolicy().max_hold + LockPolicy().ttl == CONTENTION_TIMEOUT


@pytest.mark.parametrize(
    ("brokers", "answers", "seconds"),
    [(2, 2, 150), (3, 6, 100), (2, 2, 590)],
    ids=["one long step", "many shorter ones", "as long as max_hold"],
)
async def test_steps_in_other_brokers_make_no_dead_letter(
    clock: FakeClock, owner: Owner, brokers: int, answers: int, seconds: int
) -> None:
    """The lease is renewed all the time, so the waiting brokers never see a new version."""
    memory = ConcurrentMachineMemory(clock=clock)
    questions, subject = await asked(memory, answers)
    async with AsyncExitStack() as stack:
        running = [
            await stack.enter_async_context(
                ConcurrentEventBroker(
                    [claiming(memory, slow(clock, seconds), clock=clock)],
                    on_dead_letter=owner.on_dead_letter,
                    on_unclaimed=owner.on_unclaimed,
                    clock=clock,
                )
            )
            for _ in range(brokers)
        ]
        for number, question in enumerate(questions):
            [answer] = await pricing().execute(question)
            await running[number % brokers].publish(answer, answer_to="com.app.main")
        for broker in running:
            await clock.run_until_complete(broker.wait_idle())
    assert owner.letters == []
    record = await memory.read(subject)
    assert record is not None
    assert record["status"] == "done"


async def test_simple_brokers_wait_for_long_steps(clock: FakeClock) -> None:
    memory = ConcurrentMachineMemory(clock=clock)
    questions, subject = await asked(memory, 2)
    publishing = []
    for question in questions:
        [answer] = await pricing().execute(question)
        broker = SimpleEventBroker(
            [claiming(memory, slow(clock, 590), clock=clock)], clock=clock, on_error=no_error
        )
        publishing.append(broker.publish(answer))
    await clock.run_until_complete(asyncio.gather(*publishing))
    record = await memory.read(subject)
    assert record is not None
    assert record["status"] == "done"


async def no_error(event: ArvoEvent, error: Exception) -> None:
    # The sum of a claim is for an address without a handler.
    assert isinstance(error, UnroutableError)


async def asked(memory: ConcurrentMachineMemory, parts: int) -> tuple[list[ArvoEvent], str]:
    """Start a workflow; return its requests and its subject."""
    event = claim(parts)
    return await claiming(memory).execute(event), event.subject


def slow(clock: FakeClock, seconds: int) -> Callable[..., Awaitable[Step[Count]]]:
    """Return the function of the workflow, with steps that last `seconds`."""

    async def step(call: Start[Count] | Reply[Count]) -> Step[Count]:
        await clock.sleep(timedelta(seconds=seconds))
        return await claim_v1(call)

    return step

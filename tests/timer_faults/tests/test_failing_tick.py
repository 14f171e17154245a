"""A workflow whose step always fails on its tick disturbs no other, and is tried less and less often."""

import os
from collections.abc import Callable, Sized
from datetime import timedelta

import pytest

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoEvent
from arvo_event_handler import Complete, Due, ExecutionViolation, Step, Timer
from arvo_event_handler.delivery import DeadLetter
from timer_faults import HOLD, Call, Ended, HastyClock, Store, Waiting, flow, init
from transport_faults import until

pytestmark = pytest.mark.scaled
CLAIMS, OTHERS = (6, 100) if os.environ.get("ARVO_FULL") == "1" else (3, 10)
NEAR = timedelta(seconds=20)  # as others may take long to end


async def test_each_claim_is_one_dead_letter_and_holds_twice_as_long(store: Store) -> None:
    letters: list[DeadLetter] = []
    answers: list[ArvoEvent] = []
    tries = 0
    letters_by_then: list[int] = []

    async def function(call: Call) -> Step[Waiting]:
        nonlocal tries
        if not isinstance(call, Due):
            context = call.data
            assert isinstance(context, Waiting)
            return Step(context=context, timers=[Timer("wait", after=timedelta(0))])
        if call.context.number < 0:
            tries += 1
            raise ExecutionViolation("not now", retryable=True)
        return Step(output=Complete(Ended(number=call.context.number)))

    async def keep(letter: DeadLetter) -> None:
        letters.append(letter)

    async def answered(answer: ArvoEvent) -> None:
        answers.append(answer)

    async with store.connect() as memory:
        waiting = flow(memory, function=function)
        await waiting.execute(init(-1))
        async with ConcurrentEventBroker(
            [waiting], on_dead_letter=keep, on_unclaimed=answered, clock=HastyClock()
        ) as broker:
            for claim in range(1, CLAIMS + 1):
                await until(reached(letters, claim), f"letter {claim}")
                for number in range(OTHERS):
                    await broker.publish(init(number))
                await until(reached(answers, claim * OTHERS), "the others end")
                held = await memory.next_due() - await store.now()
                assert HOLD * 2 ** (claim - 1) - NEAR < held <= HOLD * 2 ** (claim - 1), claim
                letters_by_then.append(len(letters))
                await store.let_pass(held)
            await until(reached(letters, CLAIMS + 1), "the last claim fails too")
    print(  # noqa: T201
        f"{store.name}: {CLAIMS + 1} claims, {len(letters)} dead letters, {tries} tries, holds doubling "
        f"from {HOLD.total_seconds():g} s; {len(answers)} other workflows ended beside"
    )
    assert letters_by_then == [*range(1, CLAIMS + 1)]
    assert {letter.event.type for letter in letters} == {"arvo.timer.due"}
    assert len(letters) == CLAIMS + 1
    assert tries == 4 * len(letters)
    assert len(answers) == CLAIMS * OTHERS


def reached(found: Sized, count: int) -> Callable[[], bool]:
    return lambda: len(found) >= count

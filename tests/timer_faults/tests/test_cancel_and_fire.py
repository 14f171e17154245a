"""A timer fires at the same moment as the event that cancels it: one of them wins."""

import asyncio
import os
import time
from collections import Counter
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

import pytest

from arvo_core import ArvoEvent, ArvoEventFactory, ViolationError
from arvo_event_handler import ArvoResumable, Due, Emit, Reply, Start, Step, Timer
from timer_faults import ASK, ASK_V1, HOLD, Call, Store, Waiting, each, flow, init, ticks_of

pytestmark = pytest.mark.scaled
MILLISECOND = timedelta(milliseconds=1)
RACES = 1_000 if os.environ.get("ARVO_FULL") == "1" else 40


async def race(call: Call) -> Step[Waiting]:
    """Wait for a timer and for an answer that cancels it."""
    if isinstance(call, Start):
        return Step(
            context=call.data,
            services=[Emit("com.faults.ask", call.data)],
            timers=[Timer("wait", after=timedelta(0))],
        )
    waiting = call.context
    if isinstance(call, Due):
        waiting.fired.append(call.name)
        return Step(context=waiting)
    assert isinstance(call, Reply)
    if waiting.fired:
        return Step(context=waiting)
    waiting.cancelled.append("wait")
    return Step(context=waiting, cancel=["wait"])


async def test_either_the_cancel_or_the_tick_is_committed(any_store: Store) -> None:
    random = Random(17)
    ends: Counter[str] = Counter()
    started = time.monotonic()
    async with any_store.connect() as memory, any_store.connect() as other:
        here, there = flow(memory, function=race), flow(other, function=race)
        answers: dict[str, ArvoEvent] = {}

        async def start(event: ArvoEvent) -> None:
            [request] = await here.execute(event)
            answers[event.subject] = answer_to(request)

        await each([partial(start, init(number)) for number in range(RACES)])
        await any_store.let_pass(MILLISECOND)  # to which times are rounded up
        claimed = await memory.claim_due(limit=RACES, hold=HOLD)
        assert len(claimed) == RACES

        async def run(tick: ArvoEvent) -> None:
            calls = [partial(handled, here, tick), partial(handled, there, answers[tick.subject])]
            random.shuffle(calls)
            await asyncio.gather(*(call() for call in calls))
            record: Any = await memory.read(tick.subject)
            context = record["state$$"]
            ends[
                " and ".join([*context["fired"], *(["cancelled"] * len(context["cancelled"]))])
            ] += 1
            assert not record.get("timers")

        await each([partial(run, tick) for tick in ticks_of(claimed)], at_once=10)
        assert await memory.next_due() is None
    print(f"{any_store.name}: {RACES} races: {dict(ends)}; {time.monotonic() - started:.1f} s")  # noqa: T201
    assert ends.keys() == {"wait", "cancelled"}, "one of both, and each of them sometimes"
    assert ends.total() == RACES


async def handled(handler: ArvoResumable, event: ArvoEvent) -> None:
    """Let it be handled, again where another step was first."""
    while True:
        try:
            await handler.execute(event)
        except ViolationError as error:
            if not error.retryable:
                raise
        else:
            return


def answer_to(request: ArvoEvent) -> ArvoEvent:
    return ArvoEventFactory(ASK.version(ASK_V1)).emits(
        type="evt.faults.ask.success",
        source="com.faults.ask",
        subject=request.subject,
        to=request.redirectto,
        parentid=request.id,
        data=Waiting(),
    )

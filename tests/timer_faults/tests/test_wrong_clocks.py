"""The clocks of workers are 30 s apart, or wrong: what is due is decided by that of the store."""

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoEvent
from arvo_event_handler import Due
from timer_faults import SkewedClock, Store, Waiting, flow, init
from transport_faults import until

pytestmark = pytest.mark.scaled
TIMERS, MOVES = (60, 12) if os.environ.get("ARVO_FULL") == "1" else (16, 8)
QUARTER = timedelta(seconds=15)
# So far back that what is due would not fire while a test waits, if it were for this clock.
SLOW, PATIENCE = timedelta(seconds=50), timedelta(seconds=30)
SHORTEST, LONGEST = timedelta(seconds=20), timedelta(seconds=80)


@pytest.mark.parametrize("skews", [[-QUARTER, QUARTER], [-SLOW]], ids=["30 s apart", "all slow"])
async def test_nothing_fires_before_its_time_or_twice(
    store: Store, skews: Sequence[timedelta]
) -> None:
    """The store's time goes on in moves; after each, those have fired that are due by then."""
    fired: Counter[int] = Counter()

    def count(call: Due[Waiting]) -> None:
        fired[call.context.number] += 1

    async def keep(answer: ArvoEvent) -> None:
        pass

    async with AsyncExitStack() as stack:
        planned: dict[int, datetime] = {}
        for worker, skew in enumerate(skews):
            memory = await stack.enter_async_context(store.connect())
            clock = SkewedClock(skew)
            waiting = flow(memory, count, clock=clock)
            for number in range(worker, TIMERS, len(skews)):
                after = SHORTEST + (LONGEST - SHORTEST) * number / TIMERS
                start = init(number, after=after - skew)
                await waiting.execute(start)
                planned[number] = await planned_of(memory, start.subject)
            await stack.enter_async_context(
                ConcurrentEventBroker([waiting], on_unclaimed=keep, clock=clock)
            )

        def due_by(time: datetime) -> set[int]:
            return {number for number, at in planned.items() if at <= time}

        for move in range(1, MOVES + 1):
            by = (LONGEST + QUARTER) / MOVES
            await store.let_pass(by)
            due = due_by(await store.now() + move * by)
            await until(partial(due.issubset, fired), "what is due has fired", at_most=PATIENCE)
            assert {*fired} <= due_by(await store.now() + move * by)
    seconds = [skew.total_seconds() for skew in skews]
    print(  # noqa: T201
        f"{store.name}: {TIMERS} timers, clocks ahead by {seconds} s: {len(fired)} fired, "
        "0 early, 0 twice"
    )
    assert fired == Counter(range(TIMERS))


async def planned_of(memory: Any, subject: str) -> datetime:
    workflow = await memory.workflow(subject)
    at: datetime = workflow.due
    return at

"""Fifty pumps look at the same time for a thousand timers that are due."""

import logging
import os
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from random import Random

import pytest

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import TimerPump
from arvo_event_handler.memory import DueMachine
from timer_faults import HastyClock, Store, each, flow, init
from transport_faults import until

pytestmark = pytest.mark.scaled
DUE = 1_000 if os.environ.get("ARVO_FULL") == "1" else 300
PUMPS, CONNECTIONS = 50, 5


async def test_each_timer_is_published_by_one_of_them(any_store: Store) -> None:
    published: Counter[str] = Counter()
    busy: set[int] = set()

    async with AsyncExitStack() as stack:
        memories = [
            await stack.enter_async_context(any_store.connect()) for _ in range(CONNECTIONS)
        ]
        waiting = [flow(memory) for memory in memories]
        await each([partial(waiting[n % CONNECTIONS].execute, init(n)) for n in range(DUE)])
        pumps: list[TimerPump] = []
        for number in range(PUMPS):

            async def publish(due: DueMachine, tick: ArvoEvent, number: int = number) -> None:
                published[tick.id] += 1
                busy.add(number)

            pump = TimerPump(
                publish, clock=HastyClock(), random=Random(number), logger=logging.getLogger()
            )
            pump.watch(waiting[number % CONNECTIONS])
            pumps.append(pump)
        for pump in pumps:
            pump.start()
        await until(lambda: len(published) == DUE, "all are published")
        # The last ones are held; nothing can be claimed when that is the earliest.
        held_until = await memories[0].next_due()
        assert held_until - await any_store.now() > timedelta(seconds=10)
        for pump in pumps:
            pump.stop()
            await pump.ended()
    print(  # noqa: T201
        f"{any_store.name}: {PUMPS} pumps, {len(busy)} of them with ticks: {len(published)} distinct of "
        f"{published.total()} ticks for {DUE} timers"
    )
    assert published.total() == len(published) == DUE

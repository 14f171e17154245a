"""A tick whose timer is claimed again has the same id, and an engine that drops duplicates delivers it."""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from arvo_core import ArvoEvent
from arvo_event_handler import Complete, Due, ExecutionViolation, Start, Step, Timer
from arvo_event_handler.memory import DueMachine
from arvo_transport import DistributedEventBroker, TopicSpec, connect_transport
from timer_faults import (
    CLIENT,
    HOLD,
    Call,
    Ended,
    HastyClock,
    Store,
    Waiting,
    each,
    flow,
    init,
)
from transport_faults import until

pytestmark = pytest.mark.scaled
TICKS = 50 if os.environ.get("ARVO_FULL") == "1" else 6


async def test_each_copy_is_delivered_and_each_timer_fires_once(
    sqlite_store: Store, transport_url: str
) -> None:
    """The first delivery of every other one fails; that of the rest lasts until the copy is there."""
    begun: Counter[str] = Counter()
    delivered: Counter[str] = Counter()
    fired: Counter[int] = Counter()
    claims: list[int] = []
    is_claimed_again = asyncio.Event()

    async def function(call: Call) -> Step[Waiting]:
        if isinstance(call, Start):
            return Step(context=call.data, timers=[Timer("wait", after=timedelta(0))])
        assert isinstance(call, Due)
        number, id = call.context.number, call.event.id
        begun[id] += 1
        if number % 2 and begun[id] == 1:
            raise ExecutionViolation("not now", retryable=False)
        await is_claimed_again.wait()
        fired[number] += 1
        return Step(output=Complete(Ended(number=number)))

    async with sqlite_store.connect() as memory, connect_transport(transport_url) as transport:
        waiting = flow(memory, function=function)
        execute, claim_due = waiting.execute, memory.claim_due

        async def counted(event: ArvoEvent, **options: Any) -> list[ArvoEvent]:
            outputs = await execute(event, **options)
            delivered[event.id] += 1
            return outputs

        async def watched(**options: Any) -> Sequence[DueMachine]:
            found: Sequence[DueMachine] = await claim_due(**options)
            claims.extend(due.claims for due in found)
            return found

        await transport.declare([TopicSpec(CLIENT)])
        await each([partial(execute, init(number)) for number in range(TICKS)])
        waiting.execute, memory.claim_due = counted, watched  # type: ignore[method-assign]
        async with DistributedEventBroker(
            [waiting], transport=transport, clock=HastyClock()
        ) as broker:
            running = asyncio.create_task(broker.run())
            await until(lambda: claims == [1] * TICKS, "each timer is claimed")
            await sqlite_store.let_pass(HOLD)
            await until(lambda: claims.count(2) == TICKS, "each timer is claimed again")
            is_claimed_again.set()
            await until(lambda: len(fired) == TICKS, "each timer fires")
            copies = TICKS - TICKS // 2
            await until(
                lambda: delivered.total() == TICKS + copies, "each copy is delivered as well"
            )
            await broker.drain()
            await running
        assert await memory.next_due() is None
    print(  # noqa: T201
        f"{transport_url.partition(':')[0]}: {TICKS} ticks, each claimed twice: "
        f"{begun.total() + copies} deliveries, fired {fired.total()} times"
    )
    assert fired == Counter(range(TICKS))
    assert sorted(claims) == [1] * TICKS + [2] * TICKS

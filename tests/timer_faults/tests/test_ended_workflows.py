"""Workflows that end or expire with timers pending leave nothing in the index."""

from datetime import timedelta
from functools import partial

import pytest

from arvo_core import ArvoEvent
from arvo_event_handler import Complete, Due, Emit, Start, Step, Timer
from arvo_event_handler.memory import NextTimer
from arvo_event_handler.testing import record_write
from timer_faults import HOLD, Call, Ended, Store, Waiting, each, flow, init, ticks_of

WORKFLOWS = 20
MILLISECOND = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
EXPIRY = timedelta(minutes=10)


async def ending(call: Call) -> Step[Waiting]:
    """Wait for one timer, and end with others pending, and a request that has not left."""
    if isinstance(call, Start):
        later = [Timer(str(hours), after=hours * HOUR) for hours in range(4)]
        asks = [Emit("com.faults.ask", call.data, after=HOUR)]
        return Step(context=call.data, services=asks, timers=later)
    assert isinstance(call, Due)
    return Step(output=Complete(Ended()))


async def test_a_finished_workflow_leaves_no_entry_while_it_is_known_or_after(
    any_store: Store,
) -> None:
    async with any_store.connect() as memory:
        waiting = flow(memory, function=ending, finished_expiry=EXPIRY)
        await each([partial(waiting.execute, init(number)) for number in range(WORKFLOWS)])
        assert await any_store.entries() == WORKFLOWS
        await any_store.let_pass(MILLISECOND)  # to which times are rounded up
        ticks: list[ArvoEvent] = ticks_of(await memory.claim_due(limit=WORKFLOWS, hold=HOLD))
        await each([partial(waiting.execute, tick) for tick in ticks])
        left = await any_store.entries()
        await any_store.let_pass(EXPIRY + HOUR)
        after = await any_store.entries()
        assert await memory.claim_due(limit=WORKFLOWS, hold=HOLD) == []
        assert await memory.next_due() is None
    print(  # noqa: T201
        f"{any_store.name}: {WORKFLOWS} finished with 4 pending each: {left} entries left, "
        f"{after} after their expiry"
    )
    assert (left, after) == (0, 0)


@pytest.mark.parametrize("due", [True, False], ids=["due", "pending"])
async def test_a_record_that_expires_with_its_timer_leaves_no_entry(
    any_store: Store, *, due: bool
) -> None:
    """Its entry is never handed out, and goes when its time comes at the latest."""
    async with any_store.connect() as memory:
        now = await any_store.now()
        for number in range(WORKFLOWS):
            lease = await memory.acquire(f"order-{number}")
            timer = NextTimer(at=now - HOUR if due else now + HOUR, key="pay#1")
            await memory.commit(lease, record_write({}, timer=timer, expires_in=EXPIRY))
        await any_store.let_pass(EXPIRY + timedelta(seconds=1))
        assert await memory.claim_due(limit=WORKFLOWS, hold=HOLD) == []
        assert await memory.next_due() is None or not due
        await any_store.let_pass(HOUR)
        assert await memory.claim_due(limit=WORKFLOWS, hold=HOLD) == []
        assert await memory.next_due() is None
        await memory.write("another", {}, None)  # SQLite forgets what has expired at a write
        left = await any_store.entries()
    print(f"{any_store.name}: {WORKFLOWS} expired with a timer: {left} entries left")  # noqa: T201
    assert left == 0

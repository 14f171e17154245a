"""A call that is cancelled at any of its awaits leaves connections and leases sound."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from arvo_event_handler.memory import LockPolicy, MachineLease, WorkflowQuery
from arvo_event_handler.testing import record_write
from arvo_memory_postgres import PostgresMachineMemory
from real_servers import cancelled

from .conftest import Connect

POLICY = LockPolicy(max_wait=timedelta(seconds=60))
Call = Callable[[PostgresMachineMemory, MachineLease], Awaitable[object]]
CALLS: dict[str, Call] = {
    "acquire": lambda memory, _: memory.acquire("order-8"),
    "commit": lambda memory, lease: memory.commit(lease, record_write({"count": 2})),
    "release": lambda memory, lease: memory.release(lease),
    "renew": lambda memory, lease: memory.renew(lease),
    "read": lambda memory, _: memory.read("order-7"),
    "write": lambda memory, _: memory.write("order-8", {"count": 1}, None),
    "lock": lambda memory, _: memory.lock("order-8"),
    "workflows": lambda memory, _: memory.workflows(WorkflowQuery()),
    "cleanup": lambda memory, _: memory.cleanup("order-7"),
    "delete_finished": lambda memory, _: memory.delete_finished(older_than=timedelta(0)),
    "migrate": lambda memory, _: memory.migrate(),
}


@pytest.mark.parametrize("fresh", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("name", CALLS)
async def test_a_call_cancelled_at_any_await_leaves_connection_lease_and_record_sound(
    name: str, fresh: bool, connect_to: Connect
) -> None:
    """The only connection comes back, leases are free or unchanged, and records are complete."""
    wait, was_cancelled = 0, True
    async with connect_to(policy=POLICY) as other:
        while was_cancelled:
            wait += 1
            await other.cleanup("order-8")
            await other.cleanup("order-7")
            await other.write("order-7", {"count": 1}, None)
            async with connect_to(policy=POLICY, pool_size=1) as memory:
                lease = await other.acquire("order-7")
                assert lease is not None
                if not fresh:
                    await memory.read("order-7")
                was_cancelled = await cancelled(CALLS[name](memory, lease), wait=wait)
                # The next statement gets its own answer, not that of the cancelled one.
                assert await memory.read("order-7") in ({"count": 1}, {"count": 2}, None)
                if name in ("acquire", "lock") and was_cancelled:
                    # Without waiting for a ttl, which a lease of another holder would require.
                    assert await memory.acquire("order-8") is not None
    assert wait > 1, "it was never cancelled"


async def test_a_cancelled_waiter_stops_asking_for_the_lease(connect_to: Connect) -> None:
    """It leaves no task behind that could take the lease."""
    async with connect_to(policy=POLICY) as memory:
        lease = await memory.acquire("order-7")
        assert lease is not None
        before = asyncio.all_tasks()
        waiter = asyncio.ensure_future(memory.acquire("order-7"))
        for _ in range(50):
            await memory.read("order-7")
        waiter.cancel()
        await asyncio.wait([waiter])
        if left := asyncio.all_tasks() - before:
            _, left = await asyncio.wait(left, timeout=5)
        assert not left

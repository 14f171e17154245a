"""What cancellation must not break: a part of the suite for machine memories with leases."""

import asyncio

from arvo_event_handler.memory import ILeasedMachineMemory, MachineLease, Record

from ._cancellation import cancelled_after
from ._contention import LetTimePass, after_max_wait, after_ttl, granted
from ._lease_commits import commits
from ._record_write import record_write

_TURNS = range(30)


class LeaseCancellation:
    """Cancelled at any await, a call leaves no lease beyond its ttl and no torn record."""

    async def test_a_cancelled_acquire_holds_nothing_beyond_the_ttl(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """No holder is left to release the lease, so it frees itself."""
        for turns in _TURNS:
            await cancelled_after(turns, memory.acquire(f"order-{turns}"))
        await after_ttl(memory, let_pass=let_pass)
        await _expect_free(memory)

    async def test_a_cancelled_waiter_is_not_handed_the_lease(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """A caller that no longer waits must not get what it can no longer release."""
        leases = [await granted(memory, f"order-{turns}") for turns in _TURNS]
        waiters = [asyncio.ensure_future(memory.acquire(each.machine_id)) for each in leases]
        # Some are cancelled before the release, some with it, some after it.
        for turns, (lease, waiter) in enumerate(zip(leases, waiters, strict=True)):
            if turns % 3 == 0:
                waiter.cancel()
                await asyncio.sleep(0)
            await memory.release(lease)
            if turns % 3 == 2:
                await asyncio.sleep(0)
            waiter.cancel()
        handed = await asyncio.gather(*waiters, return_exceptions=True)
        for late in handed:
            if isinstance(late, MachineLease):
                await memory.release(late)
        for turns in _TURNS:
            call = memory.acquire(f"order-{turns}")
            next_lease = await after_max_wait(memory, call, let_pass=let_pass)
            assert next_lease is not None, "a cancelled waiter holds the lease"

    async def test_a_cancelled_commit_leaves_nothing_torn(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """It happens completely or not at all; repeated, it has happened once."""
        records: dict[str, Record] = {}
        for turns in _TURNS:
            lease = await granted(memory, f"order-{turns}")
            record: Record = {"first": turns, "items": [turns] * 100, "last": turns}
            records[lease.machine_id] = record
            await cancelled_after(turns, memory.commit(lease, record_write(record)))
            assert await memory.read(lease.machine_id) in (None, record)
            if turns % 2:
                assert await commits(memory, lease, record)
        await after_ttl(memory, let_pass=let_pass)
        for machine_id, record in records.items():
            lease = await granted(memory, machine_id)
            assert (lease.version, lease.record) in [(0, None), (1, record)]

    async def test_a_cancelled_release_holds_nothing_beyond_the_ttl(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Done or not, the lease frees itself."""
        for turns in _TURNS:
            await cancelled_after(turns, memory.release(await granted(memory, f"order-{turns}")))
        await after_ttl(memory, let_pass=let_pass)
        await _expect_free(memory)

    async def test_a_cancelled_renewal_keeps_the_lease(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Done or not, it can be renewed again, until the holder commits; and not after that."""
        for turns in _TURNS:
            lease = await granted(memory, f"order-{turns}")
            await cancelled_after(turns, memory.renew(lease))
            assert await memory.renew(lease) is True
            assert await commits(memory, lease, {"count": turns})
        await after_ttl(memory, let_pass=let_pass)
        await _expect_free(memory)


async def _expect_free(memory: ILeasedMachineMemory) -> None:
    for turns in _TURNS:
        await granted(memory, f"order-{turns}")

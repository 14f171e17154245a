"""What happens when leases expire: a part of the suite for machine memories with leases."""

import asyncio

from arvo_event_handler import TransactionViolationCause
from arvo_event_handler.memory import ILeasedMachineMemory, MachineLease

from ._contention import (
    ConnectLeasedMachineMemory,
    LetTimePass,
    after_ttl,
    granted,
    locked_out,
    refused,
)
from ._lease_commits import commits
from ._record_write import record_write
from ._refusal import refuses


class LeaseExpiry:
    """A lease frees itself, and the first commit wins, regardless of who holds the lease then."""

    async def test_a_lease_frees_itself_after_its_ttl(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """Its holder may have died."""
        await granted(memory)
        async with connect() as other:
            await after_ttl(memory, let_pass=let_pass)
            await granted(other)

    async def test_a_lease_holds_until_its_ttl(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Half of the ttl is not enough."""
        await granted(memory)
        await let_pass(memory.policy.ttl / 2)
        assert await refused(memory, let_pass=let_pass)

    async def test_a_plain_lock_frees_itself_after_its_ttl(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """For leases and for locks."""
        assert await memory.lock("order-7")
        assert await memory.lock("order-8")
        await after_ttl(memory, let_pass=let_pass)
        await granted(memory, "order-7")
        assert await memory.lock("order-8")

    async def test_an_expired_lease_not_taken_over_still_commits(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """No other work was affected, so this work is not discarded."""
        lease = await granted(memory)
        await after_ttl(memory, let_pass=let_pass)
        await memory.commit(lease, record_write({"count": 1}))
        assert await memory.read("order-7") == {"count": 1}
        assert (await granted(memory)).version == 1

    # --- renewing -----------------------------------------------------------

    async def test_a_renewed_lease_lasts_its_ttl_from_the_renewal(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """After that it frees itself."""
        lease = await granted(memory)
        await let_pass(memory.policy.ttl * 0.6)
        assert await memory.renew(lease) is True
        await let_pass(memory.policy.ttl * 0.6)
        assert await refused(memory, let_pass=let_pass)
        await after_ttl(memory, let_pass=let_pass)
        await granted(memory)

    async def test_a_renewed_lease_stays_its_holders(self, memory: ILeasedMachineMemory) -> None:
        """Renewing changes neither its owner nor its version: it renews again, and commits."""
        lease = await granted(memory)
        assert await memory.renew(lease) is True
        assert await memory.renew(lease) is True
        await memory.commit(lease, record_write({"count": 1}))
        assert await memory.read("order-7") == {"count": 1}

    async def test_an_expired_lease_not_taken_over_can_be_renewed(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """The lease is not lost; from then on it excludes others again."""
        lease = await granted(memory)
        await after_ttl(memory, let_pass=let_pass)
        assert await memory.renew(lease) is True
        assert await refused(memory, let_pass=let_pass)

    async def test_a_lease_that_was_dropped_cannot_be_renewed(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """Neither after a release nor after a commit."""
        lease = await granted(memory)
        await memory.release(lease)
        assert await memory.renew(lease) is False
        lease = await granted(memory)
        await memory.commit(lease, record_write({"count": 1}))
        assert await memory.renew(lease) is False
        await granted(memory)

    # --- taken over ---------------------------------------------------------

    async def test_the_first_commit_wins_although_the_lease_was_taken_over(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """The new holder's is refused: it loaded what was replaced. With or without a record."""
        await memory.write("order-8", {"by": "nobody"}, None)
        for machine_id, version in [("order-7", 1), ("order-8", 2)]:
            async with connect() as other:
                stale, lease = await _taken_over(memory, other, machine_id, let_pass=let_pass)
                await memory.commit(stale, record_write({"by": "stale"}))
                with refuses(TransactionViolationCause.VERSION_MOVED, by="commit"):
                    await other.commit(lease, record_write({"by": "other"}))
                await other.release(lease)
                assert await other.read(machine_id) == {"by": "stale"}
                assert (await granted(other, machine_id)).version == version

    async def test_the_first_commit_drops_the_lease_that_was_taken_over(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """A holder whose work is in vain blocks no one; it can neither renew nor spoil the next."""
        async with connect() as other:
            stale, lease = await _taken_over(memory, other, let_pass=let_pass)
            await memory.commit(stale, record_write({"by": "stale"}))
            after = await granted(memory)
            assert await other.renew(lease) is False
            await other.release(lease)
            await memory.commit(stale, record_write({"by": "stale"}))
            assert await refused(other, let_pass=let_pass)
            await memory.commit(after, record_write({"by": "next"}))
            assert await other.read("order-7") == {"by": "next"}

    async def test_a_stale_holder_commits_after_its_taker_gave_up(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """There was no write, so the work is not discarded. With or without a record."""
        await memory.write("order-8", {"by": "nobody"}, None)
        for machine_id in ["order-7", "order-8"]:
            async with connect() as other:
                stale, lease = await _taken_over(memory, other, machine_id, let_pass=let_pass)
                await other.release(lease)
                await memory.commit(stale, record_write({"by": "stale"}))
                assert await other.read(machine_id) == {"by": "stale"}

    async def test_a_commit_of_a_stale_holder_is_refused_once_its_taker_committed(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """Nothing is changed: neither the record nor the lease of the third holder after them."""
        async with connect() as other:
            stale, lease = await _taken_over(memory, other, let_pass=let_pass)
            await other.commit(lease, record_write({"by": "other"}))
            third = await granted(other)
            with refuses(TransactionViolationCause.VERSION_MOVED, by="commit"):
                await memory.commit(stale, record_write({"by": "stale"}))
            assert await memory.read("order-7") == {"by": "other"}
            assert await refused(memory, let_pass=let_pass)
            await other.commit(third, record_write({"by": "third"}))
            assert await memory.read("order-7") == {"by": "third"}

    async def test_exactly_one_of_many_stale_holders_commits(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """All loaded the same version and commit concurrently. With or without a record."""
        await memory.write("order-8", {"by": "nobody"}, None)
        async with connect() as other:
            for machine_id, version in [("order-7", 1), ("order-8", 2)]:
                holders: list[tuple[ILeasedMachineMemory, MachineLease]] = []
                for client in [memory, other] * 3:
                    holders.append((client, await granted(client, machine_id)))
                    await after_ttl(memory, let_pass=let_pass)
                won = await asyncio.gather(
                    *(
                        commits(client, lease, {"by": number})
                        for number, (client, lease) in enumerate(holders)
                    )
                )
                assert won.count(True) == 1
                lease = await granted(memory, machine_id)
                assert (lease.version, lease.record) == (version, {"by": won.index(True)})

    async def test_a_first_commit_stands_however_late_it_comes(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """A memory may forget leases of workflows that were never written, but loses no work."""
        lease = await granted(memory)
        await let_pass(memory.policy.max_hold * 4)
        # Some memories forget only at the next call.
        await granted(memory, "order-8")
        await memory.commit(lease, record_write({"count": 1}))
        assert await memory.read("order-7") == {"count": 1}
        assert (await granted(memory)).version == 1

    async def test_a_release_of_a_stale_holder_changes_nothing(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """The new holder keeps its lease."""
        async with connect() as other:
            stale, lease = await _taken_over(memory, other, let_pass=let_pass)
            await memory.release(stale)
            assert await refused(memory, let_pass=let_pass)
            await other.commit(lease, record_write({"by": "other"}))

    async def test_a_renewal_of_a_stale_holder_is_refused(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """The answer is False, and the new holder keeps its lease."""
        async with connect() as other:
            stale, lease = await _taken_over(memory, other, let_pass=let_pass)
            assert await memory.renew(stale) is False
            assert await refused(memory, let_pass=let_pass)
            await other.commit(lease, record_write({"by": "other"}))
            assert await memory.renew(stale) is False

    async def test_unlock_of_a_stale_lock_leaves_the_next_holder_alone(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """The lock expired and another holder has a lease: there is nothing of ours to release."""
        assert await memory.lock("order-7")
        await after_ttl(memory, let_pass=let_pass)
        async with connect() as other:
            await granted(other)
            assert await memory.unlock("order-7") is True
            assert await locked_out(memory, let_pass=let_pass)


async def _taken_over(
    memory: ILeasedMachineMemory,
    other: ILeasedMachineMemory,
    machine_id: str = "order-7",
    *,
    let_pass: LetTimePass,
) -> tuple[MachineLease, MachineLease]:
    """Return an expired lease, and that of the other client that took it over."""
    stale = await granted(memory, machine_id)
    await after_ttl(memory, let_pass=let_pass)
    return stale, await granted(other, machine_id)

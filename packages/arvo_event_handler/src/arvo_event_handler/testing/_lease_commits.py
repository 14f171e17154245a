"""What a commit must do: a part of the suite for machine memories with leases."""

import asyncio
from datetime import timedelta

from arvo_event_handler import TransactionViolation, TransactionViolationCause
from arvo_event_handler.memory import ILeasedMachineMemory, MachineLease, Record, RecordWrite

from ._contention import (
    ConnectLeasedMachineMemory,
    LetTimePass,
    after_ttl,
    answer,
    granted,
    refused,
)
from ._record_write import record_write
from ._refusal import refuses, wins

_WRITERS = 10
_TRIES = 500
_SHORT = timedelta(milliseconds=100)
# Nothing but `let_pass` may end it.
_LONG = timedelta(seconds=5)


class LeaseCommits:
    """Commits write once, only over what was loaded, drop the lease, and may expire."""

    async def test_a_committed_record_is_read_by_every_client(
        self, memory: ILeasedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """Immediately."""
        record: Record = {"b": [1, {"ö": None}], "a": {}}
        await memory.commit(await granted(memory), record_write(record))
        async with connect() as other:
            assert await other.read("order-7") == record
            assert (await granted(other)).record == record

    async def test_a_commit_drops_the_lease(
        self, memory: ILeasedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """The next caller gets it."""
        await memory.commit(await granted(memory), record_write({"count": 1}))
        async with connect() as other:
            await granted(other)

    async def test_each_commit_raises_the_version_by_one(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """From 0, when there is no record."""
        for count in range(5):
            lease = await granted(memory)
            assert lease.version == count
            await memory.commit(lease, record_write({"count": count}))

    async def test_a_commit_replaces_the_whole_record(self, memory: ILeasedMachineMemory) -> None:
        """Members of the old one do not linger."""
        await memory.commit(
            await granted(memory), record_write({"status": "active", "note": "old"})
        )
        await memory.commit(await granted(memory), record_write({"status": "done"}))
        assert await memory.read("order-7") == {"status": "done"}

    async def test_a_committed_record_is_isolated_from_its_writer(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """What the writer does to its objects afterwards changes nothing stored."""
        inner: Record = {"count": 1}
        record: Record = {"inner": inner}
        await memory.commit(await granted(memory), record_write(record))
        inner["count"] = 2
        record["more"] = True
        assert await memory.read("order-7") == {"inner": {"count": 1}}

    async def test_a_plain_write_sees_what_was_committed(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """Both kinds of calls see one record."""
        await memory.commit(await granted(memory), record_write({"count": 1}))
        await memory.write("order-7", {"count": 2}, {"count": 1})
        lease = await granted(memory)
        assert (lease.version, lease.record) == (2, {"count": 2})

    # --- the same again -----------------------------------------------------

    async def test_a_repeated_commit_writes_nothing_twice(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """A caller that did not get the answer may repeat the commit."""
        lease = await granted(memory)
        await memory.commit(lease, record_write({"count": 1}))
        await memory.commit(lease, record_write({"count": 1}))
        assert await memory.read("order-7") == {"count": 1}
        assert (await granted(memory)).version == 1

    async def test_a_repeated_commit_leaves_the_next_holder_alone(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """It is not an error, and neither drops nor spoils the lease granted after it."""
        first = await granted(memory)
        await memory.commit(first, record_write({"by": "first"}))
        second = await granted(memory)
        await memory.commit(first, record_write({"by": "first"}))
        assert await refused(memory, let_pass=let_pass)
        await memory.commit(second, record_write({"by": "second"}))
        assert await memory.read("order-7") == {"by": "second"}

    async def test_a_repeated_old_commit_does_not_undo_a_newer_one(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """Another writer has written since, so it is refused."""
        first = await granted(memory)
        await memory.commit(first, record_write({"by": "first"}))
        await memory.commit(await granted(memory), record_write({"by": "second"}))
        assert not await commits(memory, first, {"by": "first"})
        assert await memory.read("order-7") == {"by": "second"}
        assert (await granted(memory)).version == 2

    # --- what it refuses ----------------------------------------------------

    async def test_a_commit_over_another_clients_write_is_refused(
        self, memory: ILeasedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """A plain write needs no lease, so the version is checked too; the newer record stays."""
        await memory.write("order-7", {"by": "nobody"}, None)
        lease = await granted(memory)
        async with connect() as other:
            await other.write("order-7", {"by": "other"}, {"by": "nobody"})
        with refuses(TransactionViolationCause.VERSION_MOVED, by="commit"):
            await memory.commit(lease, record_write({"by": "holder"}))
        assert await memory.read("order-7") == {"by": "other"}
        await memory.release(lease)
        assert (await granted(memory)).version == 2

    async def test_a_first_commit_over_a_first_write_is_refused(
        self, memory: ILeasedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """A lease of version 0 starts the workflow only if no other writer has."""
        lease = await granted(memory)
        async with connect() as other:
            await other.write("order-7", {"by": "other"}, None)
        with refuses(TransactionViolationCause.VERSION_MOVED, by="commit"):
            await memory.commit(lease, record_write({"by": "holder"}))
        assert await memory.read("order-7") == {"by": "other"}

    async def test_a_commit_after_a_release_stands_unless_another_wrote(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """A cancelled task may commit this late; the version decides then too."""
        for machine_id, count in [("order-7", 1), ("order-8", 2)]:
            if count > 1:
                await memory.write(machine_id, {"count": 1}, None)
            lease = await granted(memory, machine_id)
            await memory.release(lease)
            await memory.commit(lease, record_write({"count": count}))
            late = await granted(memory, machine_id)
            await memory.release(late)
            await memory.commit(
                await granted(memory, machine_id), record_write({"count": count + 1})
            )
            with refuses(TransactionViolationCause.VERSION_MOVED, by="commit"):
                await memory.commit(late, record_write({"by": "late"}))
            assert await memory.read(machine_id) == {"count": count + 1}

    async def test_a_refused_commit_names_the_workflow(self, memory: ILeasedMachineMemory) -> None:
        """The violation carries the machine id as its subject."""
        lease = await granted(memory)
        await memory.write("order-7", {"count": 1}, None)
        try:
            await memory.commit(lease, record_write({"count": 2}))
        except TransactionViolation as violation:
            named = violation.subject
        else:
            raise AssertionError("a commit over a newer record was accepted")
        assert named == "order-7"

    async def test_exactly_one_of_a_commit_and_a_write_wins(
        self, memory: ILeasedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """Made concurrently, whichever comes first."""
        async with connect() as other:
            record: Record | None = None
            for round_ in range(5):
                lease = await granted(memory)
                won = await asyncio.gather(
                    commits(memory, lease, {"commit": round_}),
                    wins(other, {"write": round_}, record),
                )
                assert won.count(True) == 1
                record = await memory.read("order-7")
                assert record == ({"commit": round_} if won[0] else {"write": round_})
                await memory.release(lease)

    async def test_no_update_of_many_holders_is_lost(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """Each of two clients' tasks adds one to what its lease shows."""
        async with connect() as other:
            adding = (_add_one(each) for each in [memory, other] * (_WRITERS // 2))
            added = asyncio.gather(*adding)
            for _ in range(_TRIES):
                await let_pass(memory.policy.max_wait / 10)
                if added.done():
                    break
            await answer(added)
        lease = await granted(memory)
        assert (lease.version, lease.record) == (_WRITERS, {"count": _WRITERS})

    # --- records that are forgotten -----------------------------------------

    async def test_a_record_is_forgotten_when_it_expires(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """For `read` and `acquire` alike."""
        await memory.commit(await granted(memory), record_write({"done": True}, expires_in=_SHORT))
        await let_pass(_SHORT * 1.5)
        assert await memory.read("order-7") is None
        assert (await granted(memory)).record is None

    async def test_a_record_is_there_until_it_expires(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Late duplicates find it."""
        expires_in = timedelta(hours=1)
        await memory.commit(
            await granted(memory), record_write({"done": True}, expires_in=expires_in)
        )
        await let_pass(_SHORT)
        assert await memory.read("order-7") == {"done": True}
        lease = await granted(memory)
        assert (lease.version, lease.record) == (1, {"done": True})

    async def test_the_last_commit_says_how_long_a_record_is_kept(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Regardless of earlier commits; without an expiry the record stays."""
        await memory.commit(await granted(memory, "order-7"), record_write({"count": 1}))
        await memory.commit(
            await granted(memory, "order-7"), record_write({"count": 2}, expires_in=_SHORT)
        )
        await memory.commit(
            await granted(memory, "order-8"), record_write({"count": 1}, expires_in=_SHORT)
        )
        await memory.commit(await granted(memory, "order-8"), record_write({"count": 2}))
        await let_pass(_SHORT * 1.5)
        assert await memory.read("order-7") is None
        assert await memory.read("order-8") == {"count": 2}

    async def test_a_forgotten_workflow_begins_again(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """At version 0, by commit or by write; its past expiry does not apply to the new record."""
        for machine_id in ["order-7", "order-8"]:
            lease = await granted(memory, machine_id)
            await memory.commit(lease, record_write({"done": True}, expires_in=_SHORT))
        await let_pass(_SHORT * 1.5)
        lease = await granted(memory, "order-7")
        assert (lease.version, lease.record) == (0, None)
        await memory.commit(lease, record_write({"again": True}))
        await memory.write("order-8", {"again": True}, None)
        await let_pass(_SHORT * 1.5)
        for machine_id in ["order-7", "order-8"]:
            lease = await granted(memory, machine_id)
            assert (lease.version, lease.record) == (1, {"again": True})

    async def test_a_commit_over_a_record_that_was_forgotten_is_refused(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """The record was loaded before it expired; a lease does not bring it back."""
        await memory.commit(await granted(memory), record_write({"done": True}, expires_in=_LONG))
        lease = await granted(memory)
        assert lease.version == 1
        await let_pass(_LONG * 1.5)
        with refuses(TransactionViolationCause.VERSION_MOVED, by="commit"):
            await memory.commit(lease, record_write({"by": "late"}))
        assert await memory.read("order-7") is None
        await memory.release(lease)
        again = await granted(memory)
        assert (again.version, again.record) == (0, None)

    async def test_a_commit_over_a_workflow_that_began_again_is_refused(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """Although the versions are equal, by write or by commit: other writers wrote them."""
        for machine_id in ["order-7", "order-8"]:
            done = await granted(memory, machine_id)
            await memory.commit(done, record_write({"done": True}, expires_in=_SHORT))
        stale = [await granted(memory, "order-7"), await granted(memory, "order-8")]
        await after_ttl(memory, let_pass=let_pass)
        async with connect() as other:
            await other.write("order-7", {"by": "other"}, None)
            await other.commit(await granted(other, "order-8"), record_write({"by": "other"}))
        for lease in stale:
            with refuses(TransactionViolationCause.VERSION_MOVED, by="commit"):
                await memory.commit(lease, record_write({"by": "stale"}))
            assert await memory.read(lease.machine_id) == {"by": "other"}


async def commits(memory: ILeasedMachineMemory, lease: MachineLease, record: Record) -> bool:
    """Commit a record alone; return False when another writer was faster."""
    return await commits_write(memory, lease, record_write(record))


async def commits_write(
    memory: ILeasedMachineMemory, lease: MachineLease, write: RecordWrite
) -> bool:
    """Commit; return False when another writer was faster."""
    try:
        await memory.commit(lease, write)
    except TransactionViolation as violation:
        if violation.cause is not TransactionViolationCause.VERSION_MOVED:
            raise
        return False
    return True


async def _add_one(memory: ILeasedMachineMemory) -> None:
    lease = None
    while lease is None:
        # Some memories do not wait.
        await asyncio.sleep(0)
        lease = await memory.acquire("order-7")
    count = 0 if lease.record is None else lease.record["count"]
    assert isinstance(count, int)
    # A workflow's own code takes a moment, in which others ask for the lease.
    await asyncio.sleep(0)
    await memory.commit(lease, record_write({"count": count + 1}))

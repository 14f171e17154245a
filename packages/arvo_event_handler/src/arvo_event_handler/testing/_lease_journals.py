"""The four calls beside the journals of commits: part of the suite for memories with leases."""

import asyncio
from typing import Final

from arvo_event_handler import TransactionViolationCause
from arvo_event_handler.memory import ILeasedMachineMemory, Record

from ._committed_journal import Commit, CommittedJournal
from ._contention import ConnectLeasedMachineMemory, granted
from ._refusal import refuses

_COMMITS: Final[tuple[Commit, ...]] = ("failed", "tail", "tail", "chunk", "base", "chunk", "tail")


class LeaseJournals:
    """For `read` and `write`, a record has inside what its journal says."""

    async def test_read_returns_record_tail_and_chunks_as_one(
        self, memory: ILeasedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """What `whole` makes of them, after each commit and for other clients too."""
        journal = CommittedJournal("order-7")
        async with connect() as other:
            for how in _COMMITS:
                await journal.commit(memory, how)
                assert await memory.read("order-7") == journal.whole
                assert await other.read("order-7") == journal.whole

    async def test_read_returns_record_tail_and_chunks_of_one_moment(
        self, memory: ILeasedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """Also while another client commits: never the record of one step and chunks of another."""
        journal = CommittedJournal("order-7")
        committed = [await journal.commit(memory, "tail")]

        async def commit_many() -> list[Record]:
            return [await journal.commit(memory, how) for how in _COMMITS[1:] * 4]

        async with connect() as other:
            committing = asyncio.ensure_future(commit_many())
            found = [await other.read("order-7")]
            while not committing.done():
                found.append(await other.read("order-7"))
                await asyncio.sleep(0)
            committed += await committing
        assert [record for record in found if record not in committed] == []

    async def test_a_record_that_was_read_can_be_replaced(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """`previous` is all that was read; what is written is all that is left."""
        for count in range(1, len(_COMMITS) + 1, 2):
            journal = CommittedJournal(f"order-{count}")
            for how in _COMMITS[:count]:
                await journal.commit(memory, how)
            found = await memory.read(journal.machine_id)
            assert found is not None
            written: Record = {**found, "note": "written"}
            await memory.write(journal.machine_id, written, found)
            assert await memory.read(journal.machine_id) == written
            lease = await granted(memory, journal.machine_id)
            assert (lease.record, lease.tail, list(lease.chunks)) == (written, b"", [])

    async def test_a_record_cannot_be_replaced_after_another_step(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """A step may add to the tail or to the chunks, and change little in the record."""
        journal = CommittedJournal("order-7")
        await journal.commit(memory, "tail")
        for how in _COMMITS[1:]:
            found = await memory.read("order-7")
            await journal.commit(memory, how)
            with refuses(TransactionViolationCause.VERSION_MOVED, by="write"):
                await memory.write("order-7", {"by": "stale"}, found)
            lease = await granted(memory)
            assert (lease.record, lease.tail, list(lease.chunks)) == journal.stored
            await memory.release(lease)

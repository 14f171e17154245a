"""Memories that are sound but for what they do with tails and chunks; each breaks one thing."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self

from pydantic_core import to_json
from typing_extensions import override

from arvo_event_handler import UnwritableRecordError
from arvo_event_handler.memory import MachineLease, Record, RecordWrite
from arvo_event_handler.testing import record_write
from arvo_time.testing import FakeClock

from .leased_memory import LeasedMemory, Stored, WaitingLeasedMemory

Chunks = Sequence[tuple[int, bytes]]


class Memory(WaitingLeasedMemory):
    """Sound."""

    def change(self, machine_id: str, change: Callable[[Stored], Stored]) -> None:
        """Change what is stored."""
        self._stored[machine_id] = change(self._stored[machine_id])


class ShowsOtherwise(Memory):
    """Shows leases otherwise than they are."""

    def shown(self, lease: MachineLease) -> MachineLease:
        raise NotImplementedError

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        lease = await super().acquire(machine_id, after=after)
        return None if lease is None else self.shown(lease)


class StoresOtherwise(Memory):
    """Stores something else than it is given, and knows what was stored before."""

    def otherwise(self, write: RecordWrite, before: Stored | None) -> RecordWrite:
        raise NotImplementedError

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        before = self._current(machine_id)
        super()._store(machine_id, self.otherwise(write, before), by=by)


# --- numbers and order ------------------------------------------------------


class BeginsAtOne(ShowsOtherwise):
    """It says that a number was used before any was."""

    @override
    def shown(self, lease: MachineLease) -> MachineLease:
        return replace(lease, last_chunk=lease.last_chunk or 1)


class CountsCommits(Memory):
    """The number of a chunk is the version that stored it."""

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        super()._store(machine_id, write, by=by)
        self.change(machine_id, lambda stored: replace(stored, last_chunk=stored.version))


class SortsNumbersAsText(ShowsOtherwise):
    @override
    def shown(self, lease: MachineLease) -> MachineLease:
        return replace(lease, chunks=sorted(lease.chunks, key=lambda chunk: str(chunk[0])))


class CountsWhatIsStored(Memory):
    """The next number is one more than there are chunks."""

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        stored = self._current(machine_id)
        if stored is not None:
            last = replace(stored, last_chunk=len(stored.chunks))
            self._stored[machine_id] = last
        super()._store(machine_id, write, by=by)


class NegativeChunkBytes(Memory):
    @property
    @override
    def chunk_bytes(self) -> int:
        return -1


# --- bytes ------------------------------------------------------------------


class KeepsTailsAsText(StoresOtherwise):
    @override
    def otherwise(self, write: RecordWrite, before: Stored | None) -> RecordWrite:
        return replace(write, tail=write.tail.decode("utf-8", "replace").encode())


class KeepsChunksAsText(StoresOtherwise):
    @override
    def otherwise(self, write: RecordWrite, before: Stored | None) -> RecordWrite:
        if write.chunk is None:
            return write
        return replace(write, chunk=write.chunk.decode("utf-8", "replace").encode())


class CutsChunks(StoresOtherwise):
    @override
    def otherwise(self, write: RecordWrite, before: Stored | None) -> RecordWrite:
        return replace(write, chunk=None if write.chunk is None else write.chunk[:4096])


class TakesEmptyForNone(StoresOtherwise):
    @override
    def otherwise(self, write: RecordWrite, before: Stored | None) -> RecordWrite:
        return replace(write, chunk=write.chunk or None)


class AppendsToTheTail(StoresOtherwise):
    @override
    def otherwise(self, write: RecordWrite, before: Stored | None) -> RecordWrite:
        return replace(write, tail=(before.tail if before else b"") + write.tail)


class KeepsTheTailUnlessGivenOne(StoresOtherwise):
    @override
    def otherwise(self, write: RecordWrite, before: Stored | None) -> RecordWrite:
        return replace(write, tail=write.tail or (before.tail if before else b""))


class ForgetsTailsOfOthers(Memory):
    """A cache of the client."""

    @override
    def another_client(self) -> Self:
        other = super().another_client()
        other._stored = {
            key: replace(stored, tail=b"", chunks=()) for key, stored in self._stored.items()
        }
        return other


class KeepsAllChunksTogether(Memory):
    """Chunks have numbers but no workflow."""

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        super()._store(machine_id, write, by=by)
        chunks, last = self._stored[machine_id].chunks, self._stored[machine_id].last_chunk
        for other in self._stored:
            self.change(other, lambda stored: replace(stored, chunks=chunks, last_chunk=last))


class SharesChunks(ShowsOtherwise):
    """Hands out the list that it keeps."""

    def __init__(self, *, clock: FakeClock, policy: object = None) -> None:
        super().__init__(clock=clock)
        self._lists: dict[tuple[str, int], Chunks] = {}

    def kept(self, lease: MachineLease, chunks: Chunks) -> Chunks:
        return self._lists.setdefault((lease.machine_id, lease.version), chunks)

    @override
    def shown(self, lease: MachineLease) -> MachineLease:
        return replace(lease, chunks=self.kept(lease, lease.chunks))

    @override
    async def chunks(self, lease: MachineLease) -> Chunks:
        return self.kept(lease, await super().chunks(lease))


# --- what a caller has already ----------------------------------------------


class ShowsAllChunks(Memory):
    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        return await super().acquire(machine_id)


class CountsFromTheFirstThatIsStored(Memory):
    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        lease = await super().acquire(machine_id)
        return None if lease is None else replace(lease, chunks=lease.chunks[after:])


class LeavesOutTheOneAfter(Memory):
    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        return await super().acquire(machine_id, after=after + bool(after))


class RemembersWhatAcquireLeftOut(Memory):
    @override
    async def chunks(self, lease: MachineLease) -> Chunks:
        return lease.chunks


class GivesChunksToHoldersOnly(Memory):
    @override
    async def chunks(self, lease: MachineLease) -> Chunks:
        if self._holder(lease.machine_id) != lease.owner:
            raise AssertionError("the lease is lost")
        return await super().chunks(lease)


class GivesChunksToAnybody(Memory):
    @override
    async def chunks(self, lease: MachineLease) -> Chunks:
        stored = self._current(lease.machine_id)
        return () if stored is None else list(stored.chunks)


class GivesChunksOfTheSameVersion(Memory):
    @override
    async def chunks(self, lease: MachineLease) -> Chunks:
        stored = self._current(lease.machine_id)
        if stored is not None and stored.version == lease.version:
            return list(stored.chunks)
        return await super().chunks(lease)


class ReadsChunksBeforeItWaits(Memory):
    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        stored = self._current(machine_id)
        lease = await super().acquire(machine_id, after=after)
        if lease is None or stored is None:
            return lease
        chunks = [chunk for chunk in stored.chunks if chunk[0] > after]
        return replace(lease, chunks=chunks)


# --- what is freed ----------------------------------------------------------


class FreesNothing(StoresOtherwise):
    @override
    def otherwise(self, write: RecordWrite, before: Stored | None) -> RecordWrite:
        return replace(write, frees="none")


class FreesItsOwnToo(StoresOtherwise):
    @override
    def otherwise(self, write: RecordWrite, before: Stored | None) -> RecordWrite:
        return replace(write, frees="none" if write.frees == "none" else "all")


class KeepsItsOwn(StoresOtherwise):
    @override
    def otherwise(self, write: RecordWrite, before: Stored | None) -> RecordWrite:
        return replace(write, frees="none" if write.frees == "none" else "earlier")


class FreesOnlyWithAChunk(StoresOtherwise):
    """It frees what is before the number of the chunk, and there is none."""

    @override
    def otherwise(self, write: RecordWrite, before: Stored | None) -> RecordWrite:
        return replace(write, frees="none" if write.chunk is None else write.frees)


class WritesTheRecordAlone(Memory):
    """The four calls know neither tails nor chunks."""

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        before = self._current(machine_id)
        await super().write(machine_id, record, previous)
        if before is not None:
            self.change(
                machine_id,
                lambda stored: replace(stored, tail=before.tail, chunks=before.chunks),
            )


class LeavesChunksWhenItForgets(Memory):
    """As a database does with rows of another table."""

    def __init__(self, *, clock: FakeClock, policy: object = None) -> None:
        super().__init__(clock=clock)
        self._left: dict[str, Chunks] = {}

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        super()._store(machine_id, write, by=by)
        self._left[machine_id] = (*self._left.get(machine_id, ()), *self._stored[machine_id].chunks)

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        lease = await super().acquire(machine_id, after=after)
        gone = lease is not None and lease.version == 0
        return replace(lease, chunks=self._left.get(machine_id, ())) if lease and gone else lease


# --- all or nothing ---------------------------------------------------------


class RepeatsWhatItFrees(Memory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        stored = self._current(lease.machine_id)
        if stored is not None and stored.committed_by == lease.owner and write.frees != "none":
            self.change(lease.machine_id, lambda stored: replace(stored, chunks=()))
        await super().commit(lease, write)


class RepeatsWhatItAppends(Memory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        stored = self._current(lease.machine_id)
        if stored is not None and stored.committed_by == lease.owner and write.chunk is not None:
            own = (stored.last_chunk + 1, write.chunk)
            self.change(
                lease.machine_id,
                lambda stored: replace(
                    stored, chunks=(*stored.chunks, own), last_chunk=stored.last_chunk + 1
                ),
            )
        await super().commit(lease, write)


class FreesBeforeItCompares(Memory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        if write.frees != "none" and lease.machine_id in self._stored:
            self.change(lease.machine_id, lambda stored: replace(stored, chunks=()))
        await super().commit(lease, write)


class AppendsBeforeItCompares(Memory):
    """Two statements, each right by itself."""

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        machine_id, chunk = lease.machine_id, write.chunk
        stored = self._current(machine_id)
        repeated = stored is not None and stored.committed_by == lease.owner
        if chunk is not None and not repeated and stored is not None:
            last = stored.last_chunk + 1
            chunks = (*stored.chunks, (last, chunk))
            self._stored[machine_id] = replace(stored, chunks=chunks, last_chunk=last)
        await super().commit(lease, replace(write, chunk=None) if stored is not None else write)


class TakesWhateverIsNotJson(Memory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        json = to_json(write.record, fallback=str)
        await super().commit(lease, replace(write, record={"text": json.decode()}))


class CommitsInTwoSteps(Memory):
    """The record first, and its chunk a moment later."""

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        await super().commit(lease, replace(write, chunk=None, tail=b""))
        await asyncio.sleep(0)
        super()._store(lease.machine_id, write, by=lease.owner)
        self.change(lease.machine_id, lambda stored: replace(stored, version=stored.version - 1))


class AppendsAlsoWhenItLoses(Memory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        stored = self._current(lease.machine_id)
        if not self.is_as_loaded(stored, lease) and stored is not None and write.chunk is not None:
            own = (stored.last_chunk + 1, write.chunk)
            self.change(
                lease.machine_id, lambda stored: replace(stored, chunks=(*stored.chunks, own))
            )
        await super().commit(lease, write)


class RefusesAndLosesTheTail(Memory):
    """It fails half-way through what cannot be written."""

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        try:
            await super().commit(lease, write)
        except UnwritableRecordError:
            self.change(lease.machine_id, lambda stored: replace(stored, tail=write.tail))
            raise


class LosesChunksOfAFirstCommit(StoresOtherwise):
    @override
    def otherwise(self, write: RecordWrite, before: Stored | None) -> RecordWrite:
        return record_write(write.record, expires_in=write.expires_in) if before is None else write


BROKEN_CHUNKS: dict[str, list[type[LeasedMemory]]] = {
    "test_a_workflow_that_never_ran_has_neither_tail_nor_chunks": [BeginsAtOne],
    "test_chunk_bytes_is_a_number_of_bytes": [NegativeChunkBytes],
    "test_a_tail_is_read_back_byte_for_byte": [KeepsTailsAsText, ForgetsTailsOfOthers],
    "test_a_commit_replaces_the_tail": [AppendsToTheTail],
    "test_an_empty_tail_clears_the_stored_one": [KeepsTheTailUnlessGivenOne],
    "test_a_chunk_is_read_back_byte_for_byte": [KeepsChunksAsText, LosesChunksOfAFirstCommit],
    "test_chunks_are_numbered_from_1_without_gaps": [CountsCommits],
    "test_chunks_come_in_the_order_of_their_numbers": [SortsNumbersAsText],
    "test_an_empty_chunk_is_a_chunk": [TakesEmptyForNone],
    "test_chunks_of_any_length_are_read_back": [CutsChunks],
    "test_a_chunk_leaves_other_workflows_alone": [KeepsAllChunksTogether],
    "test_the_chunks_of_a_lease_are_its_holders_own": [SharesChunks],
    "test_acquire_leaves_out_the_chunks_up_to_after": [ShowsAllChunks, LeavesOutTheOneAfter],
    "test_after_counts_numbers_and_not_what_is_left": [CountsFromTheFirstThatIsStored],
    "test_chunks_gives_all_whatever_acquire_left_out": [RemembersWhatAcquireLeftOut],
    "test_chunks_are_returned_for_a_lease_that_expired": [GivesChunksToHoldersOnly],
    "test_chunks_are_refused_after_another_commit": [GivesChunksToAnybody],
    "test_chunks_are_refused_in_a_later_life_of_the_same_version": [
        GivesChunksOfTheSameVersion,
        GivesChunksToAnybody,
    ],
    "test_freeing_earlier_chunks_keeps_the_commits_own": [FreesNothing, FreesItsOwnToo],
    "test_freeing_earlier_chunks_without_an_own_chunk_frees_all": [FreesOnlyWithAChunk],
    "test_freeing_all_chunks_frees_the_commits_own_too": [KeepsItsOwn],
    "test_the_number_of_a_freed_chunk_is_not_used_again": [CountsWhatIsStored],
    "test_a_bare_write_frees_all_chunks_and_clears_the_tail": [WritesTheRecordAlone],
    "test_a_forgotten_workflow_leaves_neither_tail_nor_chunks": [LeavesChunksWhenItForgets],
    "test_cleanup_takes_tail_and_chunks_along": [LeavesChunksWhenItForgets],
    "test_a_repeated_commit_appends_and_frees_nothing": [
        RepeatsWhatItFrees,
        RepeatsWhatItAppends,
    ],
    "test_a_refused_commit_appends_and_frees_nothing": [
        FreesBeforeItCompares,
        AppendsBeforeItCompares,
    ],
    "test_an_unwritable_record_appends_and_frees_nothing": [
        FreesBeforeItCompares,
        TakesWhateverIsNotJson,
        RefusesAndLosesTheTail,
    ],
    "test_only_the_commit_that_wins_appends_its_chunk": [AppendsAlsoWhenItLoses],
    "test_a_cancelled_commit_leaves_record_tail_and_chunk_together": [CommitsInTwoSteps],
    "test_a_waiter_gets_the_chunks_that_the_holder_committed": [ReadsChunksBeforeItWaits],
}

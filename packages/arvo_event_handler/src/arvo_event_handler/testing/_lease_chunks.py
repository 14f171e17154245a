"""What commits store beside the record: part of the suite for machine memories with leases."""

import asyncio
from collections.abc import Awaitable, Callable, MutableSequence, Sequence
from datetime import timedelta
from typing import cast

from arvo_event_handler import TransactionViolationCause, UnwritableRecordError
from arvo_event_handler.memory import (
    ILeasedMachineMemory,
    MachineLease,
    Record,
    RecordWrite,
)
from arvo_event_handler.memory._record_write import Frees

from ._cancellation import cancelled_after
from ._contention import (
    ConnectLeasedMachineMemory,
    LetTimePass,
    after_max_wait,
    after_ttl,
    granted,
)
from ._lease_commits import commits_write
from ._record_write import record_write
from ._refusal import refuses

_SHORT = timedelta(milliseconds=100)
_RECORD: Record = {"count": 1}
# Not UTF-8, and with bytes that end a text or a line.
_BYTES = b"\x00\xff\xfe \r\n\xc3(" + bytes(range(256))


class LeaseChunks:
    """Each commit replaces the tail and may append a chunk, together with the record."""

    async def test_a_workflow_that_never_ran_has_neither_tail_nor_chunks(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """And no number was used."""
        lease = await granted(memory)
        assert (lease.tail, list(lease.chunks), lease.last_chunk) == (b"", [], 0)
        assert list(await memory.chunks(lease)) == []

    async def test_chunk_bytes_is_a_number_of_bytes(self, memory: ILeasedMachineMemory) -> None:
        """An int, 0 or more."""
        assert type(memory.chunk_bytes) is int
        assert memory.chunk_bytes >= 0

    # --- the tail -----------------------------------------------------------

    async def test_a_tail_is_read_back_byte_for_byte(
        self, memory: ILeasedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """Any bytes, and by other clients too."""
        await _commit(memory, tail=_BYTES)
        async with connect() as other:
            assert (await granted(other)).tail == _BYTES

    async def test_a_commit_replaces_the_tail(self, memory: ILeasedMachineMemory) -> None:
        """Nothing of the old tail is left, and it does not become a chunk."""
        await _commit(memory, tail=b"a long first tail")
        await _commit(memory, tail=b"second")
        lease = await granted(memory)
        assert (lease.tail, list(lease.chunks), lease.last_chunk) == (b"second", [], 0)

    async def test_an_empty_tail_clears_the_stored_one(self, memory: ILeasedMachineMemory) -> None:
        """As when it was closed as a chunk."""
        await _commit(memory, tail=b"tail")
        await _commit(memory, chunk=b"tail")
        lease = await granted(memory)
        assert (lease.tail, list(lease.chunks)) == (b"", [(1, b"tail")])

    # --- chunks and their numbers -------------------------------------------

    async def test_a_chunk_is_read_back_byte_for_byte(
        self, memory: ILeasedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """Any bytes, by other clients too, in `acquire` and in `chunks`."""
        await _commit(memory, chunk=_BYTES)
        async with connect() as other:
            lease = await granted(other)
            assert list(lease.chunks) == [(1, _BYTES)]
            assert list(await other.chunks(lease)) == [(1, _BYTES)]

    async def test_chunks_are_numbered_from_1_without_gaps(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """A commit without a chunk uses no number."""
        for chunk, last in [(b"a", 1), (None, 1), (b"b", 2), (None, 2), (b"c", 3)]:
            await _commit(memory, chunk=chunk)
            lease = await granted(memory)
            assert lease.last_chunk == last
            await memory.release(lease)
        assert await _stored(memory) == [(1, b"a"), (2, b"b"), (3, b"c")]

    async def test_chunks_come_in_the_order_of_their_numbers(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """By number and not by digits: 10 comes after 9."""
        written = await _commit_chunks(memory, 12)
        lease = await granted(memory, "order-7")
        assert list(lease.chunks) == written
        assert list(await memory.chunks(lease)) == written

    async def test_an_empty_chunk_is_a_chunk(self, memory: ILeasedMachineMemory) -> None:
        """It has a number and is read back; None is not a chunk."""
        await _commit(memory, chunk=b"")
        await _commit(memory, chunk=None)
        assert await _stored(memory) == [(1, b"")]

    async def test_chunks_of_any_length_are_read_back(self, memory: ILeasedMachineMemory) -> None:
        """Around 4 KiB and up to a megabyte, whether they can be compressed or not."""
        noise = b"".join(
            (number * 2_654_435_761 % 2**32).to_bytes(4, "big") for number in range(2**18)
        )
        chunks = [
            *(b"x" * length for length in (4095, 4096, 4097, 2**20)),
            *(noise[:length] for length in (4095, 4096, 4097, 2**20)),
        ]
        for chunk in chunks:
            await _commit(memory, chunk=chunk)
        stored = await _stored(memory)
        assert [number for number, _ in stored] == list(range(1, len(chunks) + 1))
        assert [chunk for _, chunk in stored] == chunks

    async def test_a_chunk_leaves_other_workflows_alone(self, memory: ILeasedMachineMemory) -> None:
        """Each counts its own, and frees its own."""
        await _commit(memory, "order-7", chunk=b"of 7", tail=b"tail of 7")
        await _commit(memory, "order-8", chunk=b"of 8", tail=b"tail of 8")
        await _commit(memory, "order-8", chunk=b"more", frees="all")
        lease = await granted(memory, "order-7")
        assert (list(lease.chunks), lease.tail) == ([(1, b"of 7")], b"tail of 7")
        assert await _stored(memory, "order-8") == []

    async def test_the_chunks_of_a_lease_are_its_holders_own(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """What the holder does to them changes nothing stored."""
        await _commit(memory, chunk=b"a")
        lease = await granted(memory)
        for chunks in (lease.chunks, await memory.chunks(lease)):
            if isinstance(chunks, MutableSequence):
                cast("MutableSequence[tuple[int, bytes]]", chunks).clear()
        assert list(await memory.chunks(lease)) == [(1, b"a")]
        await memory.release(lease)
        assert await _stored(memory) == [(1, b"a")]

    # --- what a caller has already ------------------------------------------

    async def test_acquire_leaves_out_the_chunks_up_to_after(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """Those above are returned; every lease has `last_chunk`."""
        written = await _commit_chunks(memory, 11)
        for after in [0, 1, 9, 10, 11, 12, 1000]:
            lease = await memory.acquire("order-7", after=after)
            assert lease is not None
            assert list(lease.chunks) == written[after:]
            assert lease.last_chunk == 11
            await memory.release(lease)

    async def test_after_counts_numbers_and_not_what_is_left(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """Also after earlier chunks were freed."""
        await _commit_chunks(memory, 3)
        await _commit(memory, chunk=b"4", frees="earlier")
        await _commit(memory, chunk=b"5")
        for after, left in [(0, [4, 5]), (2, [4, 5]), (3, [4, 5]), (4, [5]), (5, [])]:
            lease = await memory.acquire("order-7", after=after)
            assert lease is not None
            assert [number for number, _ in lease.chunks] == left
            await memory.release(lease)

    async def test_chunks_gives_all_whatever_acquire_left_out(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """A caller needs them when its own copy turns out to be stale."""
        written = await _commit_chunks(memory, 3)
        lease = await memory.acquire("order-7", after=3)
        assert lease is not None
        assert list(await memory.chunks(lease)) == written

    async def test_chunks_are_returned_for_a_lease_that_expired(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Also to one that was taken over: version and last writer decide, as for a commit."""
        await _commit(memory, chunk=b"a")
        lease = await granted(memory)
        await after_ttl(memory, let_pass=let_pass)
        assert list(await memory.chunks(lease)) == [(1, b"a")]
        await granted(memory)
        assert list(await memory.chunks(lease)) == [(1, b"a")]

    async def test_chunks_are_refused_after_another_commit(
        self, memory: ILeasedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """They would not match the record of the lease. With a record before, and without."""
        await _commit(memory, "order-8", chunk=b"a")
        async with connect() as other:
            for machine_id in ["order-7", "order-8"]:
                lease = await granted(memory, machine_id)
                await memory.release(lease)
                await _commit(other, machine_id, chunk=b"b")
                with refuses(TransactionViolationCause.VERSION_MOVED, by="chunks"):
                    await memory.chunks(lease)

    async def test_chunks_are_refused_in_a_later_life_of_the_same_version(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """The workflow was forgotten, and later began again."""
        await _commit(memory, chunk=b"first life", expires_in=_SHORT)
        lease = await granted(memory)
        await after_ttl(memory, let_pass=let_pass)
        with refuses(TransactionViolationCause.VERSION_MOVED, by="chunks"):
            await memory.chunks(lease)
        async with connect() as other:
            await _commit(other, chunk=b"second life")
        with refuses(TransactionViolationCause.VERSION_MOVED, by="chunks"):
            await memory.chunks(lease)

    # --- what is freed ------------------------------------------------------

    async def test_freeing_earlier_chunks_keeps_the_commits_own(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """The commit's own chunk replaces them."""
        await _commit_chunks(memory, 3)
        await _commit(memory, chunk=b"base", frees="earlier")
        await _commit(memory, chunk=b"next")
        assert await _stored(memory) == [(4, b"base"), (5, b"next")]

    async def test_freeing_earlier_chunks_without_an_own_chunk_frees_all(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """Every stored chunk is an earlier one."""
        await _commit_chunks(memory, 3)
        await _commit(memory, frees="earlier")
        assert await _stored(memory) == []

    async def test_freeing_all_chunks_frees_the_commits_own_too(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """A workflow that has ended needs none; the tail is stored as usual."""
        await _commit_chunks(memory, 3)
        await _commit(memory, chunk=b"last", frees="all", tail=b"tail")
        lease = await granted(memory)
        assert (list(lease.chunks), lease.tail) == ([], b"tail")
        assert list(await memory.chunks(lease)) == []

    async def test_the_number_of_a_freed_chunk_is_not_used_again(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """Nor is the number of a chunk that its own commit freed."""
        await _commit_chunks(memory, 2)
        await _commit(memory, frees="earlier")
        await _commit(memory, chunk=b"freed with itself", frees="all")
        await _commit(memory, chunk=b"kept")
        lease = await granted(memory)
        assert (list(lease.chunks), lease.last_chunk) == ([(4, b"kept")], 4)

    async def test_a_bare_write_frees_all_chunks_and_clears_the_tail(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """Its record stands alone; the numbers continue."""
        await _commit(memory, chunk=b"a", tail=b"tail")
        await memory.write("order-7", {"count": 2}, _RECORD)
        lease = await granted(memory)
        assert (lease.record, lease.tail, list(lease.chunks)) == ({"count": 2}, b"", [])
        await memory.commit(lease, record_write(_RECORD, chunk=b"b"))
        assert await _stored(memory) == [(2, b"b")]

    async def test_a_forgotten_workflow_leaves_neither_tail_nor_chunks(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Its next life has only its own, with numbers from 1 or above."""
        await _commit_chunks(memory, 3)
        await _commit(memory, chunk=b"old", tail=b"old tail", expires_in=_SHORT)
        await let_pass(_SHORT * 1.5)
        lease = await granted(memory)
        assert (lease.version, lease.tail, list(lease.chunks)) == (0, b"", [])
        assert list(await memory.chunks(lease)) == []
        await memory.commit(lease, record_write(_RECORD, chunk=b"new"))
        [(number, chunk)] = await _stored(memory)
        assert (number >= 1, chunk) == (True, b"new")

    async def test_cleanup_takes_tail_and_chunks_along(self, memory: ILeasedMachineMemory) -> None:
        """For a memory that has `cleanup`."""
        cleanup: Callable[[str], Awaitable[object]] | None = getattr(memory, "cleanup", None)
        if cleanup is None:
            return
        await _commit_chunks(memory, 2)
        await _commit(memory, chunk=b"old", tail=b"old tail")
        await cleanup("order-7")
        lease = await granted(memory)
        assert (lease.version, lease.tail, list(lease.chunks)) == (0, b"", [])
        await memory.commit(lease, record_write(_RECORD, chunk=b"new"))
        assert [chunk for _, chunk in await _stored(memory)] == [b"new"]

    # --- all or nothing -----------------------------------------------------

    async def test_a_repeated_commit_appends_and_frees_nothing(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """If it did, it would free the very chunk that it wrote."""
        await _commit(memory, chunk=b"a")
        lease = await granted(memory)
        write = record_write({"count": 2}, chunk=b"b", frees="earlier", tail=b"tail")
        for _ in range(3):
            await memory.commit(lease, write)
        found = await granted(memory)
        assert (found.version, found.last_chunk, found.tail) == (2, 2, b"tail")
        assert list(found.chunks) == [(2, b"b")]

    async def test_a_refused_commit_appends_and_frees_nothing(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """Tail, chunks and the last number stay."""
        await _commit(memory, chunk=b"a", tail=b"tail")
        stale = await granted(memory)
        await memory.release(stale)
        await _commit(memory, chunk=b"b", tail=b"new tail")
        write = record_write({"by": "stale"}, chunk=b"stale", tail=b"stale", frees="all")
        with refuses(TransactionViolationCause.VERSION_MOVED, by="commit"):
            await memory.commit(stale, write)
        lease = await granted(memory)
        assert (lease.last_chunk, lease.tail) == (2, b"new tail")
        assert list(lease.chunks) == [(1, b"a"), (2, b"b")]

    async def test_an_unwritable_record_appends_and_frees_nothing(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """The record is not JSON, so no part of the write is stored."""
        await _commit(memory, chunk=b"a", tail=b"tail")
        lease = await granted(memory)
        unwritable = cast("Record", {"value": object()})
        write = record_write(unwritable, chunk=b"b", tail=b"new tail", frees="all")
        try:
            await memory.commit(lease, write)
        except UnwritableRecordError:
            pass
        else:
            raise AssertionError("commit must raise UnwritableRecordError for what is not JSON")
        await memory.release(lease)
        found = await granted(memory)
        assert (found.version, found.last_chunk, found.tail) == (1, 1, b"tail")
        assert list(found.chunks) == [(1, b"a")]
        await memory.commit(found, record_write(_RECORD, chunk=b"b"))
        assert await _stored(memory) == [(1, b"a"), (2, b"b")]

    async def test_only_the_commit_that_wins_appends_its_chunk(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """All loaded one version and commit concurrently; what is stored is of one of them."""
        async with connect() as other:
            holders: list[tuple[ILeasedMachineMemory, MachineLease]] = []
            for client in [memory, other] * 3:
                holders.append((client, await granted(client)))
                await after_ttl(memory, let_pass=let_pass)
            won = await asyncio.gather(
                *(
                    commits_write(client, lease, _of_one(number))
                    for number, (client, lease) in enumerate(holders)
                )
            )
        assert won.count(True) == 1
        winner = b"%d" % won.index(True)
        found = await granted(memory)
        assert (found.record, found.tail) == ({"by": won.index(True)}, winner)
        assert list(found.chunks) == [(1, winner)]

    async def test_a_cancelled_commit_leaves_record_tail_and_chunk_together(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """It happens completely or not at all; repeated, it has happened once."""
        turns = range(30)
        for number in turns:
            lease = await granted(memory, f"order-{number}")
            await cancelled_after(number, memory.commit(lease, _of_one(number)))
            if number % 2:
                await memory.commit(lease, _of_one(number))
        await after_ttl(memory, let_pass=let_pass)
        for number in turns:
            lease = await granted(memory, f"order-{number}")
            found = (lease.version, lease.record, lease.tail, list(lease.chunks))
            mine = b"%d" % number
            assert found in [(0, None, b"", []), (1, {"by": number}, mine, [(1, mine)])]
            assert lease.version or not number % 2

    async def test_a_waiter_gets_the_chunks_that_the_holder_committed(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """Record, tail and chunks are those of when it gets the lease."""
        await _commit(memory, chunk=b"a")
        async with connect() as other:
            lease = await granted(memory)
            waiter = asyncio.ensure_future(other.acquire("order-7", after=1))
            await let_pass(memory.policy.max_wait / 4)
            await other.read("order-7")
            await memory.commit(lease, record_write({"count": 2}, chunk=b"b", tail=b"tail"))
            after = await after_max_wait(memory, waiter, let_pass=let_pass)
            after = after or await other.acquire("order-7", after=1)
            assert after is not None
            assert (after.version, after.last_chunk, after.tail) == (2, 2, b"tail")
            assert list(after.chunks) == [(2, b"b")]


async def _commit(
    memory: ILeasedMachineMemory,
    machine_id: str = "order-7",
    *,
    tail: bytes = b"",
    chunk: bytes | None = None,
    frees: Frees = "none",
    expires_in: timedelta | None = None,
) -> None:
    lease = await granted(memory, machine_id)
    write = record_write(_RECORD, tail=tail, chunk=chunk, frees=frees, expires_in=expires_in)
    await memory.commit(lease, write)


async def _commit_chunks(memory: ILeasedMachineMemory, count: int) -> list[tuple[int, bytes]]:
    """Commit chunks 1 to `count`, and return what must be read back."""
    written = [(number, b"chunk %d" % number) for number in range(1, count + 1)]
    for _, chunk in written:
        await _commit(memory, chunk=chunk)
    return written


async def _stored(
    memory: ILeasedMachineMemory, machine_id: str = "order-7"
) -> Sequence[tuple[int, bytes]]:
    """Return the chunks of a new lease, and release it."""
    lease = await granted(memory, machine_id)
    await memory.release(lease)
    return list(lease.chunks)


def _of_one(number: int) -> RecordWrite:
    """Return a write whose record, tail and chunk contain the same number."""
    mine = b"%d" % number
    return record_write({"by": number}, tail=mine, chunk=mine)

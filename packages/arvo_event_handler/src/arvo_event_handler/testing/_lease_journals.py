"""The four calls beside the journals of commits: part of the suite for memories with leases."""

import asyncio
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from arvo_event_handler import TransactionViolationCause
from arvo_event_handler.memory import ILeasedMachineMemory, MachineLease, Record, whole
from arvo_event_handler.memory._journal import open_segment, with_base, write_base
from arvo_event_handler.memory._journal_entry import START, mark_after, write_entry
from arvo_event_handler.memory._journaled_record import beside_journal
from arvo_event_handler.memory._kept_event import WireEvent
from arvo_event_handler.memory._record_write import Frees
from arvo_event_handler.memory._state import WorkflowState

from ._contention import ConnectLeasedMachineMemory, granted
from ._record_write import record_write
from ._refusal import refuses

_Commit: TypeAlias = Literal["failed", "tail", "chunk", "base"]
_COMMITS: Final[tuple[_Commit, ...]] = ("failed", "tail", "tail", "chunk", "base", "chunk", "tail")
_WINDOW: Final = 32


class LeaseJournals:
    """For `read` and `write`, a record has inside what its journal says."""

    async def test_read_returns_record_tail_and_chunks_as_one(
        self, memory: ILeasedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """What `whole` makes of them, after each commit and for other clients too."""
        journal = _Journal("order-7")
        async with connect() as other:
            for how in _COMMITS:
                await journal.commit(memory, how)
                assert await memory.read("order-7") == journal.whole
                assert await other.read("order-7") == journal.whole

    async def test_read_returns_record_tail_and_chunks_of_one_moment(
        self, memory: ILeasedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """Also while another client commits: never the record of one step and chunks of another."""
        journal = _Journal("order-7")
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
            journal = _Journal(f"order-{count}")
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
        journal = _Journal("order-7")
        await journal.commit(memory, "tail")
        for how in _COMMITS[1:]:
            found = await memory.read("order-7")
            await journal.commit(memory, how)
            with refuses(TransactionViolationCause.VERSION_MOVED, by="write"):
                await memory.write("order-7", {"by": "stale"}, found)
            lease = await granted(memory)
            assert (lease.record, lease.tail, list(lease.chunks)) == journal.stored
            await memory.release(lease)


class _Journal:
    """A workflow whose steps are committed as Arvo does it, and what must be stored."""

    def __init__(self, machine_id: str) -> None:
        self.machine_id = machine_id
        self._state = WorkflowState(subject=machine_id, init_event_id="e1", parent_subject=None)
        self._last = START
        self._tail = b""
        self._chunks: list[tuple[int, bytes]] = []
        self._last_chunk = 0

    @property
    def stored(self) -> tuple[Record, bytes, Sequence[tuple[int, bytes]]]:
        """Record, tail and chunks."""
        return beside_journal(self._state, last=self._last), self._tail, self._chunks

    @property
    def whole(self) -> Record:
        """What `read` must return."""
        record, tail, chunks = self.stored
        return whole(record, tail=tail, chunks=chunks)

    async def commit(self, memory: ILeasedMachineMemory, how: _Commit) -> Record:
        """Commit a step; return what `read` must return from now on.

        Args:
            memory: The memory.
            how: Whether it failed, or adds to the tail, closes it as a chunk, or closes it as a
                chunk that frees all earlier ones.
        """
        lease = await granted(memory, self.machine_id)
        chunk: bytes | None = None
        frees: Frees = "none"
        if how != "failed":
            self._step(lease)
        if how == "base":
            base = write_base(self._state, self._last)
            self._tail = with_base(self._tail, base, where="the tail")
            self._chunks, frees = [], "earlier"
        if how in {"chunk", "base"}:
            chunk, self._tail = self._tail, b""
            self._last_chunk += 1
            self._chunks.append((self._last_chunk, chunk))
        record, tail, _ = self.stored
        await memory.commit(lease, record_write(record, tail=tail, chunk=chunk, frees=frees))
        return self.whole

    def _step(self, lease: MachineLease) -> None:
        mark = mark_after(self._last, owner=lease.owner)
        name = f"e{mark.number}"
        entry, line = write_entry(
            mark,
            version=lease.version + 1,
            at=1_764_400_000_000,
            consumed=self._event(name, "com.suite.order"),
            outputs=[self._event(f"{name}.{each}", "com.suite.stock") for each in range(2)],
            asks=[0, 1],
            collects=True,
        )
        self._tail = (self._tail or open_segment(self._last)) + line
        self._state.post(entry.step, window=_WINDOW)
        self._last = mark

    def _event(self, event_id: str, kind: str) -> WireEvent:
        return {
            "id": event_id,
            "source": "com.suite.main",
            "specversion": "1.0",
            "type": kind,
            "subject": self.machine_id,
            "datacontenttype": "application/cloudevents+json;charset=UTF-8",
            "data": {"text": "tea \u00e9 \u6f22 " + "x" * 600},
            "time": "2026-11-29T12:00:00.000+00:00",
            "to": kind,
        }

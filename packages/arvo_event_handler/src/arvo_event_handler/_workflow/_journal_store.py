"""Workflows as a small record beside a journal, for memories that keep chunks."""

from collections.abc import Sequence, Set as AbstractSet
from dataclasses import replace
from typing import Final

from typing_extensions import override

from arvo_event_handler.memory._journal import (
    Segment,
    follow,
    lacks_beginning,
    open_segment,
    read_segments,
    replay,
    with_base,
    write_base,
)
from arvo_event_handler.memory._journal_entry import (
    START,
    Mark,
    mark_after,
    write_entry,
)
from arvo_event_handler.memory._journaled_record import (
    beside_journal,
    has_journal,
    last_entry,
    stands_alone,
    taken_apart,
)
from arvo_event_handler.memory._kept_state import write_kept_state
from arvo_event_handler.memory._memory import ILeasedMachineMemory, MachineLease, Record
from arvo_event_handler.memory._open_requests import OpenRequests
from arvo_event_handler.memory._record import apply_head, read_head, read_state, write_tombstone
from arvo_event_handler.memory._state import WorkflowState
from arvo_event_handler.memory._step_history import history_of

from ._held_workflow import HeldWorkflow, NewEntry, WorkflowStore, WrittenState
from ._lease import read_chunks
from ._warm_states import WarmState, WarmStates

_BEGUN: Final = open_segment(START)
"""The first line of every journal."""
_GARBAGE: Final = 64 * 1024
"""How many bytes of entries that nobody needs any more are kept before a base replaces them."""
_LARGEST_BASE: Final = 4 * 1024 * 1024
"""How many bytes a base has at most; a larger one might be made, and refused, at every step."""
_SEEN_SIZE: Final = 19
"""How many bytes a base takes for an event that was seen."""


class JournalStore(WorkflowStore):
    """Appends an entry at each step, and keeps what it has stepped.

    Args:
        memory: The memory.
        window: How many steps' outputs are kept at most.
        collects: Whether the workflow collects answers.
        awaited: Whether it accepts answers to its open requests only.
        warm_bytes: How many bytes the states that are kept may have as stored; 0 keeps none.
    """

    def __init__(
        self,
        memory: ILeasedMachineMemory,
        *,
        window: int,
        collects: bool,
        awaited: bool,
        warm_bytes: int,
    ) -> None:
        self._memory = memory
        self._remembers = history_of(memory) is not None
        self._window = window
        self._collects = collects
        self._awaited = awaited
        self._warm = WarmStates(warm_bytes)

    @property
    @override
    def memory(self) -> ILeasedMachineMemory:
        return self._memory

    @override
    async def acquire(self, subject: str) -> MachineLease | None:
        return await self._memory.acquire(subject, after=self._warm.last_chunk(subject))

    @override
    async def load(self, lease: MachineLease, *, answering: AbstractSet[str]) -> HeldWorkflow:
        subject, record = lease.machine_id, lease.record
        warm = self._warm.take(subject)
        if record is None:
            return self._held(lease, None)
        tail = lease.tail
        if not has_journal(record):
            state = read_state(record, subject, services=answering)
            if state.ended and state.failure is None:
                return self._held(lease, state)
        if stands_alone(record):
            record, tail = taken_apart(record, subject, answering=answering, version=lease.version)
            lease = replace(lease, record=record, tail=tail, chunks=())
            # Another record may come in its place whose entries have the same names.
            return await self._built(lease, record, answering=answering, warm=None, keeps=False)
        return await self._built(lease, record, answering=answering, warm=warm)

    async def _built(
        self,
        lease: MachineLease,
        record: Record,
        *,
        answering: AbstractSet[str],
        warm: WarmState | None,
        keeps: bool = True,
    ) -> HeldWorkflow:
        """Return the state that a record and its journal say, from a warm one if there is one."""
        last = last_entry(record)
        if warm is not None and warm.last == last:
            apply_head(warm.state, record)
            return self._held(lease, warm.state, last=last, closed=warm.closed)
        segments = self._segments(lease, lease.chunks)
        if warm is not None and follow(
            warm.state, warm.last, segments, last=last, window=self._window
        ):
            apply_head(warm.state, record)
            closed = _closed(lease.chunks, segments, warm.closed)
            return self._held(lease, warm.state, last=last, closed=closed)
        state = read_head(record, lease.machine_id)
        if self._awaited:
            state.open = OpenRequests()
        chunks = lease.chunks
        if not self._replayed(state, segments, last, answering):
            # Some were left out, as a state was warm when the lease was asked for.
            chunks = await read_chunks(self._memory, lease)
            segments = self._segments(lease, chunks)
            if not self._replayed(state, segments, last, answering):
                raise lacks_beginning(last)
        return self._held(lease, state, last=last, closed=_closed(chunks, segments, 0), keeps=keeps)

    def _segments(self, lease: MachineLease, chunks: Sequence[tuple[int, bytes]]) -> list[Segment]:
        return read_segments(chunks, lease.tail, subject=lease.machine_id, collects=self._collects)

    def _replayed(
        self,
        state: WorkflowState,
        segments: Sequence[Segment],
        last: Mark,
        answering: AbstractSet[str],
    ) -> bool:
        return replay(state, segments, last=last, window=self._window, answering=answering)

    def _held(
        self,
        lease: MachineLease,
        state: WorkflowState | None,
        *,
        last: Mark = START,
        closed: int = 0,
        keeps: bool = True,
    ) -> HeldWorkflow:
        return _JournaledWorkflow(
            lease,
            state,
            last=last,
            closed=closed,
            chunk_bytes=self._memory.chunk_bytes,
            window=self._window,
            warm=self._warm,
            keeps=keeps and state is not None,
            remembers=self._remembers,
        )


class _JournaledWorkflow(HeldWorkflow):
    """One workflow under a lease, with its journal.

    Args:
        lease: The lease.
        state: Its state; None when it has never run.
        last: The last entry.
        closed: How many bytes the chunks have that are not freed.
        chunk_bytes: The length in bytes from which the tail is closed.
        window: How many steps' outputs are kept at most.
        warm: Where the state is kept for the next step.
        keeps: Whether it is kept if no step is taken.
        remembers: Whether the memory keeps a history, for people.
    """

    __slots__ = (
        "_added",
        "_chunk_bytes",
        "_closed",
        "_keeps",
        "_last",
        "_lease",
        "_line",
        "_next",
        "_remembers",
        "_state",
        "_warm",
        "_window",
    )

    def __init__(
        self,
        lease: MachineLease,
        state: WorkflowState | None,
        *,
        last: Mark,
        closed: int,
        chunk_bytes: int,
        window: int,
        warm: WarmStates,
        keeps: bool,
        remembers: bool,
    ) -> None:
        self._state = state
        self._remembers = remembers
        self._lease = lease
        self._last = last
        self._closed = closed
        self._chunk_bytes = chunk_bytes
        self._window = window
        self._warm = warm
        self._added: Mark | None = None
        self._line = b""
        self._next: WarmState | None = None
        self._keeps = keeps

    @property
    @override
    def state(self) -> WorkflowState | None:
        return self._state

    @override
    def post(self, state: WorkflowState, entry: NewEntry, *, forgets: bool) -> bool:
        self._keeps = False
        if forgets and not self._remembers:
            return state.post(entry.kept(), window=self._window)
        mark = mark_after(self._last, owner=self._lease.owner)
        step, self._line = write_entry(
            mark,
            version=self._lease.version + 1,
            at=entry.at,
            consumed=entry.consumed,
            outputs=entry.outputs,
            asks=entry.asks,
            notifies=entry.notifies,
            collects=entry.collects,
            extra=write_kept_state(state.members, took=entry.took) if self._remembers else b"",
            delayed=entry.delayed,
            dropped=entry.dropped,
        )
        self._added = mark
        return state.post(step, window=self._window)

    @override
    def written(
        self, state: WorkflowState, *, forgets: bool, compacts: bool = True
    ) -> WrittenState:
        if forgets:
            return self._closed_journal(state, compacts=compacts)
        if self._added is None:
            # A step that failed is no entry: it stands in the record.
            record = beside_journal(state, last=self._last)
            return WrittenState(record=record, tail=self._lease.tail)
        return self._with_entry(state, self._added, compacts=compacts)

    def _closed_journal(self, state: WorkflowState, *, compacts: bool) -> WrittenState:
        """Return what is kept of a workflow that has completed: a tombstone, and its history."""
        written = WrittenState(record=write_tombstone(state), frees="all")
        if self._added is not None:
            # A history that cannot be stored must not fail the workflow.
            written.compacted = True
            tail = self._lease.tail
            fits = 0 < len(tail) <= self._chunk_bytes
            written.chunk = self._appended() if compacts else tail if fits else None
        return written

    def _appended(self) -> bytes:
        opened = self._lease.tail or (_BEGUN if self._last == START else open_segment(self._last))
        return opened + self._line

    def _with_entry(self, state: WorkflowState, added: Mark, *, compacts: bool) -> WrittenState:
        written = WrittenState(record=beside_journal(state, last=added))
        tail = self._appended()
        closed = self._closed
        if compacts and _mostly_garbage(state, live=closed + len(tail)):
            # All before it is said by the base.
            written.chunk = with_base(tail, write_base(state, added), where="the tail")
            written.frees = "earlier"
            written.compacted = True
            closed = len(written.chunk)
        elif len(tail) > self._chunk_bytes:
            written.chunk = tail
            closed += len(tail)
        else:
            written.tail = tail
        written.live = closed
        self._next = self._warm_state(
            state,
            added,
            closed=closed,
            tail=written.tail,
            more=written.chunk is not None,
        )
        return written

    def _warm_state(
        self, state: WorkflowState, last: Mark, *, closed: int, tail: bytes, more: bool = False
    ) -> WarmState | None:
        """Return what to keep, with `more` after one more chunk; None of an ended workflow."""
        if state.ended:
            return None
        return WarmState(
            state=state,
            last=last,
            last_chunk=self._lease.last_chunk + more,
            closed=closed,
            size=closed + len(tail),
        )

    @override
    def committed(self) -> None:
        self._keeps = False
        self._keep(self._next)

    @override
    def released(self) -> None:
        if self._keeps and self._state is not None:
            loaded = self._warm_state(
                self._state, self._last, closed=self._closed, tail=self._lease.tail
            )
            self._keep(loaded)

    def _keep(self, warm: WarmState | None) -> None:
        if warm is not None:
            self._warm.put(self._lease.machine_id, warm)


def _mostly_garbage(state: WorkflowState, *, live: int) -> bool:
    """Return whether the entries that nobody needs any more are worth a base in their place."""
    if live <= _GARBAGE:
        return False
    needed = state.owed.size + _SEEN_SIZE * len(state.seen)
    if state.collection is not None:
        needed += state.collection.size
    return live - needed > max(_GARBAGE, 2 * needed) and needed < _LARGEST_BASE


def _closed(chunks: Sequence[tuple[int, bytes]], segments: Sequence[Segment], before: int) -> int:
    """Return how many bytes chunks have from the newest base on; `before` are in front of them."""
    closed = before
    for (_, data), segment in zip(chunks, segments, strict=False):
        closed = len(data) if segment.base is not None else closed + len(data)
    return closed

"""A workflow whose steps a test commits as Arvo does it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from arvo_event_handler.memory import (
    ILeasedMachineMemory,
    MachineLease,
    Record,
    RecordWrite,
    StoredStep,
    whole,
)
from arvo_event_handler.memory._journal import open_segment, with_base, write_base
from arvo_event_handler.memory._journal_entry import START, mark_after, whole_event, write_entry
from arvo_event_handler.memory._journaled_record import beside_journal
from arvo_event_handler.memory._kept_event import KeptEvent, WireEvent
from arvo_event_handler.memory._kept_state import write_kept_state
from arvo_event_handler.memory._record import CONTEXT, write_tombstone
from arvo_event_handler.memory._record_write import Frees
from arvo_event_handler.memory._state import WorkflowState

from ._contention import granted
from ._record_write import record_write

Commit: TypeAlias = Literal["failed", "tail", "chunk", "base", "end"]
_WINDOW: Final = 32
_BEGIN: Final = 1_764_400_000_000
_ERROR: Final = {"name": "KeyError", "message": "'tea'", "stack": None}


class CommittedJournal:
    """A workflow whose steps are committed as Arvo does it, and what must be stored.

    Args:
        machine_id: The workflow's subject.
        history: Whether entries say what a memory with history keeps.
    """

    def __init__(self, machine_id: str, *, history: bool = False) -> None:
        self.machine_id = machine_id
        self.entries: list[StoredStep] = []
        """The steps that were committed and did not fail, as `steps` must show them with history."""
        self._state = WorkflowState(subject=machine_id, init_event_id="e1", parent_subject=None)
        self._history = history
        self._last = START
        self._tail = b""
        self._chunks: list[tuple[int, bytes]] = []
        self._last_chunk = 0

    @property
    def stored(self) -> tuple[Record, bytes, Sequence[tuple[int, bytes]]]:
        """Record, tail and chunks."""
        if self._state.status == "done":
            return write_tombstone(self._state), b"", []
        return beside_journal(self._state, last=self._last), self._tail, self._chunks

    @property
    def whole(self) -> Record:
        """What `read` must return."""
        record, tail, chunks = self.stored
        return whole(record, tail=tail, chunks=chunks)

    async def commit(
        self, memory: ILeasedMachineMemory, how: Commit, *, expires_in: timedelta | None = None
    ) -> Record:
        """Commit a step; return what `read` must return from now on.

        Args:
            memory: The memory.
            how: Whether it failed, or adds to the tail, closes it as a chunk, closes it as a chunk
                that frees all earlier ones, or completes the workflow with a chunk that is freed too.
            expires_in: When the record expires.
        """
        lease = await granted(memory, self.machine_id)
        await memory.commit(lease, self.write(lease, how, expires_in=expires_in))
        return self.whole

    def write(
        self, lease: MachineLease, how: Commit, *, expires_in: timedelta | None = None
    ) -> RecordWrite:
        """Take a step under a lease, and return what to commit; see `commit`."""
        chunk: bytes | None = None
        frees: Frees = "none"
        if how == "failed":
            self._fail()
        else:
            self._step(lease)
        if how == "base":
            base = write_base(self._state, self._last)
            self._tail = with_base(self._tail, base, where="the tail")
            self._chunks, frees = [], "earlier"
        if how in {"chunk", "base", "end"}:
            chunk, self._tail = self._tail, b""
            self._last_chunk += 1
            self._chunks.append((self._last_chunk, chunk))
        if how == "end":
            self._state.status, self._chunks, frees = "done", [], "all"
        record, tail, _ = self.stored
        return record_write(record, tail=tail, chunk=chunk, frees=frees, expires_in=expires_in)

    def _fail(self) -> None:
        consumed = KeptEvent.of(self._event(f"f{self._last.number}", "com.suite.order"))
        self._state.fail({**_ERROR}, consumed=consumed, outputs=[])

    def _step(self, lease: MachineLease) -> None:
        if self._state.failed:
            self._state.reopen()
        mark = mark_after(self._last, owner=lease.owner)
        name = f"e{mark.number}"
        at = _BEGIN + 1000 * mark.number
        took = timedelta(milliseconds=mark.number)
        extra = b""
        if self._history:
            self._state.members = {CONTEXT: {"count": mark.number}}
            extra = write_kept_state(self._state.members, took=took)
        consumed = self._event(name, "com.suite.order")
        outputs = [self._event(f"{name}.{each}", "com.suite.stock") for each in range(2)]
        step, line = write_entry(
            mark,
            version=lease.version + 1,
            at=at,
            consumed=consumed,
            outputs=outputs,
            asks=[0, 1],
            collects=True,
            extra=extra,
        )
        self._tail = (self._tail or open_segment(self._last)) + line
        self._state.post(step, window=_WINDOW)
        self._last = mark
        self.entries.append(
            StoredStep(
                number=mark.number,
                version=lease.version + 1,
                at=datetime.fromtimestamp(at / 1000, UTC),
                took=took,
                consumed=whole_event(consumed, self.machine_id),
                produced=tuple(whole_event(output, self.machine_id) for output in outputs),
                state=None,
                context={"count": mark.number},
                has_state=True,
                state_bytes=None,
                error=None,
            )
        )

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

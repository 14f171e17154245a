"""A machine memory that keeps a history, in a dict: the reference of the suite, and what it can break."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from typing_extensions import override

from arvo_event_handler.memory import (
    IStepHistory,
    RecordWrite,
    StoredJournal,
    StoredStep,
    check_history,
    check_machine_id,
    check_subjects,
    decode_record,
    read_step_times,
    read_steps,
)
from arvo_time import Clock

from .leased_memory import LeasedMemory

Chunk: TypeAlias = tuple[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is kept of a workflow beside its record."""

    updated_at: datetime
    failed: bool
    freed: tuple[tuple[Chunk, datetime], ...] = ()
    """The chunks that were freed, and when."""


class HistoricMemory(LeasedMemory, IStepHistory):
    """Keeps freed chunks for a while, beside those that are not freed."""

    def __init__(
        self, *, clock: Clock, history: timedelta | None = None, chunk_bytes: int = 0
    ) -> None:
        super().__init__(clock=clock, chunk_bytes=chunk_bytes)
        self._history = check_history(history)
        self.known: dict[str, Known] = {}

    @property
    @override
    def history(self) -> timedelta | None:
        return self._history

    @override
    async def steps(self, subject: str, *, after: int = 0, limit: int = 200) -> list[StoredStep]:
        check_machine_id(subject)

        async def fetch(below: int | None) -> StoredJournal | None:
            return self.journal(subject, below=below)

        return await read_steps(subject, fetch=fetch, after=after, limit=limit)

    @override
    async def times(self, subjects: Collection[str]) -> dict[str, list[datetime]]:
        return {subject: self.times_of(subject) for subject in check_subjects(subjects)}

    def journal(self, subject: str, *, below: int | None) -> StoredJournal | None:
        """Fetch what is stored, with the newest 64 chunks below a number."""
        stored = self._current(subject)
        if stored is None:
            return None
        chunks = [chunk for chunk in self.all_chunks(subject) if below is None or chunk[0] < below]
        return StoredJournal(
            record=decode_record(stored.json),
            version=stored.version,
            updated_at=self.known[subject].updated_at,
            tail=stored.tail,
            chunks=chunks[-64:],
        )

    def all_chunks(self, subject: str) -> list[Chunk]:
        """Return all chunks, those that were freed first."""
        stored = self._current(subject)
        live = () if stored is None else stored.chunks
        return [*(chunk for chunk, _ in self.known[subject].freed), *live]

    def times_of(self, subject: str) -> list[datetime]:
        """Return the times of one workflow."""
        stored = self._current(subject)
        if stored is None:
            return []
        known, chunks = self.known[subject], self.all_chunks(subject)
        return read_step_times(
            stored.tail,
            chunk=lambda: chunks[-1][1] if chunks else None,
            failed_at=known.updated_at if known.failed else None,
        )

    def freed_by(self, machine_id: str, write: RecordWrite) -> list[Chunk]:
        """Return the chunks that a write frees."""
        before = self._current(machine_id)
        freed = [] if before is None or write.frees == "none" else [*before.chunks]
        if write.frees == "all" and write.chunk is not None:
            freed.append((1 if before is None else before.last_chunk + 1, write.chunk))
        return freed

    def is_kept(self, freed_at: datetime) -> bool:
        """Return whether a chunk that was freed then is still kept."""
        return self._history is not None and self._clock.now() - freed_at <= self._history

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        now = self._clock.now()
        before = self._current(machine_id)
        known = Known(updated_at=now, failed=write.summary.status == "failure")
        freed = self.known[machine_id].freed if before is not None else ()
        freed += tuple((chunk, now) for chunk in self.freed_by(machine_id, write))
        is_bare = write.frees == "all" and write.chunk is None and not write.tail
        if write.frees != "none":
            freed = tuple(each for each in freed if not is_bare and self.is_kept(each[1]))
        super()._store(machine_id, write, by=by)
        self.known[machine_id] = replace(known, freed=freed)

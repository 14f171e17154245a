"""What is kept of one workflow: its record as bytes, its chunks, and what its commit said."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from arvo_event_handler.memory import (
    Record,
    RecordWrite,
    WorkflowSummary,
    decode_record,
    summary_of_record,
    whole,
)


class _KeptChunk(NamedTuple):
    """A chunk that was freed."""

    number: int
    data: bytes
    freed_at: float


class Life:
    """What all versions of a record share, from its first write until it is forgotten.

    It has the chunks that are not freed; their numbers have no gaps and end with `last_chunk`. Before
    them it has those that were freed and are kept as history.
    """

    __slots__ = ("_chunks", "_kept", "created_at", "last_chunk", "number", "root")

    def __init__(self, *, number: int, created_at: datetime, root: str) -> None:
        self.number = number
        """Its place in the order in which workflows started."""
        self.created_at = created_at
        self.root = root
        """The subject of the topmost workflow."""
        self.last_chunk = 0
        """The highest number that a chunk was given, freed or not."""
        self._chunks: list[tuple[int, bytes]] = []
        self._kept: deque[_KeptChunk] = deque()

    def chunks_above(self, after: int) -> Sequence[tuple[int, bytes]]:
        # Sliced by number, not scanned, so that the cost is that of what is returned.
        freed = self.last_chunk - len(self._chunks)
        return self._chunks[max(after - freed, 0) :]

    def history(self) -> list[tuple[int, bytes]]:
        """Return all chunks, those that were freed first."""
        return [*((each.number, each.data) for each in self._kept), *self._chunks]

    @property
    def newest_chunk(self) -> bytes | None:
        """The last chunk, freed or not; None if it is gone, or none was written."""
        if self._chunks:
            return self._chunks[-1][1]
        return self._kept[-1].data if self._kept else None

    def keep_chunk(self, write: RecordWrite, *, kept_since: float | None, now: float) -> None:
        """Append the chunk of a commit, and free those that it frees.

        Args:
            write: The commit.
            kept_since: Chunks that were freed before this are deleted, and freed ones kept; None
                keeps none.
            now: The time.
        """
        freed: list[tuple[int, bytes]] = []
        if write.frees != "none":
            freed, self._chunks = self._chunks, []
        if write.chunk is not None:
            self.last_chunk += 1
            own = (self.last_chunk, write.chunk)
            (freed if write.frees == "all" else self._chunks).append(own)
        if write.frees == "none":
            return
        if kept_since is None:
            self._kept.clear()
            return
        self._kept.extend(_KeptChunk(*chunk, now) for chunk in freed)
        while self._kept and self._kept[0].freed_at < kept_since:
            self._kept.popleft()

    def free_chunks(self) -> None:
        """Delete all chunks, and those that are kept as history."""
        self._chunks = []
        self._kept.clear()


class Stored:
    """A record as bytes: no caller shares an object with the memory, and it beats a deep copy."""

    __slots__ = (
        "_summary",
        "committed_by",
        "expires_at",
        "json",
        "life",
        "tail",
        "updated_at",
        "version",
    )

    # By position, as keywords would double the cost of making one for every step.
    def __init__(
        self,
        json: bytes,
        version: int,
        committed_by: str,
        life: Life,
        updated_at: datetime,
        summary: WorkflowSummary | None,
        expires_at: float | None,
        tail: bytes,
    ) -> None:
        self.json = json
        self.version = version
        self.committed_by = committed_by
        self.life = life
        self.updated_at = updated_at
        # None for a bare write, whose record is only searched when somebody asks.
        self._summary = summary
        self.expires_at = expires_at
        self.tail = tail

    def whole(self) -> Record:
        record = decode_record(self.json)
        if self._summary is None:
            return record  # that of a bare write stands alone
        return whole(record, tail=self.tail, chunks=self.life.chunks_above(0))

    def summary(self, machine_id: str) -> WorkflowSummary:
        """Return what its writer said about the workflow."""
        if self._summary is None:
            self._summary = summary_of_record(decode_record(self.json), subject=machine_id)
        return self._summary

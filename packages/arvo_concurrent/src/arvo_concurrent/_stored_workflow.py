"""What is kept of one workflow: its record as bytes, its chunks, and what its commit said."""

from collections.abc import Sequence
from datetime import datetime

from arvo_event_handler.memory import (
    Record,
    RecordWrite,
    WorkflowSummary,
    decode_record,
    summary_of_record,
    whole,
)


class Life:
    """What all versions of a record share, from its first write until it is forgotten.

    It has the chunks that are not freed; their numbers have no gaps and end with `last_chunk`.
    """

    __slots__ = ("_chunks", "created_at", "last_chunk", "number", "root")

    def __init__(self, *, number: int, created_at: datetime, root: str) -> None:
        self.number = number
        """Its place in the order in which workflows started."""
        self.created_at = created_at
        self.root = root
        """The subject of the topmost workflow."""
        self.last_chunk = 0
        """The highest number that a chunk was given, freed or not."""
        self._chunks: list[tuple[int, bytes]] = []

    def chunks_above(self, after: int) -> Sequence[tuple[int, bytes]]:
        # Sliced by number, not scanned, so that the cost is that of what is returned.
        freed = self.last_chunk - len(self._chunks)
        return self._chunks[max(after - freed, 0) :]

    def keep_chunk(self, write: RecordWrite) -> None:
        if write.frees != "none":
            self._chunks = []
        if write.chunk is not None:
            self.last_chunk += 1
            if write.frees != "all":
                self._chunks.append((self.last_chunk, write.chunk))

    def free_chunks(self) -> None:
        self._chunks = []


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
        chunks = self.life.chunks_above(0)
        return whole(decode_record(self.json), tail=self.tail, chunks=chunks)

    def summary(self, machine_id: str) -> WorkflowSummary:
        """Return what its writer said about the workflow."""
        if self._summary is None:
            self._summary = summary_of_record(decode_record(self.json), subject=machine_id)
        return self._summary

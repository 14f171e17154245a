"""What happened in workflows, read from their hashes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from arvo_event_handler import UnreadableRecordError
from arvo_event_handler.memory import CHUNKS_TOGETHER, StoredJournal, read_step_times
from arvo_redis import Server

from . import _scripts as scripts
from ._concurrently import AT_ONCE, all_of
from ._index import time_of
from ._keys import Keys
from ._stored_chunks import numbered_chunks
from ._stored_record import RecordLimits, stored_record


class StepHistory:
    """The journals of one prefix, with the chunks that were freed and are kept."""

    def __init__(self, server: Server, keys: Keys, *, limits: RecordLimits) -> None:
        self._server = server
        self._keys = keys
        self._limits = limits

    async def journal(self, subject: str, *, below: int | None) -> StoredJournal | None:
        """Return a record with the newest chunks below a number; None if there is none.

        Raises:
            UnreadableRecordError: The hash is damaged, or of a newer version.
            MachineMemoryError: The server failed.
        """
        fields: list[Any] = await self._server.run(
            scripts.JOURNAL,
            self._keys.machine(subject),
            "" if below is None else below,
            CHUNKS_TOGETHER,
        )
        if not fields:
            return None
        version, codec, state, tail, updated_at, first, last, *data = fields
        number, record = stored_record(version, codec, state, limits=self._limits)
        if record is None:
            return None
        return StoredJournal(
            record=record,
            version=number,
            updated_at=_time(updated_at),
            tail=tail or b"",
            chunks=numbered_chunks(first, last, data, limits=self._limits),
        )

    async def times(self, subjects: Sequence[str]) -> dict[str, list[datetime]]:
        """Answer `IStepHistory.times`.

        Raises:
            MachineMemoryError: The server failed.
        """
        times: list[list[datetime]] = []
        for first in range(0, len(subjects), AT_ONCE):
            part = subjects[first : first + AT_ONCE]
            times += await all_of(map(self._times, part))
        return dict(zip(subjects, times, strict=True))

    async def _times(self, subject: str) -> list[datetime]:
        fields: list[Any] = await self._server.run(scripts.JOURNAL_END, self._keys.machine(subject))
        if not fields:
            return []
        status, updated_at, tail, data = fields

        def chunk() -> bytes | None:
            return None if data is None else self._limits.unpack_chunk(data, number=0)

        try:
            failed_at = _time(updated_at) if status == b"failure" else None
        except UnreadableRecordError:
            return []
        return read_step_times(tail or b"", chunk=chunk, failed_at=failed_at)


def _time(stored: bytes | None) -> datetime:
    try:
        return time_of(int(stored or 0))
    except (ValueError, OverflowError) as error:
        raise UnreadableRecordError(f"the stored updated_at is damaged: {error}") from error

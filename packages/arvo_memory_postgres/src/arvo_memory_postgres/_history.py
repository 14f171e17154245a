"""Statements that tell what happened in workflows, and their rows."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from arvo_event_handler.memory import (
    CHUNKS_TOGETHER,
    StoredJournal,
    read_step_times,
    unpack_chunk,
)

from ._rows import machine_key, stored_chunks, stored_record
from ._statements import EXPIRED

_SHOWN: Final = f"m.version > 0 AND ({EXPIRED}) IS NOT TRUE"
# Chunks that are left from an earlier life of the workflow were freed before this one began.
_OF_THIS_LIFE: Final = "(c.number > m.freed_chunk OR c.freed_at >= m.created_at)"

JOURNAL: Final = f"""
SELECT m.version, m.codec, m.state, m.tail, m.updated_at, found.numbers, found.chunks
FROM {{table}} AS m CROSS JOIN LATERAL (
    SELECT array_agg(n.number ORDER BY n.number) AS numbers,
        array_agg(n.data ORDER BY n.number) AS chunks
    FROM (
        SELECT c.number, c.data FROM {{chunks}} AS c
        WHERE c.machine = m.key AND c.number < $2 AND {_OF_THIS_LIFE}
        ORDER BY c.number DESC LIMIT {CHUNKS_TOGETHER}
    ) AS n
) AS found
WHERE m.key = $1 AND {_SHOWN}"""
"""Finds a record with the newest chunks below a number."""

JOURNAL_ENDS: Final = f"""
SELECT m.key, CASE WHEN m.status = 'failure' THEN m.updated_at END AS failed_at, m.tail, c.data
FROM {{table}} AS m LEFT JOIN {{chunks}} AS c
    ON c.machine = m.key AND c.number = m.last_chunk AND {_OF_THIS_LIFE}
WHERE m.key = ANY ($1::bytea[]) AND {_SHOWN}"""
"""Finds the ends of several journals."""

NO_MORE: Final = 2**63 - 1
"""Above the number of any chunk."""


def read_journal(row: Any, *, max_bytes: int) -> StoredJournal | None:
    """Read a row of `JOURNAL`; None if there is no record.

    Raises:
        UnreadableRecordError: The row is damaged.
    """
    record = stored_record(row, max_bytes=max_bytes)
    if record is None:
        return None
    return StoredJournal(
        record=record,
        version=row["version"],
        updated_at=row["updated_at"],
        tail=row["tail"] or b"",
        chunks=stored_chunks(row, max_bytes=max_bytes),
    )


def read_journal_ends(
    rows: Sequence[Any], *, subjects: Sequence[str], max_bytes: int
) -> dict[str, list[datetime]]:
    """Read rows of `JOURNAL_ENDS`: the times of the latest steps of each workflow."""
    found = {row["key"]: row for row in rows}
    return {
        subject: _times(found.get(machine_key(subject)), max_bytes=max_bytes)
        for subject in subjects
    }


def _times(row: Any, *, max_bytes: int) -> list[datetime]:
    if row is None:
        return []

    def chunk() -> bytes | None:
        data = row["data"]
        return None if data is None else unpack_chunk(data, number=0, max_bytes=max_bytes)

    return read_step_times(row["tail"] or b"", chunk=chunk, failed_at=row["failed_at"])

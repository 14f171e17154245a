"""What happened in workflows: record, tail and chunks, with those that were freed and are kept."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from arvo_event_handler import UnreadableRecordError
from arvo_event_handler.memory import CHUNKS_TOGETHER, PackedRecord

from ._queries import known_time
from ._rows import LIVE, StoredChunk, milliseconds

_NO_MORE: Final = 2**63 - 1
_WORKFLOW: Final = f"SELECT seq FROM machine WHERE id = :id AND {LIVE}"


class Journal(NamedTuple):
    """A record, and a part of its journal."""

    packed: PackedRecord
    version: int
    updated_at: datetime
    tail: bytes
    chunks: Sequence[StoredChunk]


class JournalEnd(NamedTuple):
    """The end of a journal, for the times of its latest steps."""

    failed_at: datetime | None
    """When the record was last written, if the workflow has failed; otherwise None."""
    tail: bytes
    chunk: bytes | None
    """The last chunk as stored; None if there is none."""


def journal(
    connection: sqlite3.Connection, subject: str, *, below: int | None, now: datetime
) -> Journal | None:
    """Return a record with the newest chunks below a number, in one snapshot; None if there is none.

    Raises:
        UnreadableRecordError: The row is damaged.
    """
    # The record comes once, and not with each chunk.
    rows = connection.execute(
        f"""
        SELECT version, codec, state, tail, updated_at, NULL, NULL FROM machine
        WHERE id = :id AND {LIVE}
        UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, number, data FROM (
            SELECT number, data FROM chunk
            WHERE machine = ({_WORKFLOW}) AND number < :below
            ORDER BY number DESC LIMIT {CHUNKS_TOGETHER}
        )
        """,
        {
            "id": subject,
            "now": milliseconds(now),
            "below": _NO_MORE if below is None else below,
        },
    ).fetchall()
    if not rows:
        return None
    found = [row[:5] for row in rows if row[0] is not None]
    if not found:
        raise UnreadableRecordError("the row of the workflow is damaged")
    ((version, codec, state, tail, updated_at),) = found
    chunks = sorted(row[5:] for row in rows if row[5] is not None)
    return Journal(PackedRecord(codec, state), version, known_time(updated_at), tail or b"", chunks)


def journal_ends(
    connection: sqlite3.Connection, subjects: Sequence[str], *, now: datetime
) -> dict[str, JournalEnd]:
    """Return the ends of the journals of those workflows that are stored."""
    named = {f"id{number}": subject for number, subject in enumerate(subjects)}
    rows = connection.execute(
        f"""
        SELECT id, CASE WHEN status = 'failure' THEN updated_at END, tail, data
        FROM machine LEFT JOIN chunk ON machine = seq AND number = last_chunk
        WHERE id IN ({", ".join(f":{name}" for name in named)}) AND {LIVE}
        """,
        {**named, "now": milliseconds(now)},
    )
    return {
        subject: JournalEnd(
            None if failed_at is None else known_time(failed_at), tail or b"", chunk
        )
        for subject, failed_at, tail, chunk in rows
    }

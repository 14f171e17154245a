"""Writes events and snapshots. Every refusal comes before anything changes."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Final
from uuid import UUID

from arvo_event_store._append import Appended
from arvo_event_store._errors import ConflictError
from arvo_event_store.stores import (
    AppendRequest,
    KnownEvent,
    SnapshotRow,
    target_marks,
    without_known,
)

from ._rows import microseconds
from ._targets import NewTarget, raise_marks

# SQLite may be built with a limit of 999 parameters.
_IDS_TOGETHER: Final = 500

_INSERT_EVENT: Final = """
    INSERT INTO event (id, stream, version, name, data, meta, correlation, causation, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_UPSERT_HEAD: Final = """
    INSERT INTO stream (name, version, created_at, updated_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET version = excluded.version, updated_at = excluded.updated_at
"""
_UPSERT_SNAPSHOT: Final = """
    INSERT INTO snapshot (stream, kind, version, schema, state, created_at)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (stream, kind, version) DO UPDATE
    SET schema = excluded.schema, state = excluded.state, created_at = excluded.created_at
"""


def append(
    connection: sqlite3.Connection, requests: Sequence[AppendRequest], *, now: datetime
) -> list[Appended]:
    """Append to streams, all or nothing.

    Args:
        connection: One in a transaction.
        requests: What to append.
        now: The time.

    Raises:
        EventIdReusedError: An id is in the log already, with other content.
        StreamClosedError: A stream is closed.
        ConflictError: A stream is not as expected.
    """
    known = _known(connection, requests)
    left = [without_known(request, known=known) for request in requests]
    versions = {
        request.stream: _checked_version(connection, request)
        for request in left
        if isinstance(request, AppendRequest)
    }
    at = microseconds(now)
    return [
        each
        if isinstance(each, Appended)
        else _store(connection, each, after=versions[each.stream], at=at)
        for each in left
    ]


def save_snapshot(connection: sqlite3.Connection, row: SnapshotRow, *, now: datetime) -> None:
    """Store a snapshot, or replace it.

    Raises:
        ConflictError: The stream does not exist, or ends before the snapshot's version.
    """
    head = connection.execute("SELECT version FROM stream WHERE name = ?", (row.stream,)).fetchone()
    if head is None or head[0] < row.version:
        raise ConflictError(
            row.stream, expected=row.version, actual=None if head is None else head[0]
        )
    connection.execute(_UPSERT_SNAPSHOT, (*row, microseconds(now)))


def _known(
    connection: sqlite3.Connection, requests: Sequence[AppendRequest]
) -> dict[UUID, KnownEvent]:
    """Return the events of the log that have an id of the requests."""
    ids = [event.id.bytes for request in requests for event in request.events]
    rows = chain.from_iterable(
        connection.execute(
            "SELECT id, stream, version, position, name, data FROM event "
            f"WHERE id IN ({', '.join('?' * len(some))})",
            some,
        ).fetchall()
        for some in (ids[at : at + _IDS_TOGETHER] for at in range(0, len(ids), _IDS_TOGETHER))
    )
    return {UUID(bytes=id_): KnownEvent(*stored) for id_, *stored in rows}


def _checked_version(connection: sqlite3.Connection, request: AppendRequest) -> int:
    """Return the version of the stream's last event, -1 if there is no such stream."""
    head = connection.execute(
        "SELECT version, closed_at FROM stream WHERE name = ?", (request.stream,)
    ).fetchone()
    version, closed_at = (None, None) if head is None else head
    request.check_head(version=version, closed=closed_at is not None)
    return -1 if version is None else int(version)


def _store(
    connection: sqlite3.Connection, request: AppendRequest, *, after: int, at: int
) -> Appended:
    stream, events = request.stream, request.events
    connection.executemany(
        _INSERT_EVENT,
        [
            (
                event.id.bytes,
                stream,
                version,
                event.name,
                event.data,
                event.meta,
                event.correlation,
                None if event.causation is None else event.causation.bytes,
                at,
            )
            for version, event in enumerate(events, after + 1)
        ],
    )
    # Nobody else writes in this transaction, so the positions have no gaps.
    (last,) = connection.execute("SELECT last_insert_rowid()").fetchone()
    positions = range(last - len(events) + 1, last + 1)
    private = [
        (position, event.private)
        for position, event in zip(positions, events, strict=True)
        if event.private is not None
    ]
    if private:
        connection.executemany("INSERT INTO private (position, data) VALUES (?, ?)", private)
    version = after + len(events)
    connection.execute(_UPSERT_HEAD, (stream, version, at, at))
    if request.wakes:
        marks = target_marks(request, positions=positions)
        raise_marks(connection, map(NewTarget.woken, marks), at=at)
    return request.stored(version=version, position=last)

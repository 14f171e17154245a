"""The end of streams. Every refusal comes before anything changes, and all can be repeated."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from arvo_event_store.stores import Truncation, check_no_work, missing_stream

from ._refusal import Refusal
from ._rows import microseconds
from ._targets import delete_targets, lowest_watermark, pending_targets


class _Head(NamedTuple):
    version: int
    first_version: int
    closed_at: int | None


def close_stream(connection: sqlite3.Connection, stream: str, *, now: datetime) -> None:
    """Close a stream.

    Raises:
        ConflictError: There is no such stream.
        PendingWorkError: A target has work there.
    """
    if _existing(connection, stream).closed_at is None:
        check_no_work(stream, pending_targets(connection, stream))
        connection.execute(
            "UPDATE stream SET closed_at = ? WHERE name = ?", (microseconds(now), stream)
        )


def reopen_stream(connection: sqlite3.Connection, stream: str) -> None:
    """Open a closed stream.

    Raises:
        ConflictError: There is no such stream.
    """
    _existing(connection, stream)
    connection.execute("UPDATE stream SET closed_at = NULL WHERE name = ?", (stream,))


def truncate(connection: sqlite3.Connection, asked: Truncation) -> int | Refusal:
    """Delete the events of a stream below a version.

    Returns:
        The first version that is kept; a ValueError if the stream ends before what would be deleted,
        or no snapshot covers that.

    Raises:
        ConflictError: There is no such stream.
    """
    stream = asked.stream
    head = _existing(connection, stream)
    (newest,) = connection.execute(
        "SELECT max(version) FROM snapshot WHERE stream = ?", (stream,)
    ).fetchone()
    try:
        first = asked.first_kept(
            version=head.version,
            first_version=head.first_version,
            newest_snapshot=newest,
            needed=_first_needed(connection, stream, before=asked.before),
        )
    except ValueError as error:
        return Refusal(error)
    if first > head.first_version:
        _delete_events(connection, stream, below=first)
    return first


def forget(connection: sqlite3.Connection, stream: str) -> int:
    """Delete the private data of a stream, and return how many events had any."""
    return _delete_private(connection, stream, below=None)


def delete_stream(connection: sqlite3.Connection, stream: str) -> bool:
    """Delete a stream with all that belongs to it, and return whether there was one.

    Raises:
        PendingWorkError: A target has work there.
    """
    head = _head(connection, stream)
    if head is None:
        return False
    check_no_work(stream, pending_targets(connection, stream))
    delete_targets(connection, stream)
    _delete_events(connection, stream, below=head.version + 1)
    connection.execute("DELETE FROM snapshot WHERE stream = ?", (stream,))
    connection.execute("DELETE FROM stream WHERE name = ?", (stream,))
    return True


def record_archive(connection: sqlite3.Connection, stream: str, *, archive: str) -> None:
    """Record where the archive of a stream lies.

    Raises:
        ConflictError: There is no such stream.
    """
    _existing(connection, stream)
    connection.execute("UPDATE stream SET archive = ? WHERE name = ?", (archive, stream))


def _head(connection: sqlite3.Connection, stream: str) -> _Head | None:
    row = connection.execute(
        "SELECT version, first_version, closed_at FROM stream WHERE name = ?", (stream,)
    ).fetchone()
    return None if row is None else _Head(*row)


def _existing(connection: sqlite3.Connection, stream: str) -> _Head:
    head = _head(connection, stream)
    if head is None:
        raise missing_stream(stream)
    return head


def _first_needed(connection: sqlite3.Connection, stream: str, *, before: int) -> int | None:
    """Return the version below another one that a target still has to read; None if none has."""
    at = lowest_watermark(connection, stream, before=before)
    if at is None:
        return None
    row = connection.execute(
        "SELECT version FROM event WHERE stream = ? AND position > ? ORDER BY position LIMIT 1",
        (stream, at),
    ).fetchone()
    return None if row is None else int(row[0])


def _delete_events(connection: sqlite3.Connection, stream: str, *, below: int) -> None:
    _delete_private(connection, stream, below=below)
    # First, as the trigger lets only events go that are below it.
    connection.execute("UPDATE stream SET first_version = ? WHERE name = ?", (below, stream))
    connection.execute("DELETE FROM event WHERE stream = ? AND version < ?", (stream, below))


def _delete_private(connection: sqlite3.Connection, stream: str, *, below: int | None) -> int:
    """Delete private data of the events below a version, None all, and return how many had any."""
    with _overwriting(connection):
        return connection.execute(
            """
            DELETE FROM private WHERE position IN (
                SELECT position FROM event
                WHERE stream = :stream AND (:below IS NULL OR version < :below)
            )
            """,
            {"stream": stream, "below": below},
        ).rowcount


@contextmanager
def _overwriting(connection: sqlite3.Connection) -> Iterator[None]:
    """Write zeros over what is deleted within the block, which otherwise stays in the file."""
    (before,) = connection.execute("PRAGMA secure_delete").fetchone()
    connection.execute("PRAGMA secure_delete = ON").fetchall()
    try:
        yield
    finally:
        connection.execute(f"PRAGMA secure_delete = {before}").fetchall()

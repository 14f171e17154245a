"""The tables and their operations; each function runs inside a transaction of the client."""

# ruff: noqa: S608 - only constants of this file are put into the SQL

import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

from arvo_event_handler import TransactionViolation, UnreadableRecordError, UnwritableRecordError
from arvo_event_handler.memory import (
    MachineLease,
    PackedRecord,
    Record,
    WorkflowSummary,
    check_previous,
)

Unpack: TypeAlias = Callable[[PackedRecord], Record]
"""Reads a stored record, or raises an `UnreadableRecordError`."""

StoredChunk: TypeAlias = tuple[int, bytes]
"""A chunk's number, and its bytes as `pack_chunk` made them."""

# A LockPolicy allows at most ten years; a lease that ends later is damaged and counts as free.
HELD: Final = "(owner IS NOT NULL AND lease_end BETWEEN :now + 1 AND :now + 315360000000)"
"""Rows that are leased; `:now` is the time."""
_FREE: Final = f"NOT {HELD}"
# Expired and not leased.
_FORGOTTEN: Final = f"expires_at <= :now AND {_FREE}"
_NOT_EXPIRED: Final = "(expires_at IS NULL OR expires_at > :now)"
LIVE: Final = f"version > 0 AND {_NOT_EXPIRED}"
"""Rows that have a record; `:now` is the time."""
# A damaged row counts as written, so that it is not deleted.
_WRITTEN: Final = "(version <> 0 OR state IS NOT NULL)"
# A parent is written before its child starts, and may be forgotten before the child's last record;
# a parent in another memory counts as the root.
_ROOT: Final = """
    CASE WHEN :parent IS NULL THEN :id
         ELSE coalesce(
             (SELECT root FROM machine WHERE id = :parent),
             (SELECT root FROM machine WHERE id = :id AND parent = :parent),
             :parent
         ) END
"""


# A version may come again after the workflow was forgotten, but not by the same owner.
_IS_AS_LOADED: Final = f"""
    id = :id AND version = :version AND coalesce(last_owner, '') = :committed_by
        AND (version = 0 OR {_NOT_EXPIRED})
"""
# What changes with a step, and is in no index.
_STEP: Final = """
    contract_version = :contract_version, initiator = :initiator, waits_for = :waits_for,
    waits_since = :waits_since, due = :due, error = :error, updated_at = :now,
    codec = :codec, state = :state
"""
_INDEXED: Final = f"""
    status = :status, key = :key, source = :source, parent = :parent, root = {_ROOT}
"""
_COMMITTED: Final = """
    owner = NULL, lease_end = 0, version = version + 1, last_owner = :owner,
    tail = :tail, last_chunk = last_chunk + :appended
"""
_COMMIT: Final = f"""
    UPDATE machine SET {_COMMITTED}, {_STEP}, {_INDEXED}, expires_at = :expires_at
    WHERE {_IS_AS_LOADED}
"""
# SQLite writes an index anew for each of its columns that is set, even to the same value. So most
# steps, which set none of them, have a statement of their own.
_COMMIT_STEP: Final = f"""
    UPDATE machine SET {_COMMITTED}, {_STEP}
    WHERE {_IS_AS_LOADED} AND status = :status AND key = :key AND source = :source
        AND parent IS :parent AND root = {_ROOT} AND expires_at IS NULL
"""
_OF_MACHINE: Final = "machine = (SELECT seq FROM machine WHERE id = :id)"
_FREE_CHUNKS: Final = f"DELETE FROM chunk WHERE {_OF_MACHINE}"
# Freed chunks that are kept come before all others, oldest first.
_FORGET_KEPT: Final = f"DELETE FROM chunk WHERE {_OF_MACHINE} AND freed_at < :kept_since"
_KEEP_FREED: Final = f"UPDATE chunk SET freed_at = :now WHERE {_OF_MACHINE} AND freed_at IS NULL"
_NOTE_FREED: Final = "UPDATE machine SET freed_chunk = last_chunk - :live WHERE id = :id"
_FREE_CHUNKS_KEPT: Final = (_FORGET_KEPT, _KEEP_FREED, _NOTE_FREED)
_APPEND_CHUNK: Final = (
    "INSERT INTO chunk (machine, number, data, freed_at) SELECT seq, last_chunk, :chunk, :freed_at "
    "FROM machine WHERE id = :id"
)
_ACQUIRED: Final = (
    "RETURNING seq, version, coalesce(last_owner, ''), codec, state, tail, last_chunk, freed_chunk"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a commit or a write stores: a packed record, and the columns and chunks beside it.

    The defaults are those of a record that stands alone, with neither tail nor chunks.
    """

    packed: PackedRecord
    summary: WorkflowSummary
    tail: bytes = b""
    chunk: bytes | None = None
    frees: Literal["none", "earlier", "all"] = "all"
    history: timedelta | None = None
    """How long freed chunks are kept; None deletes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A granted lease, with what was stored then."""

    version: int
    committed_by: str
    packed: PackedRecord | None  # None if the row has neither codec nor state
    tail: bytes
    last_chunk: int
    chunks: Sequence[StoredChunk]

    def record(self, unpack: Unpack) -> Record | None:
        """Return the record; None if none was ever written.

        Raises:
            UnreadableRecordError: The row is damaged.
        """
        if self.version < 0 or (self.version == 0) is not (self.packed is None):
            raise _damaged(self.version)
        return None if self.packed is None else unpack(self.packed)


class StoredRecord(NamedTuple):
    """A record, with its journal beside it."""

    packed: PackedRecord
    tail: bytes
    chunks: Sequence[StoredChunk]


def read(connection: sqlite3.Connection, machine_id: str, *, now: datetime) -> StoredRecord | None:
    """Return the latest record and its journal, in one snapshot; None if there is none.

    Raises:
        UnreadableRecordError: The row is damaged.
    """
    rows = connection.execute(
        f"""
        SELECT version, codec, state, tail, number, data
        FROM machine LEFT JOIN chunk ON machine = seq AND number > freed_chunk
        WHERE id = :id AND {_WRITTEN} AND {_NOT_EXPIRED} ORDER BY number
        """,
        {"id": machine_id, "now": milliseconds(now)},
    ).fetchall()
    if not rows:
        return None
    version, codec, state, tail, *_ = rows[0]
    if version <= 0:
        raise _damaged(version)
    # A workflow without chunks is one row, whose chunk is null.
    chunks = [(number, data) for *_, number, data in rows if number is not None]
    return StoredRecord(PackedRecord(codec, state), tail or b"", chunks)


def acquire(
    connection: sqlite3.Connection,
    machine_id: str,
    *,
    owner: str,
    after: int,
    now: datetime,
    ttl: timedelta,
    unwritten_ttl: timedelta,
) -> Granted | timedelta:
    """Take the lease if it is free.

    Args:
        connection: One in a transaction.
        machine_id: The workflow.
        owner: The new holder's token.
        after: Chunks up to this number are left out.
        now: The time.
        ttl: How long the lease runs.
        unwritten_ttl: How long to keep the row of a workflow that is never written.

    Returns:
        What was granted; otherwise how long the current holder's lease still runs.
    """
    values = {
        "id": machine_id,
        "owner": owner,
        "now": milliseconds(now),
        "lease_end": milliseconds(now + ttl),
        "unwritten_until": milliseconds(now + unwritten_ttl),
    }
    connection.execute(f"DELETE FROM machine WHERE id = :id AND {_FORGOTTEN}", values)
    # An upsert would use up a row number for each lease, and write that to the log.
    row = connection.execute(
        f"""
        UPDATE machine SET
            owner = :owner,
            lease_end = :lease_end,
            expires_at = CASE WHEN {_WRITTEN} THEN expires_at ELSE :unwritten_until END
        WHERE id = :id AND {_FREE}
        {_ACQUIRED}
        """,
        values,
    ).fetchone()
    if row is None:
        held = connection.execute("SELECT lease_end FROM machine WHERE id = :id", values).fetchone()
        if held is not None:
            return timedelta(milliseconds=held[0] - milliseconds(now))
        row = connection.execute(
            f"""
            INSERT INTO machine (id, owner, lease_end, created_at, updated_at, expires_at)
            VALUES (:id, :owner, :lease_end, :now, :now, :unwritten_until)
            {_ACQUIRED}
            """,
            values,
        ).fetchone()
    seq, version, committed_by, codec, state, tail, last_chunk, freed_chunk = row
    after = max(after, freed_chunk)
    is_empty = codec is None and state is None
    return Granted(
        version=version,
        committed_by=committed_by,
        packed=None if is_empty else PackedRecord(codec, state),
        tail=tail or b"",
        last_chunk=last_chunk,
        chunks=_chunks(connection, seq, after=after) if last_chunk > after else (),
    )


def chunks(
    connection: sqlite3.Connection, lease: MachineLease, *, now: datetime
) -> list[StoredChunk]:
    """Return the chunks that are not freed, in one snapshot with the row.

    Raises:
        TransactionViolation: There was a write since the lease was granted, or the record is gone.
    """
    values = {
        "id": lease.machine_id,
        "version": lease.version,
        "committed_by": lease.committed_by,
        "now": milliseconds(now),
    }
    rows = connection.execute(
        f"""
        SELECT number, data FROM machine LEFT JOIN chunk ON machine = seq AND number > freed_chunk
        WHERE {_IS_AS_LOADED} ORDER BY number
        """,
        values,
    ).fetchall()
    if not rows:
        live = connection.execute(f"SELECT 1 FROM machine WHERE id = :id AND {LIVE}", values)
        if lease.version or live.fetchone() is not None:
            raise TransactionViolation.version_moved(lease.machine_id)
    # A workflow without chunks is one row of nulls.
    return [(number, data) for number, data in rows if number is not None]


def commit(
    connection: sqlite3.Connection,
    lease: MachineLease,
    content: Content,
    *,
    now: datetime,
    expires_in: timedelta | None,
) -> bool:
    """Write a record over the one that was loaded, and drop the lease, whatever its holder.

    Returns:
        Whether it was written now; repeating the same commit changes nothing.

    Raises:
        TransactionViolation: Another writer was first, or the record is gone.
    """
    values = {
        **_values(lease.machine_id, content, now=now),
        "owner": lease.owner,
        "version": lease.version,
        "committed_by": lease.committed_by,
        "expires_at": None if expires_in is None else milliseconds(now + expires_in),
    }
    if _commit(connection, content, values):
        return True
    live = connection.execute(
        f"SELECT last_owner FROM machine WHERE id = :id AND {LIVE}", values
    ).fetchone()
    if live == (lease.owner,):
        return False
    if live is not None or lease.version:
        raise TransactionViolation.version_moved(lease.machine_id)
    # The workflow was never written, or is forgotten, and the lease was deleted with its row.
    connection.execute("DELETE FROM machine WHERE id = :id", values)
    connection.execute(
        "INSERT INTO machine (id, created_at, updated_at) VALUES (:id, :now, :now)", values
    )
    return _commit(connection, content, values)


def write(
    connection: sqlite3.Connection,
    machine_id: str,
    content: Content,
    *,
    previous: Record | None,
    unpack: Callable[[StoredRecord], Record],
    now: datetime,
) -> None:
    """Write a record over the one that was read; a holder keeps its lease, but cannot commit.

    Raises:
        TransactionViolation: Another record is stored.
    """
    stored = read(connection, machine_id, now=now)
    found = None if stored is None else unpack(stored)
    check_previous(previous, stored=found, machine_id=machine_id)
    values = {**_values(machine_id, content, now=now), "writer": secrets.token_hex(16)}
    written = _put(
        connection,
        f"""
        UPDATE machine SET {_STEP}, {_INDEXED},
            version = CASE WHEN {LIVE} THEN version + 1 ELSE 1 END, last_owner = :writer,
            created_at = CASE WHEN {LIVE} THEN created_at ELSE :now END,
            expires_at = NULL, tail = NULL
        WHERE id = :id
        """,
        values,
    )
    if written.rowcount:
        connection.execute(_FREE_CHUNKS, values)
        return
    _put(
        connection,
        f"""
        INSERT INTO machine (id, version, last_owner, status, key, source, contract_version,
            initiator, parent, root, error, created_at, updated_at, codec, state)
        VALUES (:id, 1, :writer, :status, :key, :source, :contract_version,
            :initiator, :parent, {_ROOT}, :error, :now, :now, :codec, :state)
        """,
        values,
    )


def release(connection: sqlite3.Connection, machine_id: str, *, owner: str) -> None:
    """Drop the owner's lease, if it has one."""
    values = {"id": machine_id, "owner": owner}
    owned = "id = :id AND owner = :owner"
    connection.execute(f"DELETE FROM machine WHERE {owned} AND NOT {_WRITTEN}", values)
    connection.execute(f"UPDATE machine SET owner = NULL, lease_end = 0 WHERE {owned}", values)


def renew(
    connection: sqlite3.Connection,
    lease: MachineLease,
    *,
    now: datetime,
    ttl: timedelta,
    unwritten_ttl: timedelta,
) -> bool:
    """Let the lease run for `ttl` from now; return False if it was lost."""
    renewed = connection.execute(
        """
        UPDATE machine SET
            lease_end = :lease_end,
            expires_at = CASE WHEN version = 0 THEN :unwritten_until ELSE expires_at END
        WHERE id = :id AND owner = :owner
        """,
        {
            "id": lease.machine_id,
            "owner": lease.owner,
            "lease_end": milliseconds(now + ttl),
            "unwritten_until": milliseconds(now + unwritten_ttl),
        },
    )
    return renewed.rowcount == 1


def cleanup(connection: sqlite3.Connection, machine_id: str) -> bool:
    """Forget a workflow and its lease; return whether there was a record."""
    row = connection.execute(
        "DELETE FROM machine WHERE id = :id RETURNING version", {"id": machine_id}
    ).fetchone()
    return row is not None and row[0] > 0


def purge(connection: sqlite3.Connection, *, now: datetime, limit: int) -> None:
    """Delete up to `limit` expired rows."""
    connection.execute(
        f"DELETE FROM machine WHERE id IN "
        f"(SELECT id FROM machine WHERE {_FORGOTTEN} ORDER BY expires_at LIMIT :limit)",
        {"now": milliseconds(now), "limit": limit},
    )


def _values(machine_id: str, content: Content, *, now: datetime) -> dict[str, object]:
    summary = content.summary
    history = content.history
    return {
        "id": machine_id,
        "status": summary.status,
        "key": summary.key,
        "source": summary.source,
        "contract_version": summary.version,
        "initiator": summary.initiator,
        "parent": summary.parent,
        "waits_for": "\n".join(summary.waits_for) or None,
        "waits_since": _milliseconds_or_none(summary.waits_since),
        "due": _milliseconds_or_none(summary.due),
        "error": summary.error,
        "now": milliseconds(now),
        "codec": content.packed.codec,
        "state": content.packed.data,
        "tail": content.tail or None,
        "chunk": content.chunk,
        "appended": int(content.chunk is not None),
        "live": int(content.chunk is not None and content.frees == "earlier"),
        "freed_at": None if history is None or content.frees != "all" else milliseconds(now),
        "kept_since": None if history is None else milliseconds(now - history),
    }


def _commit(connection: sqlite3.Connection, content: Content, values: Mapping[str, object]) -> bool:
    """Write over what was loaded; return False if something else is stored.

    Raises:
        UnwritableRecordError: Record or chunk is too large for SQLite; nothing was changed.
    """
    chunk = content.chunk
    # Checked first: a refusal after the UPDATE would leave the record written.
    if chunk is not None and len(chunk) > _longest_blob(connection):
        raise _too_large("a chunk of the journal", f"it has {len(chunk)} bytes")
    is_step = values["version"] and values["expires_at"] is None
    if not (is_step and _put(connection, _COMMIT_STEP, values).rowcount) and (
        not _put(connection, _COMMIT, values).rowcount
    ):
        return False
    if content.frees != "none":
        for sql in _FREE_CHUNKS_KEPT if content.history is not None else (_FREE_CHUNKS,):
            connection.execute(sql, values)
    if chunk is not None and (content.frees != "all" or content.history is not None):
        connection.execute(_APPEND_CHUNK, values)
    return True


def _chunks(connection: sqlite3.Connection, seq: int, *, after: int) -> list[StoredChunk]:
    return connection.execute(
        "SELECT number, data FROM chunk WHERE machine = ? AND number > ? ORDER BY number",
        (seq, after),
    ).fetchall()


def _longest_blob(connection: sqlite3.Connection) -> int:
    # The limit is that of a whole row; this one also has two numbers.
    return connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) - 64


def _put(connection: sqlite3.Connection, sql: str, values: Mapping[str, object]) -> sqlite3.Cursor:
    """Run a statement that writes a record.

    Raises:
        UnwritableRecordError: The record is too large for SQLite; nothing was changed.
    """
    try:
        return connection.execute(sql, values)
    except sqlite3.DataError as error:  # raised for SQLITE_TOOBIG and nothing else
        raise _too_large("the record", str(error)) from error


def _too_large(what: str, why: str) -> UnwritableRecordError:
    return UnwritableRecordError(
        f"{what} is too large for SQLite: {why}; "
        "store large data elsewhere and keep its address in the workflow"
    )


def _damaged(version: int) -> UnreadableRecordError:
    return UnreadableRecordError(f"the row of version {version} is damaged")


def _milliseconds_or_none(time: datetime | None) -> int | None:
    return None if time is None else milliseconds(time)


def milliseconds(time: datetime) -> int:
    """Return a time as the table stores it."""
    return round(time.timestamp() * 1000)

"""The table and its operations; each function runs inside a transaction of the client."""

# ruff: noqa: S608 - only constants of this file are put into the SQL

import secrets
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from arvo_event_handler import TransactionViolation, UnreadableRecordError, UnwritableRecordError
from arvo_event_handler.memory import MachineLease, PackedRecord, Record, encode_record
from arvo_sqlite import Component

# One row per workflow. A row of version 0 is a lease on a workflow that was never written. Times are
# milliseconds since 1970. There is no index on what every step changes.
_MIGRATIONS: Final = (
    (
        """
        CREATE TABLE machine (
            id TEXT NOT NULL PRIMARY KEY,
            owner TEXT,
            lease_end INTEGER NOT NULL DEFAULT 0,
            version INTEGER NOT NULL DEFAULT 0,
            last_owner TEXT,
            status TEXT,
            parent TEXT,
            root TEXT,
            updated_at INTEGER NOT NULL,
            expires_at INTEGER,
            codec TEXT,
            state BLOB
        ) STRICT
        """,
        "CREATE INDEX machine_status ON machine (status) WHERE status IS NOT NULL",
        "CREATE INDEX machine_root ON machine (root) WHERE parent IS NOT NULL",
        "CREATE INDEX machine_expires_at ON machine (expires_at) WHERE expires_at IS NOT NULL",
    ),
)
MACHINE: Final = Component(
    name="machine",
    title="machine memory",
    package="arvo-memory-sqlite",
    migrations=_MIGRATIONS,
)
"""The tables of this memory."""

Unpack: TypeAlias = Callable[[PackedRecord], Record]
"""Reads a stored record, or raises an `UnreadableRecordError`."""

# A LockPolicy allows at most ten years; a lease that ends later is damaged and counts as free.
_FREE: Final = "(owner IS NULL OR lease_end NOT BETWEEN :now + 1 AND :now + 315360000000)"
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
_COMMIT: Final = f"""
    UPDATE machine SET
        owner = NULL, lease_end = 0, version = version + 1, last_owner = :owner,
        status = :status, parent = :parent, root = {_ROOT}, updated_at = :now,
        expires_at = :expires_at, codec = :codec, state = :state
    WHERE id = :id AND version = :version AND coalesce(last_owner, '') = :committed_by
        AND (version = 0 OR {_NOT_EXPIRED})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A packed record, and the columns beside it."""

    packed: PackedRecord
    status: str | None
    parent: str | None

    @classmethod
    def of(cls, record: Record, packed: PackedRecord) -> "Content":
        """Read the columns from a record."""
        failed = record.get("executionStatus") == "failure"
        return cls(
            packed=packed,
            status="failure" if failed else _str_or_none(record.get("status")),
            parent=_str_or_none(record.get("parentSubject")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A granted lease, with the row as it was then."""

    version: int
    committed_by: str
    packed: PackedRecord | None  # None if the row has neither codec nor state

    def record(self, unpack: Unpack) -> Record | None:
        """Return the record; None if none was ever written.

        Raises:
            UnreadableRecordError: The row is damaged.
        """
        if self.version < 0 or (self.version == 0) is not (self.packed is None):
            raise _damaged(self.version)
        return None if self.packed is None else unpack(self.packed)


def read(connection: sqlite3.Connection, machine_id: str, *, now: datetime) -> PackedRecord | None:
    """Return the latest record; None if there is none.

    Raises:
        UnreadableRecordError: The row is damaged.
    """
    row = connection.execute(
        f"SELECT version, codec, state FROM machine WHERE id = :id AND {_WRITTEN} AND {_NOT_EXPIRED}",
        {"id": machine_id, "now": milliseconds(now)},
    ).fetchone()
    if row is None:
        return None
    version, *packed = row
    if version <= 0:
        raise _damaged(version)
    return PackedRecord(*packed)


def acquire(
    connection: sqlite3.Connection,
    machine_id: str,
    *,
    owner: str,
    now: datetime,
    ttl: timedelta,
    unwritten_ttl: timedelta,
) -> Granted | timedelta:
    """Take the lease if it is free.

    Args:
        connection: One in a transaction.
        machine_id: The workflow.
        owner: The new holder's token.
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
    row = connection.execute(
        f"""
        INSERT INTO machine (id, owner, lease_end, updated_at, expires_at)
        VALUES (:id, :owner, :lease_end, :now, :unwritten_until)
        ON CONFLICT (id) DO UPDATE SET
            owner = :owner,
            lease_end = :lease_end,
            expires_at = CASE WHEN {_WRITTEN} THEN expires_at ELSE :unwritten_until END
        WHERE {_FREE}
        RETURNING version, coalesce(last_owner, ''), codec, state
        """,
        values,
    ).fetchone()
    if row is not None:
        version, committed_by, codec, state = row
        is_empty = codec is None and state is None
        return Granted(
            version=version,
            committed_by=committed_by,
            packed=None if is_empty else PackedRecord(codec, state),
        )
    (end,) = connection.execute(
        "SELECT lease_end FROM machine WHERE id = :id", {"id": machine_id}
    ).fetchone()
    return timedelta(milliseconds=end - milliseconds(now))


def commit(
    connection: sqlite3.Connection,
    lease: MachineLease,
    content: Content,
    *,
    now: datetime,
    expires_in: timedelta | None,
) -> None:
    """Write a record over the one that was loaded, and drop the lease, whatever its holder.

    Repeating the same commit changes nothing.

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
    if _put(connection, _COMMIT, values).rowcount:
        return
    live = connection.execute(
        f"SELECT last_owner FROM machine WHERE id = :id AND {LIVE}", values
    ).fetchone()
    if live == (lease.owner,):
        return
    if live is not None or lease.version:
        raise TransactionViolation.version_moved(lease.machine_id)
    # The workflow was never written, or is forgotten, and the lease was deleted with its row.
    connection.execute("DELETE FROM machine WHERE id = :id", values)
    connection.execute("INSERT INTO machine (id, updated_at) VALUES (:id, :now)", values)
    _put(connection, _COMMIT, values)


def write(
    connection: sqlite3.Connection,
    machine_id: str,
    content: Content,
    *,
    previous: Record | None,
    unpack: Unpack,
    now: datetime,
) -> None:
    """Write a record over the one that was read; a holder keeps its lease, but cannot commit.

    Raises:
        TransactionViolation: Another record is stored.
    """
    stored = read(connection, machine_id, now=now)
    found = None if stored is None else encode_record(unpack(stored))
    if found != (None if previous is None else encode_record(previous)):
        raise TransactionViolation.version_moved(machine_id)
    _put(
        connection,
        f"""
        INSERT INTO machine (id, version, last_owner, status, parent, root, updated_at, codec, state)
        VALUES (:id, 1, :writer, :status, :parent, {_ROOT}, :now, :codec, :state)
        ON CONFLICT (id) DO UPDATE SET
            version = CASE WHEN {LIVE} THEN version + 1 ELSE 1 END, last_owner = :writer,
            status = excluded.status, parent = excluded.parent, root = excluded.root,
            updated_at = excluded.updated_at, expires_at = NULL, codec = excluded.codec,
            state = excluded.state
        """,
        {**_values(machine_id, content, now=now), "writer": secrets.token_hex(16)},
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
    return {
        "id": machine_id,
        "status": content.status,
        "parent": content.parent,
        "now": milliseconds(now),
        "codec": content.packed.codec,
        "state": content.packed.data,
    }


def _put(connection: sqlite3.Connection, sql: str, values: Mapping[str, object]) -> sqlite3.Cursor:
    """Run a statement that writes a record.

    Raises:
        UnwritableRecordError: The record is too large for SQLite; nothing was changed.
    """
    try:
        return connection.execute(sql, values)
    except sqlite3.DataError as error:  # raised for SQLITE_TOOBIG and nothing else
        raise UnwritableRecordError(
            f"the record is too large for SQLite: {error}; "
            "store large data elsewhere and keep its address in the workflow"
        ) from error


def _damaged(version: int) -> UnreadableRecordError:
    return UnreadableRecordError(f"the row of version {version} is damaged")


def _str_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def milliseconds(time: datetime) -> int:
    """Return a time as the table stores it."""
    return round(time.timestamp() * 1000)

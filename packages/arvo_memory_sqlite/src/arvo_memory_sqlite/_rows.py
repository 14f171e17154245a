"""What is done to the table; each function is one operation in somebody else's transaction."""

# ruff: noqa: S608 - what is put into the SQL is written in this file

import secrets
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from arvo_event_handler import TransactionViolation, UnreadableRecordError, UnwritableRecordError
from arvo_event_handler.memory import MachineLease, PackedRecord, Record, encode_record

from ._stored_machine import StoredMachine

Unpack: TypeAlias = Callable[[PackedRecord], Record]
"""Reads a stored record, or raises an `UnreadableRecordError`."""

# A lease that ends later than in the ten years of a LockPolicy is damaged: nobody could wait for it.
_FREE: Final = "(owner IS NULL OR lease_end NOT BETWEEN :now + 1 AND :now + 315360000000)"
# Gone, and nobody works on it.
_FORGOTTEN: Final = f"expires_at <= :now AND {_FREE}"
_COLUMNS: Final = "id, status, version, parent, root, updated_at, expires_at"
_KEPT: Final = "(expires_at IS NULL OR expires_at > :now)"
_LIVE: Final = f"version > 0 AND {_KEPT}"
# As far as one can tell by a row that may be damaged.
_WRITTEN: Final = "(version <> 0 OR state IS NOT NULL)"
# A parent is written before its child starts, and may be forgotten before the child's last record;
# one in another memory counts as the top.
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
        AND (version = 0 OR {_KEPT})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A record, packed for its row."""

    packed: PackedRecord
    status: str | None
    parent: str | None

    @classmethod
    def of(cls, record: Record, packed: PackedRecord) -> "Content":
        """Take from a record what its row says beside it."""
        failed = record.get("executionStatus") == "failure"
        return cls(
            packed=packed,
            status="failure" if failed else _text(record.get("status")),
            parent=_text(record.get("parentSubject")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A lease as the table gives it."""

    version: int
    committed_by: str
    packed: PackedRecord | None  # None when there is nothing

    def record(self, unpack: Unpack) -> Record | None:
        """Read the record; None when none was ever written.

        Raises:
            UnreadableRecordError: The row is damaged.
        """
        if self.version < 0 or (self.version == 0) is not (self.packed is None):
            raise _damaged(self.version)
        return None if self.packed is None else unpack(self.packed)


def read(connection: sqlite3.Connection, machine_id: str, *, now: datetime) -> PackedRecord | None:
    """Return the latest record.

    Raises:
        UnreadableRecordError: The row is damaged.
    """
    row = connection.execute(
        f"SELECT version, codec, state FROM machine WHERE id = :id AND {_WRITTEN} AND {_KEPT}",
        {"id": machine_id, "now": _ms(now)},
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
    keep: timedelta,
) -> Granted | timedelta:
    """Take the lease if nobody has it.

    Args:
        connection: In a transaction.
        machine_id: The workflow.
        owner: Who will have it.
        now: The time.
        ttl: How long the lease runs.
        keep: When to forget a lease on a workflow that is never written.

    Returns:
        How long the present holder's lease still runs, when somebody has it.
    """
    values = {
        "id": machine_id,
        "owner": owner,
        "now": _ms(now),
        "lease_end": _ms(now + ttl),
        "keep": _ms(now + keep),
    }
    connection.execute(f"DELETE FROM machine WHERE id = :id AND {_FORGOTTEN}", values)
    row = connection.execute(
        f"""
        INSERT INTO machine (id, owner, lease_end, updated_at, expires_at)
        VALUES (:id, :owner, :lease_end, :now, :keep)
        ON CONFLICT (id) DO UPDATE SET
            owner = :owner,
            lease_end = :lease_end,
            expires_at = CASE WHEN {_WRITTEN} THEN expires_at ELSE :keep END
        WHERE {_FREE}
        RETURNING version, coalesce(last_owner, ''), codec, state
        """,
        values,
    ).fetchone()
    if row is not None:
        version, committed_by, codec, state = row
        nothing = codec is None and state is None
        return Granted(
            version=version,
            committed_by=committed_by,
            packed=None if nothing else PackedRecord(codec, state),
        )
    (end,) = connection.execute(
        "SELECT lease_end FROM machine WHERE id = :id", {"id": machine_id}
    ).fetchone()
    return timedelta(milliseconds=end - _ms(now))


def commit(
    connection: sqlite3.Connection,
    lease: MachineLease,
    content: Content,
    *,
    now: datetime,
    expires_in: timedelta | None,
) -> None:
    """Write a record over the one that was loaded, and drop whatever lease stands.

    The same again changes nothing.

    Raises:
        TransactionViolation: Somebody else wrote since, or the record is gone.
    """
    values = {
        **_values(lease.machine_id, content, now=now),
        "owner": lease.owner,
        "version": lease.version,
        "committed_by": lease.committed_by,
        "expires_at": None if expires_in is None else _ms(now + expires_in),
    }
    if _put(connection, _COMMIT, values).rowcount:
        return
    live = connection.execute(
        f"SELECT last_owner FROM machine WHERE id = :id AND {_LIVE}", values
    ).fetchone()
    if live == (lease.owner,):
        return
    if live is not None or lease.version:
        raise TransactionViolation.version_moved(lease.machine_id)
    # It was never written, or is forgotten, and the lease went with its row.
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
    """Write a record over the one that was read; whoever has a lease keeps it, and cannot commit.

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
            version = CASE WHEN {_LIVE} THEN version + 1 ELSE 1 END, last_owner = :writer,
            status = excluded.status, parent = excluded.parent, root = excluded.root,
            updated_at = excluded.updated_at, expires_at = NULL, codec = excluded.codec,
            state = excluded.state
        """,
        {**_values(machine_id, content, now=now), "writer": secrets.token_hex(16)},
    )


def release(connection: sqlite3.Connection, machine_id: str, *, owner: str) -> None:
    """Drop the owner's lease, if it has one."""
    values = {"id": machine_id, "owner": owner}
    mine = "id = :id AND owner = :owner"
    connection.execute(f"DELETE FROM machine WHERE {mine} AND NOT {_WRITTEN}", values)
    connection.execute(f"UPDATE machine SET owner = NULL, lease_end = 0 WHERE {mine}", values)


def renew(
    connection: sqlite3.Connection,
    lease: MachineLease,
    *,
    now: datetime,
    ttl: timedelta,
    keep: timedelta,
) -> bool:
    """Let the lease run for `ttl` from now; False when it was lost."""
    renewed = connection.execute(
        """
        UPDATE machine SET
            lease_end = :lease_end,
            expires_at = CASE WHEN version = 0 THEN :keep ELSE expires_at END
        WHERE id = :id AND owner = :owner
        """,
        {
            "id": lease.machine_id,
            "owner": lease.owner,
            "lease_end": _ms(now + ttl),
            "keep": _ms(now + keep),
        },
    )
    return renewed.rowcount == 1


def cleanup(connection: sqlite3.Connection, machine_id: str) -> bool:
    """Forget a workflow and its lease; whether there was a record."""
    row = connection.execute(
        "DELETE FROM machine WHERE id = :id RETURNING version", {"id": machine_id}
    ).fetchone()
    return row is not None and row[0] > 0


def purge(connection: sqlite3.Connection, *, now: datetime, limit: int) -> None:
    """Delete some of what has expired."""
    connection.execute(
        f"DELETE FROM machine WHERE id IN "
        f"(SELECT id FROM machine WHERE {_FORGOTTEN} ORDER BY expires_at LIMIT :limit)",
        {"now": _ms(now), "limit": limit},
    )


def find(
    connection: sqlite3.Connection, *, status: str, limit: int, now: datetime
) -> list[StoredMachine]:
    """Return workflows of a status, those that were started first before the others."""
    return _machines(
        connection.execute(
            f"SELECT {_COLUMNS} FROM machine WHERE status = :status AND {_LIVE} "
            "ORDER BY rowid LIMIT :limit",
            {"status": status, "limit": limit, "now": _ms(now)},
        )
    )


def children(
    connection: sqlite3.Connection, root: str, *, limit: int, now: datetime
) -> list[StoredMachine]:
    """Return the workflows below one at the top, those that were started first before the others."""
    return _machines(
        connection.execute(
            f"SELECT {_COLUMNS} FROM machine WHERE root = :root AND parent IS NOT NULL "
            f"AND {_LIVE} ORDER BY rowid LIMIT :limit",
            {"root": root, "limit": limit, "now": _ms(now)},
        )
    )


def _machines(rows: sqlite3.Cursor) -> list[StoredMachine]:
    return [
        StoredMachine(
            machine_id=machine_id,
            status=status,
            version=version,
            parent=parent,
            root=root,
            updated_at=_time(updated_at),
            expires_at=None if expires_at is None else _time(expires_at),
        )
        for machine_id, status, version, parent, root, updated_at, expires_at in rows
    ]


def _values(machine_id: str, content: Content, *, now: datetime) -> dict[str, object]:
    return {
        "id": machine_id,
        "status": content.status,
        "parent": content.parent,
        "now": _ms(now),
        "codec": content.packed.codec,
        "state": content.packed.data,
    }


def _put(connection: sqlite3.Connection, sql: str, values: Mapping[str, object]) -> sqlite3.Cursor:
    """Run the statement that holds a record.

    Raises:
        UnwritableRecordError: The record is too large for SQLite; nothing was changed.
    """
    try:
        return connection.execute(sql, values)
    except sqlite3.DataError as error:  # which stands for SQLITE_TOOBIG and nothing else
        raise UnwritableRecordError(
            f"the record is larger than SQLite takes: {error}; "
            "keep large data elsewhere and its address in the workflow"
        ) from error


def _damaged(version: int) -> UnreadableRecordError:
    return UnreadableRecordError(f"the row of version {version} is damaged")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _time(ms: int) -> datetime:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise UnreadableRecordError(f"the stored time {ms} is none: {error}") from error

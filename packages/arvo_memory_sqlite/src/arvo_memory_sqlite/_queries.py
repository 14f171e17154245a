"""Queries of operators about the workflows of a memory."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from arvo_event_handler import UnreadableRecordError

from ._rows import LIVE, milliseconds

_COLUMNS: Final = "id, status, version, parent, root, updated_at, expires_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMachine:
    """One workflow as a memory lists it, without its record."""

    machine_id: str
    """The workflow's subject."""
    status: str | None
    """`failure` if the workflow failed, else the `status` of its record: `active` or `done`. None if
    the record has none."""
    version: int
    """How often the record was written."""
    parent: str | None
    """The subject of the workflow that started this one; None if no workflow did."""
    root: str
    """The subject of the root workflow; its own if no workflow started it."""
    updated_at: datetime
    """When the record was last written, in UTC."""
    expires_at: datetime | None
    """When the record will be forgotten, in UTC; None means never."""


def find(
    connection: sqlite3.Connection, *, status: str, limit: int, now: datetime
) -> list[StoredMachine]:
    """Return workflows of a status, in the order in which they were started."""
    return _machines(
        connection.execute(
            f"SELECT {_COLUMNS} FROM machine WHERE status = :status AND {LIVE} "
            "ORDER BY seq LIMIT :limit",
            {"status": status, "limit": limit, "now": milliseconds(now)},
        )
    )


def children(
    connection: sqlite3.Connection, root: str, *, limit: int, now: datetime
) -> list[StoredMachine]:
    """Return the workflows below a root workflow, in the order in which they were started."""
    return _machines(
        connection.execute(
            f"SELECT {_COLUMNS} FROM machine WHERE root = :root AND parent IS NOT NULL "
            f"AND {LIVE} ORDER BY seq LIMIT :limit",
            {"root": root, "limit": limit, "now": milliseconds(now)},
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


def _time(ms: int) -> datetime:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise UnreadableRecordError(f"the stored time {ms} is not valid: {error}") from error

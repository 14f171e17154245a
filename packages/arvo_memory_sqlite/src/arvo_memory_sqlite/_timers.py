"""The earliest timer of each workflow; each function runs inside a transaction of the client."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from arvo_event_handler.memory import (
    UNCHANGED,
    DueMachine,
    MachineLease,
    NextTimer,
    Record,
    Unchanged,
    claim_hold,
)

from . import _rows as rows
from ._queries import known_time
from ._rows import LIVE, milliseconds

_OF_MACHINE: Final = "SELECT seq FROM machine WHERE id = :id"
_REMOVE: Final = f"DELETE FROM due WHERE machine = ({_OF_MACHINE})"
_SET: Final = """
    INSERT INTO due (machine, at, key, ready_at, claims)
    SELECT seq, :at, :key, :at, 0 FROM machine WHERE id = :id
    ON CONFLICT (machine) DO UPDATE SET
        at = excluded.at, key = excluded.key, ready_at = excluded.ready_at, claims = 0
"""
# In the order of the index, so that neither what is not due nor what is claimed is looked at. A
# workflow that has expired is left out, until its row is deleted, and this one with it.
CLAIMABLE: Final = f"""
    SELECT due.machine, id, at, due.key, claims
    FROM due CROSS JOIN machine ON seq = due.machine
    WHERE ready_at <= :now AND {LIVE} ORDER BY ready_at LIMIT :limit
"""
"""What can be claimed; parameters `:now` and `:limit`."""
NEXT: Final = f"""
    SELECT ready_at FROM due CROSS JOIN machine ON seq = due.machine
    WHERE {LIVE} ORDER BY ready_at LIMIT 1
"""
"""When something can be claimed next; parameter `:now`."""
_CLAIM: Final = "UPDATE due SET claims = ?, ready_at = ? WHERE machine = ?"


def commit(
    connection: sqlite3.Connection,
    lease: MachineLease,
    content: rows.Content,
    *,
    timer: NextTimer | Unchanged | None,
    now: datetime,
    expires_in: timedelta | None,
) -> None:
    """Write a record as `rows.commit`, and what the commit says about the workflow's timer.

    Raises:
        TransactionViolation: Another writer was first, or the record is gone.
    """
    written = rows.commit(connection, lease, content, now=now, expires_in=expires_in)
    if written and timer is not UNCHANGED:
        _move(connection, lease.machine_id, timer)


def write(
    connection: sqlite3.Connection,
    machine_id: str,
    content: rows.Content,
    *,
    timer: NextTimer | None,
    previous: Record | None,
    unpack: Callable[[rows.StoredRecord], Record],
    now: datetime,
) -> None:
    """Write a record as `rows.write`, and index its timer.

    Raises:
        TransactionViolation: Another record is stored.
    """
    rows.write(connection, machine_id, content, previous=previous, unpack=unpack, now=now)
    _move(connection, machine_id, timer)


def claim(
    connection: sqlite3.Connection, *, limit: int, hold: timedelta, now: datetime
) -> list[DueMachine]:
    """Claim up to `limit` timers that are due, the earliest first.

    Raises:
        UnreadableRecordError: A row is damaged.
    """
    # Whole milliseconds, as all times in the table: nothing is claimed before its time.
    due_by = now.astimezone(UTC).replace(microsecond=now.microsecond // 1000 * 1000)
    values = {"now": milliseconds(due_by), "limit": limit}
    claimed: list[DueMachine] = []
    claims_of_rows: list[tuple[int, int, int]] = []
    for machine, machine_id, at, key, earlier in connection.execute(CLAIMABLE, values).fetchall():
        claims = earlier + 1
        until = milliseconds(due_by + claim_hold(hold, claims=claims))
        claims_of_rows.append((claims, until, machine))
        claimed.append(
            DueMachine(
                machine_id=machine_id, at=known_time(at), key=key, claims=claims, due_by=due_by
            )
        )
    connection.executemany(_CLAIM, claims_of_rows)
    return sorted(claimed, key=lambda due: due.at)


def next_due(connection: sqlite3.Connection, *, now: datetime) -> datetime | None:
    """Return when something can be claimed next; None when no timer is pending.

    Raises:
        UnreadableRecordError: The row is damaged.
    """
    row = connection.execute(NEXT, {"now": milliseconds(now)}).fetchone()
    return None if row is None else known_time(row[0])


def _move(connection: sqlite3.Connection, machine_id: str, timer: NextTimer | None) -> None:
    if timer is None:
        connection.execute(_REMOVE, {"id": machine_id})
    else:
        values = {"id": machine_id, "at": milliseconds(timer.at), "key": timer.key}
        connection.execute(_SET, values)

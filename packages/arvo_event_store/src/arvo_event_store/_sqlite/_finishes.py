"""What becomes of leases."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from arvo_event_store._errors import EventStoreError
from arvo_event_store._target import TargetKind
from arvo_event_store.stores import AppendRequest, FinishRow, Work, lost_lease

from . import _append
from ._claims import FENCE, fenced
from ._reactions import park
from ._refusal import Refusal
from ._rows import later, microseconds
from ._transaction import Transaction, in_savepoint
from ._work import WorkRunner

_FENCE: Final = f"SELECT 1 FROM target WHERE {FENCE}"
_END: Final = f"""
    UPDATE target SET at = max(at, :at), attempt = coalesce(:attempt, attempt), failed = :failed,
        owner = CASE WHEN :until IS NULL THEN NULL ELSE owner END, lease_until = :until,
        due = :due, asleep = :due IS NOT NULL, error = :error, error_position = :position,
        blocked_at = :blocked_at
    WHERE {FENCE}
"""
_DELETE: Final = f"DELETE FROM target WHERE {FENCE}"
_UNLIST: Final = "DELETE FROM listed WHERE grp = ? AND reaction = ? AND key = ? AND position <= ?"

# With these the file, the disk or the machine is in the way, whatever the work was.
_OF_THE_FILE: Final = frozenset(
    (
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOTADB,
    )
)


@dataclass(slots=True, kw_only=True)
class AskedFinish:
    """A finish that passed all checks that need no file."""

    row: FinishRow
    """What it writes into the row of its target."""
    requests: Sequence[AppendRequest]
    """What it appends."""
    work: Sequence[Work]
    """What it does before."""


class FinishBatch:
    """Finishes in one transaction. One that is refused undoes itself alone.

    Args:
        finishes: The finishes.
        runner: Runs their work.
    """

    def __init__(self, finishes: Sequence[AskedFinish], *, runner: WorkRunner) -> None:
        self._finishes = finishes
        self._runner = runner
        self.culprit: int | None = None
        """Which of them SQLite refused, so that all were undone; None if it was none of them."""

    def run(self, connection: sqlite3.Connection, *, now: datetime) -> list[BaseException | None]:
        """Store all of them, and return why nothing is stored of some; None for those that are.

        Raises:
            sqlite3.Error: SQLite refused a statement, so the transaction may be lost.
            sqlite3.Warning: Python's module refused one.
        """
        self.culprit = None
        refused: list[BaseException | None] = []
        for number, each in enumerate(self._finishes):
            try:
                refused.append(self._refused(connection, each, now=now))
            except (sqlite3.Error, sqlite3.Warning) as error:
                if (getattr(error, "sqlite_errorcode", 0) & 0xFF) not in _OF_THE_FILE:
                    self.culprit = number
                raise
        return refused

    def _refused(
        self, connection: sqlite3.Connection, finish: AskedFinish, *, now: datetime
    ) -> BaseException | None:
        """Store one, or return why nothing of it is stored."""
        if finish.work:
            done = in_savepoint(
                connection, lambda transaction: self._store_with_work(transaction, finish, now=now)
            )
            return done.error if isinstance(done, Refusal) else None
        try:
            _store(connection, finish, now=now)
        except EventStoreError as error:
            return error
        return None

    def _store_with_work(
        self, transaction: Transaction, finish: AskedFinish, *, now: datetime
    ) -> None:
        _check_fence(transaction.connection, finish.row)
        for each in finish.work:
            self._runner.do(transaction, each)
        _store(transaction.connection, finish, now=now)


def _store(connection: sqlite3.Connection, finish: AskedFinish, *, now: datetime) -> None:
    """Append and end the lease; every refusal comes before anything changes.

    Raises:
        LeaseLostError: Somebody else has the lease, or nobody.
        EventStoreError: An append was refused.
    """
    row = finish.row
    if finish.requests:
        _check_fence(connection, row)
        _append.append(connection, finish.requests, now=now)
    if row.gone:
        ended = connection.execute(_DELETE, fenced(row.lease)).rowcount
    else:
        ended = connection.execute(_END, {**fenced(row.lease), **_values(row, now=now)}).rowcount
    if not ended:
        raise lost_lease(row.lease)
    lease, at = row.lease, microseconds(now)
    if lease.reads is TargetKind.KEY:
        connection.execute(_UNLIST, (lease.group, lease.reaction, lease.key, row.at))
    if row.parked and row.position is not None:
        place = (lease.group, lease.reaction, lease.key, row.position)
        park(connection, place, error=row.error or "", attempts=row.parked_after, at=at)


def _check_fence(connection: sqlite3.Connection, row: FinishRow) -> None:
    if connection.execute(_FENCE, fenced(row.lease)).fetchone() is None:
        raise lost_lease(row.lease)


def _values(row: FinishRow, *, now: datetime) -> dict[str, object]:
    due = None if row.due is None else microseconds(row.due)
    return {
        "at": row.at,
        "attempt": row.attempt,
        "failed": row.failed,
        "until": None if row.ttl is None else later(now, row.ttl),
        "due": due if row.due_after is None else later(now, row.due_after),
        "error": row.error,
        "position": row.position,
        "blocked_at": microseconds(now) if row.blocked else None,
    }

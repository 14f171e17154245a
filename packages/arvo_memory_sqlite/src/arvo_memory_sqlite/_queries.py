"""Answers which workflows there are. Each question is one statement."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import ceil, floor
from typing import Any, Final, TypeAlias

from arvo_event_handler import QueryTimeoutError, UnreadableRecordError
from arvo_event_handler.memory import (
    QUERY_TIMEOUT,
    CountRequest,
    PageRequest,
    StoredWorkflow,
    WorkflowCount,
    WorkflowPage,
    WorkflowQuery,
)
from arvo_time import Clock

from ._rows import HELD, LIVE, milliseconds

_COLUMNS: Final = (
    "seq, id, status, key, source, contract_version, initiator, parent, root, waits_for, "
    f"waits_since, due, error, version, created_at, updated_at, expires_at, {HELD}, lease_end"
)
# A time far ahead has no exact number of seconds.
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EVER: Final = 2**63 - 1
_STEPS_BETWEEN_LOOKS: Final = 1000

_ACTIVE_LAST: Final = ("done", "failure", "active").index

# Where to look, and what must be true there.
_Branch: TypeAlias = tuple[str, str]


def page(connection: sqlite3.Connection, request: PageRequest, *, now: datetime) -> WorkflowPage:
    """Return one page of workflows."""
    query, (at, seq) = request.query, request.start or (-_EVER, 0)
    earliest, latest = _created(query)
    if request.start is None:
        order, beyond = ("ASC" if request.oldest_first else "DESC"), "TRUE"
    elif request.oldest_first:
        order, beyond, earliest = "ASC", "(created_at <> :at OR seq > :seq)", max(earliest, at)
    else:
        order, beyond, latest = "DESC", "(created_at <> :at OR seq < :seq)", min(latest, at)
    rows = connection.execute(
        _union(
            query,
            _COLUMNS,
            f"AND {beyond} ORDER BY created_at {order}, seq {order} LIMIT :limit",
        ),
        {
            **_values(query, now=now),
            "earliest": earliest,
            "latest": latest,
            "at": at,
            "seq": seq,
            "limit": request.limit + 1,
        },
    )
    # Each branch comes in order; there are at most three, each at most as long as the page.
    found = sorted(
        (((row[14], row[0]), row) for row in rows), key=_position, reverse=not request.oldest_first
    )
    return request.page([(place, _workflow(row)) for place, row in found[: request.limit + 1]])


def count(connection: sqlite3.Connection, request: CountRequest, *, now: datetime) -> WorkflowCount:
    """Count workflows up to a bound."""
    query = request.query
    earliest, latest = _created(query)
    (found,) = connection.execute(
        f"SELECT count(*) FROM ({_union(query, '1', 'LIMIT :limit')} LIMIT :limit)",
        {
            **_values(query, now=now),
            "earliest": earliest,
            "latest": latest,
            "limit": request.at_most + 1,
        },
    ).fetchone()
    return request.count(found)


def workflow(
    connection: sqlite3.Connection, subject: str, *, now: datetime
) -> StoredWorkflow | None:
    """Return one workflow; None if there is none."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM machine WHERE id = :id AND {LIVE}",
        {"id": subject, "now": milliseconds(now)},
    ).fetchone()
    return None if row is None else _workflow(row)


@contextmanager
def ended_in_time(connection: sqlite3.Connection, *, clock: Clock) -> Iterator[None]:
    """End a query that takes too long.

    Raises:
        QueryTimeoutError: It took longer than `QUERY_TIMEOUT`.
    """
    deadline = clock.monotonic() + QUERY_TIMEOUT.total_seconds()
    connection.set_progress_handler(lambda: clock.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            raise QueryTimeoutError from error
        raise
    finally:
        connection.set_progress_handler(None, 0)


def _union(query: WorkflowQuery, columns: str, end: str) -> str:
    """Return the statement: one ordered walk over an index for each branch."""
    # In a subquery, as only those may have an order and a limit of their own.
    return " UNION ALL ".join(
        f"SELECT * FROM (SELECT {columns} FROM machine {index} WHERE {condition} "
        f"AND {_also(query)} AND {LIVE} AND created_at BETWEEN :earliest AND :latest {end})"
        for index, condition in _branches(query)
    )


def _branches(query: WorkflowQuery) -> list[_Branch]:
    """Return where to look. An index is named, so that the plan never depends on statistics."""
    if query.key is not None:
        return [("INDEXED BY machine_key", "status IS NOT NULL AND key = :key")]
    if query.root is not None:
        return [
            ("INDEXED BY machine_root", "parent IS NOT NULL AND root = :root"),
            ("", "id = :root AND parent IS NULL"),
        ]
    index, source = "machine_status", ""
    if query.source is not None:
        index, source = "machine_source", "source = :source AND "
    # A walk over several statuses at once would not be in order. Those that are done come first: most
    # are, so a count that may end early does.
    return [
        (f"INDEXED BY {index}", f"{source}status = '{status}'")
        for status in sorted(query.statuses, key=_ACTIVE_LAST)
    ]


def _also(query: WorkflowQuery) -> str:
    """Return the conditions that the branches do not have."""
    statuses = ", ".join(f"'{status}'" for status in sorted(query.statuses))
    also = [f"status IN ({statuses})"]
    if query.source is not None:
        also.append("source = :source")
    if query.root is not None:
        also.append("root = :root")
    if query.error is not None:
        also.append("error = :error")
    if query.waits_for is not None:
        also.append("instr(char(10) || waits_for || char(10), char(10) || :waits_for || char(10))")
    if query.no_step_since is not None:
        also.append("updated_at < :no_step_since")
    return " AND ".join(also)


def _values(query: WorkflowQuery, *, now: datetime) -> dict[str, object]:
    since = query.no_step_since
    return {
        "now": milliseconds(now),
        "key": query.key,
        "source": query.source,
        "root": query.root,
        "error": query.error,
        "waits_for": query.waits_for,
        "no_step_since": None if since is None else ceil(since.timestamp() * 1000),
    }


def _created(query: WorkflowQuery) -> tuple[int, int]:
    """Return the first and the last millisecond in which a workflow may have started."""
    after, before = query.started_after, query.started_before
    return (
        -_EVER if after is None else floor(after.timestamp() * 1000) + 1,
        _EVER if before is None else ceil(before.timestamp() * 1000) - 1,
    )


def _position(found: tuple[tuple[int, int], object]) -> tuple[int, int]:
    return found[0]


def _workflow(row: Any) -> StoredWorkflow:
    (_, subject, status, key, source, contract_version, initiator, parent, root, *more) = row
    waits_for, waits_since, due, error, version, created_at, updated_at, expires_at, *lease = more
    held, lease_end = lease
    return StoredWorkflow(
        subject=subject,
        status=status,
        finished=status != "active",
        key=key,
        source=source,
        version=contract_version,
        initiator=initiator,
        parent=parent,
        root=root,
        waits_for=() if waits_for is None else tuple(waits_for.split("\n")),
        waits_since=_time(waits_since),
        due=_time(due),
        error=error,
        record_version=version,
        created_at=known_time(created_at),
        updated_at=known_time(updated_at),
        expires_at=_time(expires_at),
        lease_until=_time(lease_end) if held else None,
    )


def _time(ms: int | None) -> datetime | None:
    return None if ms is None else known_time(ms)


def known_time(ms: int) -> datetime:
    """Return a time from how the table stores it.

    Raises:
        UnreadableRecordError: It is none.
    """
    try:
        return _EPOCH + timedelta(milliseconds=ms)
    except OverflowError as error:
        raise UnreadableRecordError(f"the stored time {ms} is not valid: {error}") from error

"""Answers what is stored. Each answer is one statement, so it is of one snapshot of the file."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Final, NamedTuple

from arvo_event_store._query import Query
from arvo_event_store._stream import Snapshot, StreamHead
from arvo_event_store.stores import MAX_POSITION, PAGE_EVENTS, Page, PageRange, Place, page_rows

from ._rows import (
    EVENT_COLUMNS,
    HEAD_COLUMNS,
    SNAPSHOT_COLUMNS,
    event_of,
    head_of,
    json_length,
    json_list,
    microseconds,
    snapshot_of,
)

HORIZON: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'event'"
"""The highest position that was ever given: that of the last event may have been deleted. No row if none
was."""
NAMED: Final = "name IN (SELECT value FROM json_each(:names))"
"""The condition for events of several names, with `json_list` of these as `names`."""


class Found(NamedTuple):
    """Where events are, and which of them."""

    source: str
    """The table, or a join of several that begins with it, in the order of reading."""
    conditions: list[str]
    """What must be true of an event."""
    values: dict[str, object]
    """The parameters of the conditions."""


def stream_page(connection: sqlite3.Connection, stream: str, page: PageRange) -> Page:
    """Return events of a stream, by version.

    Raises:
        StoreFailure: A row is damaged.
    """
    return found_page(
        connection,
        page,
        Found("event", ["stream = :stream"], {"stream": stream}),
        end="SELECT version FROM stream WHERE name = :stream",
        place="version",
    )


def log_page(
    connection: sqlite3.Connection,
    where: Query | None,
    page: PageRange,
    *,
    keep_damaged: bool = False,
) -> Page:
    """Return events of the log that a query finds, by position; see `stored_event`.

    Raises:
        StoreFailure: A row is damaged.
    """
    return found_page(
        connection, page, found_by(where or Query()), end=HORIZON, keep_damaged=keep_damaged
    )


def heads(connection: sqlite3.Connection, streams: Sequence[str]) -> dict[str, StreamHead]:
    """Return where streams stand, without those that do not exist.

    Raises:
        StoreFailure: A row is damaged.
    """
    rows = connection.execute(
        f"SELECT {HEAD_COLUMNS} FROM stream WHERE name IN (SELECT value FROM json_each(?))",
        (json_list(streams),),
    )
    found = {head.stream: head for head in map(head_of, rows.fetchall())}
    return {stream: found[stream] for stream in streams if stream in found}


def horizon(connection: sqlite3.Connection) -> int:
    """Return the last position: the one thread that writes gives and commits them in order."""
    row = connection.execute(HORIZON).fetchone()
    return 0 if row is None else int(row[0])


def latest_snapshot(
    connection: sqlite3.Connection, stream: str, *, kind: str, upto: int | None
) -> Snapshot | None:
    """Return the snapshot with the highest version; None if there is none.

    Raises:
        StoreFailure: The row is damaged.
    """
    row = connection.execute(
        f"SELECT {SNAPSHOT_COLUMNS} FROM snapshot WHERE stream = ? AND kind = ? AND version <= ? "
        "ORDER BY version DESC LIMIT 1",
        (stream, kind, MAX_POSITION if upto is None else upto),
    ).fetchone()
    return None if row is None else snapshot_of(row)


def page_of_heads(
    connection: sqlite3.Connection, *, prefix: str, after: str
) -> tuple[list[StreamHead], bool]:
    """Return streams beyond a name, a page of them by name, and whether there may be more.

    Args:
        connection: The connection.
        prefix: How their names begin.
        after: The name.

    Raises:
        StoreFailure: A row is damaged.
    """
    rows = connection.execute(
        f"SELECT {HEAD_COLUMNS} FROM stream WHERE name >= ? AND name > ? ORDER BY name LIMIT ?",
        (prefix, after, PAGE_EVENTS),
    ).fetchall()
    # Names that begin alike are next to each other.
    found = [head for head in map(head_of, rows) if head.stream.startswith(prefix)]
    return found, len(found) == PAGE_EVENTS


def found_page(
    connection: sqlite3.Connection,
    page: PageRange,
    found: Found,
    *,
    end: str = "NULL",
    place: Place = "position",
    size: Callable[[Any], int] = json_length,
    keep_damaged: bool = False,
) -> Page:
    """Return events, a page of them.

    Args:
        connection: The connection.
        page: Which of them.
        found: Where they are.
        end: What returns where they end, asked with the first page.
        place: What orders them.
        size: How long an event is, of which a page has `max_bytes`.
        keep_damaged: See `stored_event`.

    Raises:
        StoreFailure: A row is damaged.
    """
    cursor = connection.execute(
        f"""
        SELECT {EVENT_COLUMNS}, {f"({end})" if page.is_first else "NULL"}
        FROM {found.source} LEFT JOIN private USING (position)
        WHERE {" AND ".join(found.conditions)} AND {place} > :after AND {place} <= :upto
        ORDER BY {place} {"DESC" if page.backward else "ASC"} LIMIT :limit
        """,
        {
            **found.values,
            "after": page.after,
            "upto": MAX_POSITION if page.upto is None else page.upto,
            "limit": page.limit,
        },
    )
    # What is not read further must not hold its snapshot of the file.
    with closing(cursor):
        rows, is_cut = page_rows(cursor, max_bytes=page.max_bytes, size=size)
    events = [event_of(row[:-1], keep_damaged=keep_damaged) for row in rows]
    return Page(events, rows[0][-1] if rows else None, is_cut)


def found_by(where: Query) -> Found:
    """Return where to walk through the log in its order, and what must be true of an event there.

    The index is named: to sort what another one finds would read all of it for each page.
    """
    source, conditions, values = "event NOT INDEXED", ["TRUE"], dict[str, object]()
    names = where.names
    if names is not None and len(names) == 1:
        source = "event INDEXED BY event_name"
        (values["name"],) = names
        conditions.append("name = :name")
    elif names:
        values["names"] = json_list(sorted(names))
        conditions.append(NAMED)
    elif names is not None:
        conditions.append("FALSE")
    if where.correlation is not None:
        # Rarely many events.
        source = "event INDEXED BY event_correlation"
        values["correlation"] = where.correlation
        conditions.append("correlation = :correlation")
    if where.stream_prefix:
        values["prefix"] = where.stream_prefix
        conditions.append("substr(stream, 1, length(:prefix)) = :prefix")
    if where.created_from is not None:
        values["from"] = microseconds(where.created_from)
        conditions.append("created_at >= :from")
    if where.created_before is not None:
        values["before"] = microseconds(where.created_before)
        conditions.append("created_at < :before")
    return Found(source, conditions, values)

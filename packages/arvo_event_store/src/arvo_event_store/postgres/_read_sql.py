"""Statements that read, and what their rows say."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from arvo_event_store._event import Event
from arvo_event_store._query import Query
from arvo_event_store._stream import Snapshot, StreamHead
from arvo_event_store.stores import (
    MAX_POSITION,
    PAGE_EVENTS,
    Page,
    PageRange,
    from_json,
    stored_event,
)

# Subqueries, as a join might be planned as one over all of the table.
_EVENT: Final = """
SELECT e.*, (SELECT p.data FROM {{private}} AS p WHERE p.position = e.position) AS private,
    {head} AS head
FROM {{event}} AS e WHERE"""
_HEAD: Final = "(SELECT h.version FROM {stream} AS h WHERE h.name = $1)"

_LIMITS: Final = (1, 10, 100, PAGE_EVENTS)
"""A generic plan for a limit that is a parameter would sort all that could be read; and each limit
that is written into the text is a statement of its own."""

# By what is stored first: to know how long a text is, it must be fetched and decompressed. The first event
# has none before it, so it is always found.
_BOUNDED: Final = """
SELECT d.position, d.stream, d.version, d.id, d.name, d.data, d.meta, d.private, d.correlation,
    d.causation, d.created_at, d.head, greatest(d.stored, d.total) AS before
FROM (
    SELECT c.*, sum(
        octet_length(c.data::text) + octet_length(c.meta::text)
            + coalesce(octet_length(c.private::text), 0)
    ) OVER (ORDER BY c.{order} {before}) AS total FROM (
        SELECT a.*, sum(
            pg_column_size(a.data) + pg_column_size(a.meta) + coalesce(pg_column_size(a.private), 0)
        ) OVER (ORDER BY a.{order} {before}) AS stored
        FROM ({question}) AS a
    ) AS c
    WHERE c.stored IS NULL OR c.stored < {bound}
) AS d
WHERE d.total IS NULL OR d.total < {bound} ORDER BY d.{order}"""
_BEFORE: Final = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
# What is stored is no longer than its text and this.
_HEADERS: Final = 3 * 4

HORIZON: Final = """
WITH given AS MATERIALIZED (
    SELECT coalesce((SELECT last_value FROM {sequence} WHERE is_called), 0) AS last
)
SELECT least(given.last, held.floor) AS horizon, pg_is_in_recovery() AS is_replica,
    current_setting('transaction_isolation') AS isolation
FROM given CROSS JOIN LATERAL (
    SELECT min(((l.classid::bigint & 65535) << 32) | l.objid::bigint) AS floor FROM pg_locks AS l
    WHERE given.last >= 0 AND l.locktype = 'advisory' AND l.objsubid = 1
        AND (l.classid::bigint >> 16) = {namespace}
        AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
) AS held"""
"""Asks for the horizon: the last position that was given, but not above the lowest floor.

The last position is read before the locks, and events are read by a later statement. Then an append
that does not have its lock when the locks are read takes positions above the last one. What one that has
it takes is above its floor. One that has ended was visible before its lock was gone. The lateral
subquery needs `given`, which is materialized, so it is read after it.
"""

HEADS: Final = """
SELECT name, version, first_version, closed_at, archive, created_at, updated_at
FROM {stream} WHERE name = ANY ($1::text[])"""

STREAMS: Final = f"""
SELECT name, version, first_version, closed_at, archive, created_at, updated_at
FROM {{stream}} WHERE name > $1 AND starts_with(name, $2) ORDER BY name LIMIT {PAGE_EVENTS}"""

LATEST_SNAPSHOT: Final = """
SELECT stream, kind, version, schema, state FROM {snapshot}
WHERE stream = $1 AND kind = $2 AND version <= $3 ORDER BY version DESC LIMIT 1"""

# The head is held against being deleted, so that no snapshot outlives its stream.
SAVE_SNAPSHOT: Final = """
WITH head AS (
    SELECT FROM {stream} WHERE name = $1::text AND version >= $3::bigint FOR KEY SHARE
)
INSERT INTO {snapshot} (stream, kind, version, schema, state)
SELECT $1::text, $2::text, $3::bigint, $4::integer, $5::json FROM head
ON CONFLICT (stream, kind, version) DO UPDATE
    SET schema = excluded.schema, state = excluded.state, created_at = excluded.created_at
RETURNING version"""


@dataclass(slots=True)
class PageQuestion:
    """A statement that reads a page of events, at least one, until their JSON has enough bytes.

    Its column `before` says how many the events before that one have; NULL for the first.
    """

    sql: str
    """The statement, with names of tables in braces."""
    values: list[Any] = field(default_factory=list)
    """Its parameters."""

    @classmethod
    def of_stream(cls, stream: str, page: PageRange) -> "PageQuestion":
        """Read a stream; the column `head` says where it ends."""
        question = cls(f"{_EVENT.format(head=_HEAD)} e.stream = $1", [stream])
        question._range("version", page)
        return question

    @classmethod
    def of_log(cls, page: PageRange, where: Query | None) -> "PageQuestion":
        """Read the log; the page must have an upper bound."""
        question = cls(f"{_EVENT.format(head='NULL')} true")
        if where is not None:
            question._filter(where)
        question._range("position", page)
        return question

    def page(
        self,
        rows: Sequence[Any],
        page: PageRange,
        *,
        end: int | None,
        keep_damaged: bool = False,
    ) -> Page:
        """Return the page from the rows of the statement; see `stored_event`."""
        events = [event_of(row, keep_damaged=keep_damaged) for row in rows[: page.limit]]
        is_cut = 0 < len(rows) < page.limit and _bytes_upto(rows[-1]) >= page.max_bytes
        return Page(events, end, is_cut)

    def _range(self, place: str, page: PageRange) -> None:
        self._and(f"e.{place} > {{}}", page.after)
        self._and(f"e.{place} <= {{}}", MAX_POSITION if page.upto is None else page.upto)
        limit = next(each for each in _LIMITS if each >= page.limit)
        order = f"{place} {'DESC' if page.backward else 'ASC'}"
        self.values.append(page.max_bytes)
        question = f"{self.sql}\nORDER BY e.{order} LIMIT {limit}"
        self.sql = _BOUNDED.format(
            question=question, order=order, before=_BEFORE, bound=f"${len(self.values)}"
        )

    def _filter(self, where: Query) -> None:
        if where.stream_prefix:
            self._and("starts_with(e.stream, {})", where.stream_prefix)
        if where.names is not None:
            names = sorted(where.names)
            # Only one name can be read in the order of its index.
            if len(names) == 1:
                self._and("e.name = {}", names[0])
            else:
                self._and("e.name = ANY ({}::text[])", names)
        if where.correlation is not None:
            self._and("e.correlation = {}", where.correlation)
        if where.created_from is not None:
            self._and("e.created_at >= {}", where.created_from)
        if where.created_before is not None:
            self._and("e.created_at < {}", where.created_before)

    def _and(self, condition: str, value: object) -> None:
        self.values.append(value)
        self.sql += f" AND {condition.format(f'${len(self.values)}')}"


def _bytes_upto(row: Any) -> int:
    """Return how many bytes a page has with this row, or a few more."""
    texts = (row["data"], row["meta"], row["private"] or "")
    return sum(len(text.encode()) for text in texts) + _HEADERS + (row["before"] or 0)


def event_of(row: Any, *, keep_damaged: bool = False) -> Event:
    """Return an event from its row; see `stored_event`."""
    position, stream, version, id, name, data, meta, private, correlation, causation, created = row[
        :11
    ]
    return stored_event(
        position=position,
        stream=stream,
        version=version,
        id=id,
        name=name,
        data=data,
        meta=meta,
        private=private,
        correlation=correlation,
        causation=causation,
        created=created,
        keep_damaged=keep_damaged,
    )


def head_of(row: Any) -> StreamHead:
    """Return the head of a stream from its row."""
    return StreamHead(
        stream=row["name"],
        version=row["version"],
        first_version=row["first_version"],
        closed=row["closed_at"],
        archive=row["archive"],
        created=row["created_at"],
        updated=row["updated_at"],
    )


def snapshot_of(row: Any) -> Snapshot:
    """Return a snapshot from its row."""
    return Snapshot(
        stream=row["stream"],
        kind=row["kind"],
        version=row["version"],
        schema=row["schema"],
        state=from_json(row["state"]),
    )

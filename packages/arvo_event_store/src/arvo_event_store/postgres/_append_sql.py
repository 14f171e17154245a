"""The statement that appends: always one, whatever it stores.

Locks are taken in the same order by all of them, each kind sorted: targets and heads that exist, then
what is new. So appends do not deadlock with each other, unless a transaction has several.

The floor is what makes the horizon safe. A position is taken when an event is inserted, and seen when
its transaction is committed; meanwhile, others may commit higher ones. So an append takes a shared
advisory lock whose key has the last position that was given before, and then its own positions. See
`HORIZON` in `_read_sql`.
"""

# ruff: noqa: S608 - only constants of this package are put into the SQL

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from arvo_event_store.stores import READS, AppendRequest, EventRow, FinishRow

from ._finish_sql import ASKED, FINISH_PARAMETERS, NOT_ASKED, FinishForm, finish_values
from ._tables import Tables
from ._target_sql import ASKED_KEYS, EVENT, LEASED, MARKED, locked

# Before the first position the sequence says 1 too, so that its first event would be above no floor.
_LAST_POSITION: Final = "coalesce((SELECT last_value FROM {sequence} WHERE is_called), 0)"

_FLOOR: Final = f"pg_advisory_xact_lock_shared(({{namespace}}::bigint << 48) | {_LAST_POSITION})"

# A transaction takes its first floor again and again: a further one would need a further lock, of which
# a server has few. The setting goes with the lock when a savepoint is rolled back.
_SAME_FLOOR: Final = f"""pg_advisory_xact_lock_shared(({{namespace}}::bigint << 48) | set_config(
    'arvo.floor_{{namespace}}',
    coalesce(nullif(current_setting('arvo.floor_{{namespace}}', true), ''), ({_LAST_POSITION})::text),
    true
)::bigint)"""

# Where the stream may begin with the append, and where it must exist. No row: the stream is closed or not as
# expected. So in a transaction nothing has failed.
_OPENED: Final = """
    INSERT INTO {stream} AS h (name, version)
    SELECT <stream>::text, <count> - 1 WHERE true <after_targets>
    ON CONFLICT (name) DO UPDATE
        SET version = h.version + <count>, updated_at = clock_timestamp()
        WHERE h.closed_at IS NULL AND <expected>::bigint = -2
    RETURNING h.version"""
_MOVED: Final = """
    UPDATE {stream} AS h SET version = h.version + <count>, updated_at = clock_timestamp()
    WHERE h.name = <stream>::text AND h.closed_at IS NULL
        AND (<expected>::bigint = -3 OR h.version = <expected>::bigint) <after_targets>
    RETURNING h.version"""

_ONE: Final = """
head AS (<head>
), base AS (
    SELECT head.version - <count> AS version, <floor> FROM head
), added AS (
    INSERT INTO {event} (id, stream, version, name, data, meta, correlation, causation)<events>
    RETURNING id, stream, version, position
)"""
_SINGLE: Final = """
    SELECT <ids>::uuid, <stream>::text, base.version + 1, <names>::text, <data>::text::json,
        <meta>::text::json, <correlations>::text, <causations>::uuid
    FROM base"""
_MANY: Final = """
    SELECT e.id, <stream>::text, base.version + e.o,
        e.name, e.data::json, e.meta::json, e.correlation, e.causation
    FROM base, unnest(
        <ids>::uuid[], <names>::text[], <data>::text[], <meta>::text[], <correlations>::text[],
        <causations>::uuid[]
    ) WITH ORDINALITY AS e (id, name, data, meta, correlation, causation, o)
    ORDER BY e.o"""

# A division by zero: a stream is closed or not as expected, and all is undone. Heads that exist are
# locked first, as an UPDATE has no order. One that was born after the statement began is not waited for;
# the next try finds it.
_SEVERAL: Final = """
wanted AS MATERIALIZED (
    SELECT w.* FROM unnest(<streams>::text[], <expecteds>::bigint[], <counts>::bigint[])
        WITH ORDINALITY AS w (stream, expected, n, s)
    WHERE true <after_targets>
), held AS MATERIALIZED (
    SELECT h.name FROM {stream} AS h WHERE h.name IN (SELECT w.stream FROM wanted AS w)
    ORDER BY h.name FOR NO KEY UPDATE OF h
), fresh AS (
    INSERT INTO {stream} AS h (name, version)
    SELECT w.stream, w.n - 1 FROM wanted AS w
    WHERE w.expected IN (-2, -1) AND NOT EXISTS (SELECT FROM held WHERE held.name = w.stream)
    ORDER BY w.stream COLLATE "C" ON CONFLICT (name) DO NOTHING
    RETURNING h.name, h.version
), moved AS (
    UPDATE {stream} AS h SET version = h.version + w.n, updated_at = clock_timestamp()
    FROM wanted AS w JOIN held ON held.name = w.stream
    WHERE h.name = w.stream AND h.closed_at IS NULL
        AND (w.expected IN (-2, -3) OR w.expected = h.version)
    RETURNING h.name, h.version
), head AS (
    SELECT * FROM fresh UNION ALL SELECT * FROM moved
), agreed AS MATERIALIZED (
    SELECT 1 / (
        CASE WHEN (SELECT count(*) FROM head) = cardinality(<streams>::text[]) THEN 1 ELSE 0 END
    ) AS ok, <floor>
), added AS (
    INSERT INTO {event} (id, stream, version, name, data, meta, correlation, causation)
    SELECT e.id, w.stream,
        head.version - w.n + row_number() OVER (PARTITION BY e.s ORDER BY e.o),
        e.name, e.data::json, e.meta::json, e.correlation, e.causation
    FROM agreed, unnest(
        <numbers>::int[], <ids>::uuid[], <names>::text[], <data>::text[], <meta>::text[],
        <correlations>::text[], <causations>::uuid[]
    ) WITH ORDINALITY AS e (s, id, name, data, meta, correlation, causation, o)
    JOIN wanted AS w ON w.s = e.s JOIN head ON head.name = w.stream
    WHERE agreed.ok = 1 ORDER BY e.o RETURNING id, stream, version, position
)"""

_PRIVATE: Final = """
kept AS (
    INSERT INTO {private} (position, data) SELECT a.position, p.data::json
    FROM unnest(<private_ids>::uuid[], <privates>::text[]) AS p (id, data) JOIN added AS a USING (id)
)"""

_WAKES: Final = """unnest(
    <wake_streams>::text[], <groups>::text[], <reactions>::text[], <lanes>::text[],
    <reads>::smallint[], <dues>::timestamptz[]
) AS w (stream, grp, reaction, lane, reads, due)"""

# Those for one event are new.
_WOKEN: Final = f"SELECT w.grp, w.reaction, w.stream AS key FROM {_WAKES} WHERE w.reads <> {EVENT}"

# All of them are counted, so that all are locked, before any head is.
_AFTER_TARGETS: Final = "AND (SELECT count(*) FROM targets) >= 0"
_AFTER_LEASE: Final = f"{_AFTER_TARGETS} AND EXISTS (SELECT FROM leased)"
_IF_STORED: Final = "AND EXISTS (SELECT FROM added)"

_MARKS: Final = f"""
marks AS MATERIALIZED (
    SELECT m.grp, m.reaction, m.key, m.lane, m.reads, m.stream, m.due,
        min(m.position) - 1 AS at, max(m.position) AS mark
    FROM (
        SELECT w.*, a.position,
            CASE WHEN w.reads = {EVENT} THEN a.position::text ELSE w.stream END COLLATE "C" AS key
        FROM {_WAKES} JOIN added AS a ON a.stream = w.stream
    ) AS m
    GROUP BY m.grp, m.reaction, m.key, m.lane, m.reads, m.stream, m.due
)"""
_AGREED: Final = ", agreed_marks WHERE agreed_marks.ok = 1"

_ANSWER_SINGLE: Final = """
SELECT stream, version, position FROM added<agreed>"""
_ANSWER: Final = """
SELECT stream, max(version) AS version, max(position) AS position FROM added<agreed>
GROUP BY stream"""


class AppendForm(NamedTuple):
    """What kind of append a statement is for."""

    several: bool
    """Whether it is for any number of streams, not for one."""
    opens: bool
    """Whether the one stream may begin with it."""
    single: bool
    """Whether it is one event."""
    private: bool
    """Whether events have private data."""
    wakes: bool
    """Whether targets are woken."""
    finish: FinishForm | None
    """What kind of finish is stored with it, or nothing of both; None if there is none."""

    @classmethod
    def of(cls, requests: Sequence[AppendRequest], *, finish: FinishRow | None) -> "AppendForm":
        """Return the form for requests, at least one, and what finishes with them."""
        several = len(requests) > 1
        return cls(
            several=several,
            opens=not several and requests[0].may_begin,
            single=not several and len(requests[0].events) == 1,
            private=any(event.private is not None for each in requests for event in each.events),
            wakes=any(each.wakes for each in requests),
            finish=None if finish is None else FinishForm.of([finish]),
        )

    def sql(self, tables: Tables, *, joined: bool) -> str:
        """Return the statement.

        Args:
            tables: The tables.
            joined: Whether it may be one of several in a transaction.
        """
        answer = _ANSWER_SINGLE if self.single else _ANSWER
        template = f"WITH {', '.join(self._parts())} {answer}"
        template = template.replace("<head>", _OPENED if self.opens else _MOVED)
        template = template.replace("<events>", _SINGLE if self.single else _MANY)
        template = template.replace("<count>", "1" if self.single else "cardinality(<ids>::uuid[])")
        template = template.replace("<agreed>", _AGREED if self.wakes else "")
        template = template.replace("<floor>", _SAME_FLOOR if joined else _FLOOR)
        template = template.replace("<after_targets>", self._after_targets())
        for number, name in enumerate(self._parameters(), 1):
            template = template.replace(f"<{name}>", f"${number}")
        return tables.sql(template)

    def values(self, requests: Sequence[AppendRequest], *, finish: FinishRow | None) -> list[Any]:
        """Return the parameters of the statement."""
        events = [event for each in requests for event in each.events]
        found = _single(events[0]) if self.single else _many(events)
        if self.several:
            found["streams"] = [each.stream for each in requests]
            found["expecteds"] = [each.expected for each in requests]
            found["counts"] = [len(each.events) for each in requests]
            found["numbers"] = [
                number for number, each in enumerate(requests, 1) for _ in each.events
            ]
        else:
            found["stream"] = requests[0].stream
            found["expected"] = requests[0].expected
        if self.private:
            private = [event for event in events if event.private is not None]
            found["private_ids"] = [event.id for event in private]
            found["privates"] = [event.private for event in private]
        if self.wakes:
            wakes = [(each.stream, wake) for each in requests for wake in each.wakes]
            found["wake_streams"] = [stream for stream, _ in wakes]
            found["groups"] = [wake.group for _, wake in wakes]
            found["reactions"] = [wake.reaction for _, wake in wakes]
            found["lanes"] = [wake.lane for _, wake in wakes]
            found["reads"] = [READS[wake.to] for _, wake in wakes]
            found["dues"] = [wake.due for _, wake in wakes]
        if finish is not None:
            found.update(finish_values([finish]))
        return [found[name] for name in self._parameters()]

    def _parts(self) -> list[str]:
        parts: list[str] = []
        keys = [_WOKEN] if self.wakes else []
        if self.finish is not None:
            parts.append(ASKED)
            keys.append(ASKED_KEYS)
        if keys:
            parts.append(locked(" UNION ".join(keys)))
        if self.finish is not None:
            parts.append(LEASED)
        parts.append(_SEVERAL if self.several else _ONE)
        if self.private:
            parts.append(_PRIVATE)
        if self.wakes:
            others = "" if self.finish is None else NOT_ASKED
            parts += [_MARKS, MARKED.replace("<others>", others)]
        if self.finish is not None:
            parts.append(self.finish.settled(if_stored=_IF_STORED, marks=self.wakes))
        return parts

    def _after_targets(self) -> str:
        if self.finish is not None:
            return _AFTER_LEASE
        return _AFTER_TARGETS if self.wakes else ""

    def _parameters(self) -> list[str]:
        names = ["streams", "expecteds", "counts", "numbers"]
        if not self.several:
            names = ["stream", "expected"]
        names += ["ids", "names", "data", "meta", "correlations", "causations"]
        if self.private:
            names += ["private_ids", "privates"]
        if self.wakes:
            names += ["wake_streams", "groups", "reactions", "lanes", "reads", "dues"]
        if self.finish is not None:
            names += FINISH_PARAMETERS
        return names


def _single(event: EventRow) -> dict[str, Any]:
    return {
        "ids": event.id,
        "names": event.name,
        "data": event.data,
        "meta": event.meta,
        "correlations": event.correlation,
        "causations": event.causation,
    }


def _many(events: Sequence[EventRow]) -> dict[str, Any]:
    return {
        "ids": [event.id for event in events],
        "names": [event.name for event in events],
        "data": [event.data for event in events],
        "meta": [event.meta for event in events],
        "correlations": [event.correlation for event in events],
        "causations": [event.causation for event in events],
    }


LOOK: Final = """
SELECT e.id, e.stream, e.version, e.position, e.name, e.data, false AS closed
FROM {event} AS e WHERE e.id = ANY ($1::uuid[])
UNION ALL
SELECT NULL, h.name, h.version, NULL, NULL, NULL, h.closed_at IS NOT NULL
FROM {stream} AS h WHERE h.name = ANY ($2::text[])"""
"""Asks why nothing was stored: which ids are known, and where streams are, as of one moment."""

"""Statements that hand out targets and their events."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

from typing import Final

from ._scan_sql import known
from ._target_sql import ASKED_KEYS, KINDS, LEASED, locked

_LIMITS: Final = (16, 256, 4096)
"""A generic plan for a limit that is a parameter would sort all that could be taken, so one is written into
the text. The exact one is a parameter above it, which just asks for no further row."""


def text_limit(wanted: int) -> int:
    """Return the limit for the text of a statement, of which there are few."""
    return next((each for each in _LIMITS if each >= wanted), _LIMITS[-1])


READY: Final = """
SELECT l.lane, (
    SELECT true FROM {target} AS t
    WHERE t.grp = $1 AND t.lane = l.lane AND t.blocked_at IS NULL AND NOT t.asleep AND t.at < t.mark
        AND (t.lease_until IS NULL OR t.lease_until <= clock_timestamp())
    ORDER BY t.at LIMIT 1
) AS has_work, (
    SELECT t.due FROM {target} AS t WHERE t.grp = $1 AND t.lane = l.lane AND t.asleep
    ORDER BY t.due LIMIT 1
) - clock_timestamp() AS due_after
FROM unnest($2::text[]) AS l (lane)"""
"""Asks which lanes have work, and when the next target of each is due."""

WAKE: Final = """
WITH woken AS MATERIALIZED (
    SELECT grp, reaction, key FROM {target}
    WHERE grp = $1 AND lane = $2 AND asleep AND due <= statement_timestamp()
    ORDER BY due LIMIT 1000 FOR UPDATE SKIP LOCKED
)
UPDATE {target} AS t SET asleep = false, due = NULL FROM woken AS w
WHERE t.grp = w.grp AND t.reaction = w.reaction AND t.key = w.key"""
"""Wakes what is due. `statement_timestamp()` is stable, so that an index is used."""

_FREE: Final = """grp = $1 AND lane = $2 AND reaction = ANY (ARRAY(SELECT known.name FROM known))
            AND blocked_at IS NULL AND NOT asleep AND at < mark
            AND (lease_until IS NULL OR lease_until <= clock_timestamp())
            AND NOT (SELECT due.waits FROM due)"""

# The locks are inside the limited queries, so that clients that claim at the same time take different
# targets. What is due is to be woken first, so then nothing is taken.
_CLAIM: Final = f"""
WITH {known(names="$3", definitions="$9")}, due AS MATERIALIZED (
    SELECT NOT $8::boolean AND EXISTS (
        SELECT FROM {{target}}
        WHERE grp = $1 AND lane = $2 AND asleep AND due <= statement_timestamp()
    ) AS waits
), lag AS MATERIALIZED (
    SELECT * FROM (
        SELECT grp, reaction, key, true AS lagging FROM {{target}}
        WHERE {_FREE}
        ORDER BY at LIMIT <lagging> FOR UPDATE SKIP LOCKED
    ) AS a LIMIT $6
), lead AS MATERIALIZED (
    SELECT * FROM (
        SELECT grp, reaction, key, false AS lagging FROM {{target}}
        WHERE {_FREE}
            AND (reaction, key) NOT IN (SELECT lag.reaction, lag.key FROM lag)
        ORDER BY at DESC LIMIT <leading> FOR UPDATE SKIP LOCKED
    ) AS a LIMIT $7
), claimed AS (
    UPDATE {{target}} AS t SET owner = $4::uuid, token = t.token + 1, attempt = t.attempt + 1,
        lease_until = clock_timestamp() + $5::interval
    FROM (SELECT * FROM lag UNION ALL SELECT * FROM lead) AS c
    WHERE t.grp = c.grp AND t.reaction = c.reaction AND t.key = c.key
    RETURNING t.reaction, t.key, t.reads, t.stream, t.at, t.mark, t.token, t.attempt, t.failed,
        c.lagging
)
SELECT due.waits, c.* FROM due LEFT JOIN claimed AS c ON true ORDER BY c.lagging DESC, c.at, c.key"""


def claim_sql(*, lagging: int, leading: int) -> str:
    """Return the statement that claims.

    Its parameters are group, lane, names of reactions, owner, ttl, the two numbers, whether to take
    targets although others are due, and the definitions of the reactions.
    """
    sql = _CLAIM.replace("<lagging>", str(text_limit(lagging)))
    return sql.replace("<leading>", str(text_limit(leading)))


_ASKED: Final = """
asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
        WITH ORDINALITY AS a (grp, reaction, key, token, number)
)"""

_OF_LEASES: Final = f"""
WITH {_ASKED}, {locked(ASKED_KEYS)}, {LEASED}, changed AS (
    UPDATE {{target}} AS t SET <change> FROM leased AS a
    WHERE t.grp = a.grp AND t.reaction = a.reaction AND t.key = a.key
)
SELECT number FROM leased"""

EXTEND: Final = _OF_LEASES.replace("<change>", "lease_until = clock_timestamp() + $5::interval")
"""Prolongs leases; its rows are the numbers, from 1, of those that still stand."""

RELEASE: Final = _OF_LEASES.replace(
    "<change>", "owner = NULL, lease_until = NULL, attempt = greatest(t.attempt - 1, 0)"
)
"""Gives leases back; its rows are the numbers, from 1, of those that still stood."""

STATE: Final = """
SELECT token, owner IS NOT NULL AS is_owned, at FROM {target}
WHERE grp = $1 AND reaction = $2 AND key = $3 FOR UPDATE"""
"""Asks for a target as it is once nobody writes it, such as a statement whose answer was lost."""

_EVENT: Final = "(SELECT p.data FROM {private} AS p WHERE p.position = e.position) AS private"
_TAKEN: Final = """starts_with(e.stream, f.prefix)
            AND (f.names IS NULL OR e.name = ANY (f.names))"""
_BETWEEN: Final = "e.position > f.at AND e.position <= f.mark"

_SOURCES: Final = {
    "stream": f"""{{event}} AS e
        WHERE e.stream = f.stream AND {_BETWEEN} AND {_TAKEN}""",
    "event": """{event} AS e
        WHERE e.position = f.mark""",
    "key": """{listed} AS l JOIN {event} AS e ON e.position = l.position
        WHERE l.grp = $1 AND l.reaction = f.reaction AND l.key = f.key
            AND l.position > f.at AND l.position <= f.mark""",
    "log": f"""{{event}} AS e
        WHERE {_BETWEEN} AND {_TAKEN}""",
}
_ORDERS: Final = {"key": "l.position"}

# What is stored is no longer than its text when this is subtracted. So only what may fit is decompressed.
_HEADER: Final = 4

# Most sources do not need the group, but a parameter must have a type.
_WINDOWS: Final = f"""
WITH f AS MATERIALIZED (
    SELECT a.reaction, a.key, a.stream, a.at, a.mark, a.prefix, a.number, CASE
        WHEN a.names IS NOT NULL THEN ARRAY(SELECT json_array_elements_text(a.names::json))
    END AS names
    FROM unnest(
        $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[]
    ) WITH ORDINALITY AS a (reaction, key, stream, at, mark, prefix, names, number)
)
SELECT d.position, d.stream, d.version, d.id, d.name, d.data, d.meta, d.private, d.correlation,
    d.causation, d.created_at, d.found, f.number
FROM f CROSS JOIN LATERAL (
    SELECT c.*, sum(octet_length(c.data::text)) OVER (ORDER BY c.position) AS total FROM (
        SELECT b.*, count(*) OVER () AS found, row_number() OVER (ORDER BY b.position) AS place,
            sum(greatest(pg_column_size(b.data) - {_HEADER}, 0)) OVER (ORDER BY b.position) AS least
        FROM (
            SELECT * FROM (
                SELECT e.*, {_EVENT} FROM <source>
                ORDER BY <order> LIMIT <limit>
            ) AS a LIMIT $9
        ) AS b
    ) AS c WHERE c.place = 1 OR c.least <= $10::bigint
) AS d
WHERE $1::text IS NOT NULL AND (d.place = 1 OR d.total <= $10::bigint)
ORDER BY f.number, d.position"""


def windows_sql(reads: int, *, max_events: int) -> str:
    """Return the statement that reads the next events of targets of one kind.

    Its parameters are the group, then arrays of reactions, keys, streams, watermarks, marks, prefixes and
    names as JSON, then how many events and bytes each has. Its column `found` says how many events a
    target would have without the bound of bytes.
    """
    kind = KINDS[reads].value
    sql = _WINDOWS.replace("<source>", _SOURCES[kind])
    sql = sql.replace("<order>", _ORDERS.get(kind, "e.position"))
    return sql.replace("<limit>", str(text_limit(max_events)))

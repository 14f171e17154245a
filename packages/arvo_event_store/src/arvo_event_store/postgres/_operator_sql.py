"""Statements of operators: what targets there are, and what becomes of those that stopped."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

from typing import Any, Final

from arvo_event_store._reaction_state import ParkedEvent
from arvo_event_store._target import TargetState
from arvo_event_store.stores import PAGE_EVENTS

from ._target_sql import EVENT, KEY

_TARGETS: Final = f"""
SELECT grp, reaction, key, lane, stream, reads, at, mark, attempt, failed, token, due, blocked_at,
    error, error_position, lease_until
FROM {{target}}
WHERE grp = $1 AND ($2::text IS NULL OR reaction = $2) AND (reaction, key) > ($3::text, $4::text)
    <blocked>
ORDER BY reaction, key LIMIT {PAGE_EVENTS}"""
_BLOCKED: Final = {
    None: "",
    True: "AND blocked_at IS NOT NULL",
    False: "AND blocked_at IS NULL",
}


def targets_sql(*, blocked: bool | None) -> str:
    """Return the statement that reads a page of targets: of a group, a reaction or NULL, after one."""
    return _TARGETS.replace("<blocked>", _BLOCKED[blocked])


PARKED: Final = f"""
SELECT grp, reaction, key, position, error, attempts, parked_at FROM {{parked}}
WHERE grp = $1 AND ($2::text IS NULL OR reaction = $2)
    AND (reaction, key, position) > ($3::text, $4::text, $5::bigint)
ORDER BY reaction, key, position LIMIT {PAGE_EVENTS}"""

# Each part reads the partial index of its condition, so idle targets cost nothing.
LAG: Final = """
WITH pending AS MATERIALIZED (
    SELECT t.reaction, count(*) AS n, min(t.at) AS at FROM {target} AS t
    WHERE t.grp = $1 AND t.blocked_at IS NULL AND NOT t.asleep AND t.at < t.mark
    GROUP BY t.reaction
), asleep AS MATERIALIZED (
    SELECT t.reaction, count(*) AS n, min(t.at) FILTER (WHERE t.at < t.mark) AS at
    FROM {target} AS t WHERE t.grp = $1 AND t.asleep GROUP BY t.reaction
), blocked AS MATERIALIZED (
    SELECT t.reaction, count(*) AS n, min(t.at) FILTER (WHERE t.at < t.mark) AS at
    FROM {target} AS t WHERE t.grp = $1 AND t.blocked_at IS NOT NULL GROUP BY t.reaction
), put_aside AS MATERIALIZED (
    SELECT u.reaction, count(*) AS n FROM {parked} AS u WHERE u.grp = $1 GROUP BY u.reaction
)
SELECT r.name, r.scanned, (r.definition ->> 'addressed')::boolean AS addressed,
    coalesce(p.n, 0) AS pending, coalesce(a.n, 0) AS asleep, coalesce(b.n, 0) AS blocked,
    coalesce(u.n, 0) AS parked, (
        SELECT e.created_at FROM {event} AS e WHERE e.position > least(p.at, a.at, b.at)
        ORDER BY e.position LIMIT 1
    ) AS oldest
FROM {reaction} AS r
    LEFT JOIN pending AS p ON p.reaction = r.name LEFT JOIN asleep AS a ON a.reaction = r.name
    LEFT JOIN blocked AS b ON b.reaction = r.name LEFT JOIN put_aside AS u ON u.reaction = r.name
WHERE r.grp = $1 ORDER BY r.name"""

_HELD: Final = """
held AS MATERIALIZED (
    SELECT key, reads, error_position FROM {target}
    WHERE grp = $1 AND reaction = $2 AND ($3::text IS NULL OR key = $3) AND blocked_at IS NOT NULL
    ORDER BY key FOR UPDATE
)"""

UNBLOCK: Final = f"""
WITH {_HELD}, freed AS (
    UPDATE {{target}} AS t SET blocked_at = NULL, attempt = 0, failed = 0 FROM held AS h
    WHERE t.grp = $1 AND t.reaction = $2 AND t.key = h.key
)
SELECT count(*) FROM held"""

SKIP: Final = f"""
WITH {_HELD}, freed AS (
    UPDATE {{target}} AS t SET at = greatest(t.at, h.error_position), blocked_at = NULL, attempt = 0,
        failed = 0, error = NULL, error_position = NULL
    FROM held AS h
    WHERE t.grp = $1 AND t.reaction = $2 AND t.key = h.key AND h.reads <> {EVENT}
), gone AS (
    DELETE FROM {{target}} AS t USING held AS h
    WHERE t.grp = $1 AND t.reaction = $2 AND t.key = h.key AND h.reads = {EVENT}
), unlisted AS (
    DELETE FROM {{listed}} AS l USING held AS h
    WHERE l.grp = $1 AND l.reaction = $2 AND l.key = h.key AND h.reads = {KEY}
        AND l.position <= h.error_position
)
SELECT count(*) FROM held"""

# What is after the position is scanned again, and then found once more. All have the same parameters, of
# which the first does not need the last.
RESET: Final = (
    """
SELECT key FROM {target} WHERE grp = $1 AND reaction = $2 AND $3::bigint IS NOT NULL
ORDER BY key FOR UPDATE""",
    f"""
DELETE FROM {{target}} WHERE grp = $1 AND reaction = $2 AND reads = {EVENT} AND mark > $3""",
    """
UPDATE {target} SET at = least(at, $3), mark = least(mark, $3), owner = NULL, lease_until = NULL,
    token = token + 1, attempt = 0, failed = 0, blocked_at = NULL, error = NULL,
    error_position = NULL, due = NULL, asleep = false
WHERE grp = $1 AND reaction = $2""",
    """
DELETE FROM {listed} WHERE grp = $1 AND reaction = $2 AND position > $3""",
    """
UPDATE {reaction} SET scanned = $3, token = token + 1, owner = NULL, lease_until = NULL
WHERE grp = $1 AND name = $2""",
)
"""Statements, one after the other; the reaction is locked before."""

HOLD_PARKED: Final = """
SELECT u.reaction, u.key, u.position FROM {parked} AS u
JOIN unnest($2::text[], $3::text[], $4::bigint[]) AS a (reaction, key, position)
    ON u.reaction = a.reaction AND u.key = a.key AND u.position = a.position
WHERE u.grp = $1 AND EXISTS (SELECT FROM {event} AS e WHERE e.position = u.position)
ORDER BY u.reaction, u.key, u.position FOR UPDATE OF u"""
"""Locks parked events that are still in the log."""

FREE_PARKED: Final = """
DELETE FROM {parked} AS u USING unnest($2::text[], $3::text[], $4::bigint[])
    AS a (reaction, key, position)
WHERE u.grp = $1 AND u.reaction = a.reaction AND u.key = a.key AND u.position = a.position"""

# No stream: nobody's truncate or delete waits for them.
REPLAY: Final = f"""
INSERT INTO {{target}} (grp, reaction, key, lane, reads, at, mark)
SELECT $1::text, m.reaction, m.key, m.lane, {EVENT}, m.position - 1, m.position
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) AS m (reaction, key, lane, position)
ORDER BY m.reaction COLLATE "C", m.key COLLATE "C" ON CONFLICT (grp, reaction, key) DO NOTHING"""


def target_of(row: Any) -> TargetState:
    """Return a target from its row."""
    return TargetState(
        group=row["grp"],
        reaction=row["reaction"],
        key=row["key"],
        lane=row["lane"],
        stream=row["stream"],
        once=row["reads"] == EVENT,
        at=row["at"],
        mark=row["mark"],
        attempt=row["attempt"],
        failed=row["failed"],
        token=row["token"],
        due=row["due"],
        blocked_at=row["blocked_at"],
        error=row["error"],
        error_position=row["error_position"],
        leased_until=row["lease_until"],
    )


def parked_of(row: Any) -> ParkedEvent:
    """Return a parked event from its row."""
    return ParkedEvent(
        group=row["grp"],
        reaction=row["reaction"],
        key=row["key"],
        position=row["position"],
        error=row["error"],
        attempts=row["attempts"],
        parked_at=row["parked_at"],
    )

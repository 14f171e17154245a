"""Statements that register reactions, and lease and record their scans."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

from typing import Final

from ._read_sql import HORIZON
from ._target_sql import MARKED, locked

DEFINITIONS: Final = """
SELECT name, definition FROM {reaction} WHERE grp = $1 AND name = ANY ($2::text[])"""

REGISTER: Final = """
INSERT INTO {reaction} (grp, name, definition, scanned)
SELECT $1::text, r.name, r.definition::json, r.scanned
FROM unnest($2::text[], $3::text[], $4::bigint[]) AS r (name, definition, scanned)
ORDER BY r.name COLLATE "C" ON CONFLICT (grp, name) DO NOTHING"""

HOLD: Final = """
SELECT name, definition, scanned FROM {reaction}
WHERE grp = $1 AND name = ANY ($2::text[]) ORDER BY name FOR UPDATE"""
"""Locks reactions, before their targets are."""

# A page that was read with the old definition may lack what the new one takes.
REDEFINE: Final = """
UPDATE {reaction} SET definition = $3::text::json, token = token + 1, owner = NULL, lease_until = NULL
WHERE grp = $1 AND name = $2"""

MOVE: Final = """
WITH held AS MATERIALIZED (
    SELECT key FROM {target} WHERE grp = $1 AND reaction = $2 AND lane <> $3
    ORDER BY key FOR UPDATE
)
UPDATE {target} AS t SET lane = $3 FROM held AS h
WHERE t.grp = $1 AND t.reaction = $2 AND t.key = h.key"""
"""Moves the targets of a reaction to another lane."""

# Of a reaction that was redefined meanwhile the caller would read other events than those that its targets
# are marked for. Definitions are compared as JSON; the order of names in an object is no difference.
_KNOWN: Final = """
known AS MATERIALIZED (
    SELECT r.name, (r.definition ->> 'addressed')::boolean AS addressed FROM {reaction} AS r
    JOIN unnest(<names>::text[], <definitions>::text[]) AS g (name, definition) ON r.name = g.name
    WHERE r.grp = $1 AND r.definition::jsonb = g.definition::jsonb
)"""


def known(*, names: str, definitions: str) -> str:
    """Return the part `known`: which reactions of the group $1 are registered as given.

    Args:
        names: The parameter with their names.
        definitions: The parameter with their definitions, in the same order.
    """
    return _KNOWN.replace("<names>", names).replace("<definitions>", definitions)


SCAN: Final = f"""
WITH {known(names="$2", definitions="$3")}, agreed AS MATERIALIZED (
    SELECT (SELECT count(*) FROM known) = cardinality($2::text[]) AS ok
), free AS MATERIALIZED (
    SELECT r.name FROM {{reaction}} AS r
    WHERE r.grp = $1 AND r.name IN (SELECT k.name FROM known AS k WHERE NOT k.addressed)
        AND (SELECT agreed.ok FROM agreed)
        AND (r.owner IS NULL OR r.owner = $4::uuid OR r.lease_until <= clock_timestamp())
    ORDER BY r.name FOR UPDATE OF r
), leased AS (
    UPDATE {{reaction}} AS r SET owner = $4::uuid, lease_until = clock_timestamp() + $5::interval,
        token = r.token + CASE WHEN r.owner = $4::uuid THEN 0 ELSE 1 END
    FROM free AS f WHERE r.grp = $1 AND r.name = f.name RETURNING r.name, r.scanned, r.token
)
SELECT agreed.ok, l.name, l.scanned, l.token, h.horizon
FROM agreed LEFT JOIN leased AS l ON true CROSS JOIN ({HORIZON}) AS h"""
"""Leases the scan of those that nobody else has, if all are registered as given, and asks for the horizon."""

LEAVE: Final = """
WITH held AS MATERIALIZED (
    SELECT name FROM {reaction} WHERE grp = $1 AND owner = $2::uuid ORDER BY name FOR UPDATE
)
UPDATE {reaction} AS r SET owner = NULL, lease_until = NULL FROM held AS h
WHERE r.grp = $1 AND r.name = h.name"""

# Nothing is written of events that were scanned before: the page may have been stored by a statement whose
# answer was lost, and the targets of events be done and gone.
MARK: Final = f"""
WITH fence AS MATERIALIZED (
    SELECT r.name, r.scanned FROM {{reaction}} AS r
    JOIN unnest($3::text[], $4::bigint[]) AS s (name, token) ON r.name = s.name
    WHERE r.grp = $1 AND r.token = s.token AND r.owner = $2::uuid ORDER BY r.name FOR UPDATE OF r
), agreed AS MATERIALIZED (
    SELECT (SELECT count(*) FROM fence) = cardinality($3::text[]) AS ok
), marks AS MATERIALIZED (
    SELECT $1::text AS grp, m.*, NULL::timestamptz AS due
    FROM unnest(
        $6::text[], $7::text[], $8::text[], $9::smallint[], $10::text[], $11::bigint[], $12::bigint[]
    ) AS m (reaction, key, lane, reads, stream, at, mark)
    JOIN fence AS f ON f.name = m.reaction
    WHERE (SELECT agreed.ok FROM agreed) AND m.mark > f.scanned
), {locked("SELECT m.grp, m.reaction, m.key FROM marks AS m")}, {MARKED.replace("<others>", "")},
lists AS (
    INSERT INTO {{listed}} (grp, reaction, key, position)
    SELECT $1::text, l.reaction, l.key, l.position
    FROM unnest($13::text[], $14::text[], $15::bigint[]) AS l (reaction, key, position)
    JOIN marks AS m ON m.reaction = l.reaction AND m.key = l.key
    ON CONFLICT (grp, reaction, key, position) DO NOTHING
), put_aside AS (
    INSERT INTO {{parked}} (grp, reaction, key, position, error, attempts)
    SELECT $1::text, u.reaction, '?', u.position, u.error, 0
    FROM unnest($16::text[], $17::bigint[], $18::text[]) AS u (reaction, position, error)
    JOIN fence AS f ON f.name = u.reaction
    WHERE (SELECT agreed.ok FROM agreed) AND u.position > f.scanned
    ON CONFLICT (grp, reaction, key, position) DO UPDATE
        SET error = excluded.error, attempts = 0, parked_at = excluded.parked_at
), moved AS (
    UPDATE {{reaction}} AS r SET scanned = $5::bigint FROM fence AS f
    WHERE r.grp = $1 AND r.name = f.name AND r.scanned < $5::bigint
        AND (SELECT agreed.ok FROM agreed)
)
SELECT agreed.ok, (SELECT count(*) FROM raised) + (SELECT count(*) FROM born) AS changed
FROM agreed, agreed_marks WHERE agreed_marks.ok = 1"""
"""Writes targets, lists and progress, if the leases of all these reactions stand.

A division by zero asks for another try, as in an append with wakes.
"""

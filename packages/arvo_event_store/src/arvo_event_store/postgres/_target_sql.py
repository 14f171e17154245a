"""Targets in statements: those that exist are locked first, in one order, and new ones written last.

Whatever writes targets takes locks in this order: the rows of reactions, targets that exist by group,
reaction and key, heads of streams, the floor, events, and what is new, sorted as well.
"""

from typing import Final

from arvo_event_store._target import TargetKind
from arvo_event_store.stores import READS

EVENT: Final = READS[TargetKind.EVENT]
"""How it is stored that a target is one event's."""
KEY: Final = READS[TargetKind.KEY]
"""How it is stored that a target reads a list."""
KINDS: Final = {code: kind for kind, code in READS.items()}
"""What a target reads, by how it is stored."""

_LOCKED: Final = """
targets AS MATERIALIZED (
    SELECT t.grp, t.reaction, t.key, t.token, t.owner FROM {target} AS t JOIN (<source>) AS w
        ON t.grp = w.grp AND t.reaction = w.reaction AND t.key = w.key
    ORDER BY t.grp, t.reaction, t.key FOR UPDATE OF t
)"""


def locked(source: str) -> str:
    """Return the part `targets`, which locks targets that exist.

    Args:
        source: A query for their `grp`, `reaction` and `key`, each once.
    """
    return _LOCKED.replace("<source>", source)


LEASED: Final = """
leased AS MATERIALIZED (
    SELECT a.* FROM asked AS a JOIN targets AS t
        ON t.grp = a.grp AND t.reaction = a.reaction AND t.key = a.key
    WHERE t.token = a.token AND t.owner IS NOT NULL
)"""
"""Which of the leases in the part `asked` still stand, once `targets` has locked them."""

ASKED_KEYS: Final = "SELECT a.grp, a.reaction, a.key FROM asked AS a"
"""The source of `locked` for the part `asked`."""

MARKED: Final = """
raised AS (
    UPDATE {target} AS t SET mark = m.mark
    FROM marks AS m JOIN targets AS l ON l.grp = m.grp AND l.reaction = m.reaction AND l.key = m.key
    WHERE t.grp = l.grp AND t.reaction = l.reaction AND t.key = l.key AND t.mark < m.mark <others>
    RETURNING t.key
), born AS (
    INSERT INTO {target} (grp, reaction, key, lane, reads, stream, at, mark, due, asleep)
    SELECT m.grp, m.reaction, m.key, m.lane, m.reads, m.stream, m.at, m.mark, m.due, m.due IS NOT NULL
    FROM marks AS m WHERE NOT EXISTS (
        SELECT FROM targets AS l WHERE l.grp = m.grp AND l.reaction = m.reaction AND l.key = m.key
    )
    ORDER BY m.grp COLLATE "C", m.reaction COLLATE "C", m.key COLLATE "C"
    ON CONFLICT (grp, reaction, key) DO NOTHING RETURNING key
), agreed_marks AS (
    SELECT 1 / (
        CASE WHEN (SELECT count(*) FROM born) = (
            SELECT count(*) FROM marks AS m WHERE NOT EXISTS (
                SELECT FROM targets AS l
                WHERE l.grp = m.grp AND l.reaction = m.reaction AND l.key = m.key
            )
        ) THEN 1 ELSE 0 END
    ) AS ok
)"""
"""Writes the part `marks`; its `targets` are locked.

A target that was born after the statement began is not waited for, as whoever has it may wait for our
heads: with a division by zero all is undone, and the next try finds the target.
"""

"""The statement that finishes leases, and its parts for one that appends too."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from arvo_event_store._target import TargetKind
from arvo_event_store.stores import FinishRow

from ._target_sql import ASKED_KEYS, LEASED, locked

_COLUMNS: Final = {
    "grp": "text",
    "reaction": "text",
    "key": "text",
    "token": "bigint",
    "at": "bigint",
    "gone": "boolean",
    "attempt": "integer",
    "failed": "integer",
    "ttl": "interval",
    "due_after": "interval",
    "due": "timestamptz",
    "error": "text",
    "position": "bigint",
    "blocked": "boolean",
    "parked": "boolean",
    "parked_after": "integer",
    "lists": "boolean",
}

FINISH_PARAMETERS: Final = tuple(f"finish_{name}" for name in _COLUMNS)
"""The names of the parameters of `ASKED`."""

_ARRAYS: Final = ", ".join(f"<finish_{name}>::{kind}[]" for name, kind in _COLUMNS.items())

ASKED: Final = f"""
asked AS MATERIALIZED (
    SELECT * FROM unnest({_ARRAYS})
        WITH ORDINALITY AS a ({", ".join(_COLUMNS)}, number)
)"""
"""The leases to finish."""

_SETTLED: Final = """
settled AS (
    UPDATE {target} AS t SET at = greatest(t.at, a.at), mark = <mark>,
        attempt = coalesce(a.attempt, t.attempt), failed = a.failed,
        owner = CASE WHEN a.ttl IS NOT NULL THEN t.owner END, lease_until = clock_timestamp() + a.ttl,
        due = coalesce(a.due, clock_timestamp() + a.due_after),
        asleep = a.due IS NOT NULL OR a.due_after IS NOT NULL,
        error = a.error, error_position = a.position,
        blocked_at = CASE WHEN a.blocked THEN clock_timestamp() END
    FROM leased AS a
    WHERE t.grp = a.grp AND t.reaction = a.reaction AND t.key = a.key AND NOT a.gone <if_stored>
)"""
_GONE: Final = """, gone AS (
    DELETE FROM {target} AS t USING leased AS a
    WHERE t.grp = a.grp AND t.reaction = a.reaction AND t.key = a.key AND a.gone <if_stored>
)"""
_PARKED: Final = """, put_aside AS (
    INSERT INTO {parked} (grp, reaction, key, position, error, attempts)
    SELECT a.grp, a.reaction, a.key, a.position, a.error, a.parked_after FROM leased AS a
    WHERE a.parked <if_stored>
    ON CONFLICT (grp, reaction, key, position) DO UPDATE
        SET error = excluded.error, attempts = excluded.attempts, parked_at = excluded.parked_at
)"""
_UNLISTED: Final = """, unlisted AS (
    DELETE FROM {listed} AS l USING leased AS a
    WHERE l.grp = a.grp AND l.reaction = a.reaction AND l.key = a.key AND l.position <= a.at
        AND a.lists <if_stored>
)"""

# The target may be one of those that its own outputs wake, and no statement writes a row twice.
_OWN_MARK: Final = """greatest(t.mark, (
            SELECT m.mark FROM marks AS m
            WHERE m.grp = a.grp AND m.reaction = a.reaction AND m.key = a.key
        ))"""
NOT_ASKED: Final = """AND NOT EXISTS (
        SELECT FROM asked AS a WHERE a.grp = t.grp AND a.reaction = t.reaction AND a.key = t.key
    )"""
"""Leaves out the targets that `FinishForm.settled` writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishForm:
    """What kind of finishes a statement is for."""

    gone: bool
    """Whether targets are deleted."""
    parked: bool
    """Whether events are put aside."""
    lists: bool
    """Whether targets read lists."""

    @classmethod
    def of(cls, rows: Sequence[FinishRow]) -> "FinishForm":
        """Return the form for finishes."""
        return cls(
            gone=any(row.gone for row in rows),
            parked=any(row.parked for row in rows),
            lists=any(row.lease.reads is TargetKind.KEY for row in rows),
        )

    def settled(self, *, if_stored: str = "", marks: bool = False) -> str:
        """Return the parts that write what is `leased`.

        Args:
            if_stored: A further condition.
            marks: Whether there is a part `marks` in which a target may be too.
        """
        template = _SETTLED
        template += _GONE if self.gone else ""
        template += _PARKED if self.parked else ""
        template += _UNLISTED if self.lists else ""
        template = template.replace("<mark>", _OWN_MARK if marks else "t.mark")
        return template.replace("<if_stored>", if_stored)

    def template(self) -> str:
        """Return the statement; its rows are the numbers, from 1, of what was finished."""
        parts = (ASKED, locked(ASKED_KEYS), LEASED, self.settled())
        template = f"WITH {', '.join(parts)} SELECT number FROM leased"
        for number, name in enumerate(FINISH_PARAMETERS, 1):
            template = template.replace(f"<{name}>", f"${number}")
        return template


def finish_values(rows: Sequence[FinishRow]) -> dict[str, Any]:
    """Return the parameters of `ASKED`."""
    return {
        "finish_grp": [row.lease.group for row in rows],
        "finish_reaction": [row.lease.reaction for row in rows],
        "finish_key": [row.lease.key for row in rows],
        "finish_token": [row.lease.token for row in rows],
        "finish_at": [row.at for row in rows],
        "finish_gone": [row.gone for row in rows],
        "finish_attempt": [row.attempt for row in rows],
        "finish_failed": [row.failed for row in rows],
        "finish_ttl": [row.ttl for row in rows],
        "finish_due_after": [row.due_after for row in rows],
        "finish_due": [row.due for row in rows],
        "finish_error": [row.error for row in rows],
        "finish_position": [row.position for row in rows],
        "finish_blocked": [row.blocked for row in rows],
        "finish_parked": [row.parked for row in rows],
        "finish_parked_after": [row.parked_after for row in rows],
        "finish_lists": [row.lease.reads is TargetKind.KEY for row in rows],
    }

"""What operators do with reactions and their targets."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from arvo_event_store._errors import NotSupportedError
from arvo_event_store._reaction_state import ParkedEvent, ReactionLag
from arvo_event_store._target import PER_EVENT, TargetKind
from arvo_event_store.stores import PAGE_EVENTS, from_json, missing_reaction, replay_key

from ._reads import HORIZON
from ._rows import PARKED_COLUMNS, READS_EVENT, damaged, microseconds, parked_of, time_or_none
from ._targets import NewTarget, raise_marks

_OF: Final = "grp = :group AND reaction = :reaction"
_BLOCKED: Final = f"{_OF} AND (:key IS NULL OR key = :key) AND blocked_at IS NOT NULL"
_UNBLOCK: Final = f"""
    UPDATE target INDEXED BY target_blocked SET blocked_at = NULL, attempt = 0, failed = 0
    WHERE {_BLOCKED}
"""
_SKIP_EVENT: Final = f"""
    DELETE FROM target INDEXED BY target_blocked WHERE {_BLOCKED} AND reads = {READS_EVENT}
"""
_SKIP: Final = f"""
    UPDATE target INDEXED BY target_blocked
    SET at = max(at, coalesce(error_position, at)), attempt = 0, failed = 0,
        blocked_at = NULL, error = NULL, error_position = NULL
    WHERE {_BLOCKED} RETURNING at
"""

# Each is counted in an index that has only such targets, so idle ones cost nothing.
_LAG: Final = f"""
    WITH counted (reaction, pending, asleep, blocked, lowest) AS (
        SELECT reaction, count(*), 0, 0, min(at) FROM target INDEXED BY target_work
        WHERE grp = :group AND blocked_at IS NULL AND asleep = 0 AND at < mark GROUP BY reaction
        UNION ALL
        SELECT reaction, 0, count(*), 0, min(at) FILTER (WHERE at < mark)
        FROM target INDEXED BY target_asleep
        WHERE grp = :group AND asleep = 1 GROUP BY reaction
        UNION ALL
        SELECT reaction, 0, 0, count(*), min(at) FILTER (WHERE at < mark)
        FROM target INDEXED BY target_blocked
        WHERE grp = :group AND blocked_at IS NOT NULL GROUP BY reaction
    ),
    summed (reaction, pending, asleep, blocked, lowest) AS (
        SELECT reaction, sum(pending), sum(asleep), sum(blocked), min(lowest)
        FROM counted GROUP BY reaction
    )
    SELECT name, definition, scanned, coalesce(({HORIZON}), 0),
        coalesce(pending, 0), coalesce(asleep, 0), coalesce(blocked, 0),
        (SELECT count(*) FROM parked WHERE parked.grp = :group AND parked.reaction = name),
        (
            SELECT created_at FROM event NOT INDEXED
            WHERE position > lowest ORDER BY position LIMIT 1
        )
    FROM reaction LEFT JOIN summed ON summed.reaction = name
    WHERE grp = :group ORDER BY name
"""


def lag(connection: sqlite3.Connection, group: str) -> list[ReactionLag]:
    """Return how far each reaction is behind.

    Raises:
        StoreFailure: A row is damaged.
    """
    found: list[ReactionLag] = []
    for row in connection.execute(_LAG, {"group": group}).fetchall():
        name, definition, scanned, horizon, pending, asleep, blocked, parked, oldest = row
        _, _, addressed = _definition(definition, name=name)
        found.append(
            ReactionLag(
                reaction=name,
                scanned=scanned,
                unscanned=0 if addressed else max(horizon - scanned, 0),
                pending=pending,
                asleep=asleep,
                blocked=blocked,
                parked=parked,
                oldest=time_or_none(oldest),
            )
        )
    return found


def unblock(connection: sqlite3.Connection, group: str, *, reaction: str, key: str | None) -> int:
    """Let blocked targets try again, and return how many were blocked."""
    values = {"group": group, "reaction": reaction, "key": key}
    changed = connection.execute(_UNBLOCK, values).rowcount
    if changed:
        _set_going(connection, group, reaction)
    return changed


def skip(connection: sqlite3.Connection, group: str, *, reaction: str, key: str) -> bool:
    """Let a blocked target go on after the event it is blocked at, and return whether it was blocked."""
    values = {"group": group, "reaction": reaction, "key": key}
    gone = connection.execute(_SKIP_EVENT, values).rowcount
    moved = connection.execute(_SKIP, values).fetchone()
    if moved is not None:
        connection.execute(
            f"DELETE FROM listed WHERE {_OF} AND key = :key AND position <= :at",
            {**values, "at": moved[0]},
        )
    if not gone and moved is None:
        return False
    _set_going(connection, group, reaction)
    return True


def reset(connection: sqlite3.Connection, group: str, *, reaction: str, after: int) -> None:
    """Scan again for a reaction, from a position on.

    Raises:
        NotSupportedError: The reaction is addressed.
        ReactionChangedError: There is no such reaction.
        StoreFailure: Its definition is damaged.
    """
    row = _found(connection, group, reaction)
    if row is None:
        raise missing_reaction(reaction, group=group)
    _, _, addressed = row
    if addressed:
        raise NotSupportedError(
            f"reaction {reaction!r} of group {group!r} is addressed, so no scan would find its events "
            "again; append them again with wakes"
        )
    values = {"group": group, "reaction": reaction, "after": after}
    connection.execute(
        """
        UPDATE reaction SET scanned = :after, owner = NULL, lease_until = NULL, token = token + 1
        WHERE grp = :group AND name = :reaction
        """,
        values,
    )
    connection.execute(f"DELETE FROM listed WHERE {_OF} AND position > :after", values)
    # The scan makes these again.
    connection.execute(
        f"DELETE FROM target WHERE {_OF} AND reads = {READS_EVENT} AND mark > :after", values
    )
    connection.execute(
        f"""
        UPDATE target SET at = min(at, :after), mark = min(mark, :after), token = token + 1,
            owner = NULL, lease_until = NULL, attempt = 0, failed = 0, due = NULL, asleep = 0,
            blocked_at = NULL, error = NULL, error_position = NULL
        WHERE {_OF}
        """,
        values,
    )
    _set_going(connection, group, reaction)


def page_of_parked(
    connection: sqlite3.Connection,
    *,
    group: str,
    reaction: str | None,
    after: tuple[str, str, int],
) -> list[ParkedEvent]:
    """Return parked events beyond a reaction, key and position, a page of them, in this order.

    Raises:
        StoreFailure: A row is damaged.
    """
    beyond = (
        "(reaction, key, position) > (:after, :key, :position)"
        if reaction is None
        else "reaction = :reaction AND (key, position) > (:key, :position)"
    )
    rows = connection.execute(
        f"SELECT {PARKED_COLUMNS} FROM parked WHERE grp = :group AND {beyond} "
        "ORDER BY reaction, key, position LIMIT :limit",
        {
            "group": group,
            "reaction": reaction,
            "after": after[0],
            "key": after[1],
            "position": after[2],
            "limit": PAGE_EVENTS,
        },
    )
    return [parked_of(row) for row in rows.fetchall()]


def replay(
    connection: sqlite3.Connection, group: str, parked: Sequence[ParkedEvent], *, now: datetime
) -> int:
    """Hand out parked events once more, and return how many were parked and are still there.

    Raises:
        StoreFailure: The definition of a reaction is damaged.
    """
    at, count = microseconds(now), 0
    for event in parked:
        found = _found(connection, group, event.reaction)
        if found is None or not _take_parked(connection, group, event):
            continue
        lane, reads, _ = found
        target = NewTarget(
            group=group,
            reaction=event.reaction,
            key=replay_key(reads=reads, key=event.key, position=event.position),
            lane=lane,
            reads=PER_EVENT,
            # Nobody's stream waits for it.
            stream=None,
            at=event.position - 1,
            mark=event.position,
        )
        raise_marks(connection, [target], at=at)
        _set_going(connection, group, event.reaction)
        count += 1
    return count


def _take_parked(connection: sqlite3.Connection, group: str, event: ParkedEvent) -> bool:
    """Delete an event from those that were put aside; return whether it was there, and is stored."""
    taken = connection.execute(
        """
        DELETE FROM parked WHERE grp = ? AND reaction = ? AND key = ? AND position = ?
            AND EXISTS (SELECT 1 FROM event WHERE event.position = parked.position)
        """,
        (group, event.reaction, event.key, event.position),
    )
    return taken.rowcount > 0


def _found(
    connection: sqlite3.Connection, group: str, reaction: str
) -> tuple[str, TargetKind, bool] | None:
    row = connection.execute(
        "SELECT definition FROM reaction WHERE grp = ? AND name = ?", (group, reaction)
    ).fetchone()
    return None if row is None else _definition(row[0], name=reaction)


def _definition(stored: str, *, name: str) -> tuple[str, TargetKind, bool]:
    """Return the lane, what the targets are, and whether they are addressed."""
    try:
        definition = from_json(stored)
        return definition["lane"], TargetKind(definition["to"]), definition["addressed"]
    except (ValueError, TypeError, KeyError) as error:
        raise damaged(f"the definition of reaction {name!r}") from error


def _set_going(connection: sqlite3.Connection, group: str, reaction: str) -> None:
    connection.execute(
        "UPDATE reaction SET set_going = set_going + 1 WHERE grp = ? AND name = ?",
        (group, reaction),
    )

"""The targets of reactions."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

import sqlite3
from collections.abc import Sequence
from typing import Final

from arvo_event_store._target import TargetState
from arvo_event_store.stores import MAX_POSITION, PAGE_EVENTS, PENDING_TARGETS, TargetMark

from ._rows import TARGET_COLUMNS, microseconds, target_of

# One that exists keeps all but its mark. The first token is above those of one that is gone.
_RAISE: Final = """
    INSERT INTO target (grp, reaction, key, lane, reads, stream, once, at, mark, token, due, asleep)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (grp, reaction, key) DO UPDATE SET mark = excluded.mark WHERE mark < excluded.mark
"""
_READS_STREAM: Final = 0
_READS_EVENT: Final = 1

# Which keys targets of a stream, or of its events below a version, may have, in which reactions. An
# index on their stream would be written with each mark; a scan would look at those of all streams.
_NAMED: Final = """
    WITH RECURSIVE team (grp) AS (
        SELECT min(grp) FROM target
        UNION ALL
        SELECT (SELECT min(grp) FROM target WHERE grp > team.grp) FROM team WHERE grp IS NOT NULL
    ),
    consumer (grp, reaction) AS (
        SELECT grp, (SELECT min(reaction) FROM target WHERE grp = team.grp)
        FROM team WHERE grp IS NOT NULL
        UNION ALL
        SELECT grp, (SELECT min(reaction) FROM target
            WHERE grp = consumer.grp AND reaction > consumer.reaction)
        FROM consumer WHERE reaction IS NOT NULL
    ),
    named (grp, reaction, key) AS (
        SELECT grp, reaction, key FROM consumer CROSS JOIN (
            SELECT :stream AS key
            UNION SELECT CAST(position AS TEXT) FROM event
            WHERE stream = :stream AND version < :before
        )
    )
"""
_PENDING: Final = """
    FROM named CROSS JOIN target USING (grp, reaction, key)
    WHERE target.stream = :stream AND at < mark
"""


def raise_marks(connection: sqlite3.Connection, marks: Sequence[TargetMark], *, at: int) -> None:
    """Insert targets, or raise their marks.

    Args:
        connection: One in a transaction.
        marks: The targets.
        at: The time.
    """
    connection.executemany(_RAISE, [_columns(mark, at=at) for mark in marks])


def page_of_targets(
    connection: sqlite3.Connection,
    *,
    group: str,
    reaction: str | None,
    after: tuple[str, str],
) -> list[TargetState]:
    """Return targets of a group beyond a reaction and key, a page of them, in this order.

    Raises:
        StoreFailure: A row is damaged.
    """
    beyond = (
        "(reaction, key) > (:after, :key)"
        if reaction is None
        else "reaction = :reaction AND key > :key"
    )
    rows = connection.execute(
        f"SELECT {TARGET_COLUMNS} FROM target WHERE grp = :group AND {beyond} "
        "ORDER BY reaction, key LIMIT :limit",
        {
            "group": group,
            "reaction": reaction,
            "after": after[0],
            "key": after[1],
            "limit": PAGE_EVENTS,
        },
    )
    return [target_of(row) for row in rows.fetchall()]


def pending_targets(connection: sqlite3.Connection, stream: str) -> list[tuple[str, str, str]]:
    """Return the group, reaction and key of the first targets that have work in a stream."""
    return connection.execute(
        f"{_NAMED} SELECT grp, reaction, key {_PENDING} ORDER BY grp, reaction, key LIMIT :limit",
        {"stream": stream, "before": MAX_POSITION, "limit": PENDING_TARGETS},
    ).fetchall()


def lowest_watermark(connection: sqlite3.Connection, stream: str, *, before: int) -> int | None:
    """Return the lowest watermark of the targets that have work in a stream below a version.

    Returns:
        The watermark; None if no target has work there. It may be that of a target whose work begins
        later.
    """
    row = connection.execute(
        f"{_NAMED} SELECT min(at) {_PENDING}", {"stream": stream, "before": before}
    ).fetchone()
    lowest: int | None = row[0]
    return lowest


def delete_targets(connection: sqlite3.Connection, stream: str) -> None:
    """Delete the targets that read a stream; its events must still be there."""
    connection.execute(
        f"{_NAMED} DELETE FROM target WHERE stream = :stream "
        "AND (grp, reaction, key) IN (SELECT grp, reaction, key FROM named)",
        {"stream": stream, "before": MAX_POSITION},
    )


def _columns(mark: TargetMark, *, at: int) -> tuple[object, ...]:
    return (
        mark.group,
        mark.reaction,
        mark.key,
        mark.lane,
        _READS_EVENT if mark.once else _READS_STREAM,
        mark.stream,
        mark.once,
        mark.at,
        mark.mark,
        at,
        None if mark.due is None else microseconds(mark.due),
        mark.due is not None,
    )

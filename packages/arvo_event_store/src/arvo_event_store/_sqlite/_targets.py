"""The targets of reactions."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple, Self

from arvo_event_store._target import PER_EVENT, PER_STREAM, TargetKind, TargetState
from arvo_event_store.stores import (
    MAX_POSITION,
    PAGE_EVENTS,
    PENDING_TARGETS,
    READS,
    Mark,
    TargetMark,
)

from ._rows import TARGET_COLUMNS, microseconds, target_of

# One that exists keeps all but its mark. The first token is above those of one that is gone.
_RAISE: Final = """
    INSERT INTO target (grp, reaction, key, lane, reads, stream, at, mark, token, due, asleep)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (grp, reaction, key) DO UPDATE SET mark = excluded.mark WHERE mark < excluded.mark
"""
# Where they are, and which; few are blocked.
_BLOCKED: Final = {
    None: ("target", ""),
    True: ("target INDEXED BY target_blocked", "AND blocked_at IS NOT NULL"),
    False: ("target", "AND blocked_at IS NULL"),
}

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


class NewTarget(NamedTuple):
    """A target to insert, or to raise the mark of. One that exists keeps all but its mark."""

    group: str
    """The group of its reaction."""
    reaction: str
    """Its reaction."""
    key: str
    """Which of its targets."""
    lane: str
    """Its lane."""
    reads: TargetKind
    """What it reads."""
    stream: str | None
    """The stream it reads; None if it reads several, or nobody's stream waits for it."""
    at: int
    """Its watermark."""
    mark: int
    """The highest position that concerns it."""
    due: datetime | None = None
    """Until when it sleeps; None if it does not."""

    @classmethod
    def woken(cls, mark: TargetMark) -> Self:
        """Return the target that an append wakes."""
        return cls(
            mark.group,
            mark.reaction,
            mark.key,
            mark.lane,
            PER_EVENT if mark.once else PER_STREAM,
            mark.stream,
            mark.at,
            mark.mark,
            mark.due,
        )

    @classmethod
    def scanned(cls, mark: Mark, *, group: str) -> Self:
        """Return the target that a scan marks."""
        return cls(
            group,
            mark.reaction,
            mark.key,
            mark.lane,
            mark.reads,
            mark.stream,
            mark.at,
            mark.mark,
        )


def raise_marks(connection: sqlite3.Connection, targets: Iterable[NewTarget], *, at: int) -> int:
    """Insert targets, or raise their marks.

    Args:
        connection: One in a transaction.
        targets: The targets.
        at: The time.

    Returns:
        How many have work now that they did not have.
    """
    return connection.executemany(_RAISE, [_columns(each, at=at) for each in targets]).rowcount


def page_of_targets(
    connection: sqlite3.Connection,
    *,
    group: str,
    reaction: str | None,
    blocked: bool | None,
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
    source, condition = _BLOCKED[blocked]
    rows = connection.execute(
        f"SELECT {TARGET_COLUMNS} FROM {source} WHERE grp = :group AND {beyond} {condition} "
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


def _columns(target: NewTarget, *, at: int) -> tuple[object, ...]:
    due = target.due
    return (
        target.group,
        target.reaction,
        target.key,
        target.lane,
        READS[target.reads],
        target.stream,
        target.at,
        target.mark,
        at,
        None if due is None else microseconds(due),
        due is not None,
    )

"""The leases of targets."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from arvo_event_store._lease import Lease
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._scan_page import Ready
from arvo_event_store.stores import MAX_POSITION

from ._reactions import agreed_reactions
from ._rows import delay_until, json_list, later, microseconds

# The indexes are named: the planner would walk through all targets of the group, also idle ones.
_FREE: Final = """
    FROM target INDEXED BY target_work
    WHERE grp = :group AND lane = {lane} AND blocked_at IS NULL AND asleep = 0 AND at < mark
        AND (lease_until IS NULL OR lease_until <= :now)
"""
_READY: Final = f"""
    SELECT asked.value,
        EXISTS (SELECT 1 {_FREE.format(lane="asked.value")}),
        (
            SELECT min(due) FROM target INDEXED BY target_asleep
            WHERE grp = :group AND lane = asked.value AND asleep = 1
        )
    FROM json_each(:lanes) AS asked
"""
_WAKE: Final = """
    UPDATE target INDEXED BY target_asleep SET asleep = 0, due = NULL
    WHERE grp = :group AND lane = :lane AND asleep = 1 AND due <= :now
"""
_NEXT: Final = f"""
    SELECT reaction, key, reads, stream, at, mark, token + 1, attempt + 1, failed, :lagging
    {_FREE.format(lane=":lane")} AND reaction IN (SELECT value FROM json_each(:reactions))
    ORDER BY at {{direction}} LIMIT :limit
"""
_LAGGING: Final = _NEXT.format(direction="ASC")
_LEADING: Final = _NEXT.format(direction="DESC")
_TAKE: Final = """
    UPDATE target SET owner = ?, lease_until = ?, token = token + 1, attempt = attempt + 1
    WHERE grp = ? AND reaction = ? AND key = ?
"""
FENCE: Final = """
    grp = :group AND reaction = :reaction AND key = :key AND token = :token AND owner IS NOT NULL
"""
"""The condition for the target of a lease that still stands, with `fenced` as its parameters."""
_EXTEND: Final = f"UPDATE target SET lease_until = :until WHERE {FENCE}"
_RELEASE: Final = f"""
    UPDATE target SET owner = NULL, lease_until = NULL, attempt = max(attempt - 1, 0) WHERE {FENCE}
"""


class Claimed(NamedTuple):
    """A target that was claimed, as in `Lease`."""

    reaction: str
    """Its reaction."""
    key: str
    """Its key."""
    reads: int
    """What it reads, as it is stored."""
    stream: str | None
    """The stream it reads."""
    at: int
    """Its watermark."""
    mark: int
    """The highest position that concerns it."""
    token: int
    """The number of the lease."""
    attempt: int
    """How often it was claimed."""
    failed: int
    """How many tries failed."""
    lagging: int
    """Whether it was claimed from the lagging end."""


def ready(
    connection: sqlite3.Connection, group: str, lanes: Collection[str], *, now: datetime
) -> Ready:
    """Return which lanes have work."""
    at = microseconds(now)
    rows = connection.execute(
        _READY, {"group": group, "lanes": json_list([*lanes]), "now": at}
    ).fetchall()
    dues = [due for _, _, due in rows if due is not None]
    return Ready(
        lanes=frozenset(
            lane for lane, has_work, due in rows if has_work or (due is not None and due <= at)
        ),
        due_after=delay_until(min(dues), now=now) if dues else None,
    )


def claim(
    connection: sqlite3.Connection,
    group: str,
    *,
    owner: UUID,
    ttl: timedelta,
    reactions: Sequence[ReactionSpec],
    lane: str,
    lagging: int,
    leading: int,
    now: datetime,
) -> list[Claimed]:
    """Wake the targets of a lane that are due, and take the leases of some that have work.

    Args:
        connection: One in a transaction.
        group: See `IReactionStore.claim`, as the others.
        owner: Who asks.
        ttl: For how long.
        reactions: The reactions that the caller has.
        lane: The lane.
        lagging: How many of those with the lowest watermarks.
        leading: How many more of those with the highest.
        now: The time.
    """
    values = {
        "group": group,
        "lane": lane,
        "now": microseconds(now),
        "reactions": json_list(agreed_reactions(connection, group, reactions)),
    }
    connection.execute(_WAKE, values)
    claimed: list[Claimed] = []
    for statement, limit, is_lagging in ((_LAGGING, lagging, True), (_LEADING, leading, False)):
        rows = connection.execute(
            statement, {**values, "limit": min(limit, MAX_POSITION), "lagging": is_lagging}
        ).fetchall()
        found = [Claimed(*row) for row in rows]
        # Before the other end is looked at, which must not find them too.
        connection.executemany(
            _TAKE,
            [(owner.bytes, later(now, ttl), group, each.reaction, each.key) for each in found],
        )
        claimed += found
    return claimed


def extend(
    connection: sqlite3.Connection, leases: Sequence[Lease], *, ttl: timedelta, now: datetime
) -> list[Lease]:
    """Prolong leases, and return those that still stand."""
    until = later(now, ttl)
    return [
        lease
        for lease in leases
        if connection.execute(_EXTEND, {**fenced(lease), "until": until}).rowcount
    ]


def release(connection: sqlite3.Connection, leases: Sequence[Lease]) -> None:
    """Give leases back that were not used."""
    connection.executemany(_RELEASE, [fenced(lease) for lease in leases])


def fenced(lease: Lease) -> dict[str, object]:
    """Return the parameters of `FENCE`."""
    return {
        "group": lease.group,
        "reaction": lease.reaction,
        "key": lease.key,
        "token": lease.token,
    }

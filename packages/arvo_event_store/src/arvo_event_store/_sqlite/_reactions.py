"""Registered reactions, and the leases of scanning them. Every refusal comes before anything changes."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._scan_page import Mark, ScanPage, UnroutedEvent
from arvo_event_store._target import TargetKind
from arvo_event_store.stores import changed_reaction, error_text, reaction_definition

from . import _reads
from ._rows import json_list, later, microseconds
from ._targets import NewTarget, raise_marks

_INSERT: Final = "INSERT INTO reaction (grp, name, definition, scanned) VALUES (?, ?, ?, ?)"
# A page that was read with the old definition may lack what the new one takes, so its lease ends.
_REDEFINE: Final = """
    UPDATE reaction SET definition = ?, owner = NULL, lease_until = NULL, token = token + 1
    WHERE grp = ? AND name = ?
"""
_REGISTERED: Final = """
    SELECT name, definition, scanned, token, owner, lease_until FROM reaction
    WHERE grp = ? AND name IN (SELECT value FROM json_each(?))
"""
_LEASE: Final = """
    UPDATE reaction SET owner = ?, lease_until = ?, token = ? WHERE grp = ? AND name = ?
"""
_PROGRESS: Final = """
    UPDATE reaction SET scanned = max(scanned, ?), set_going = set_going + ?
    WHERE grp = ? AND name = ?
"""
_PARK: Final = """
    INSERT INTO parked (grp, reaction, key, position, error, attempts, parked_at)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (grp, reaction, key, position) DO UPDATE
    SET error = excluded.error, attempts = excluded.attempts, parked_at = excluded.parked_at
"""


class Scan(NamedTuple):
    """The lease of scanning a reaction."""

    scanned: int
    """Up to where it was scanned."""
    token: int
    """The number of the lease."""


class _Registered(NamedTuple):
    name: str
    definition: str
    scanned: int
    token: int
    owner: bytes | None
    lease_until: int | None


def register(
    connection: sqlite3.Connection,
    group: str,
    reactions: Sequence[ReactionSpec],
    *,
    redefine: bool,
) -> None:
    """Make reactions known.

    Raises:
        ReactionChangedError: One is known with another definition.
        StoreFailure: A stored definition is damaged.
    """
    known = _registered(connection, group, reactions)
    _check(group, [each for each in reactions if each.name in known], known, redefine=redefine)
    horizon = _reads.horizon(connection)
    for each in reactions:
        definition = reaction_definition(each)
        before = known.get(each.name)
        if before is None:
            start = _start(each, horizon=horizon)
            connection.execute(_INSERT, (group, each.name, definition, start))
        elif redefine and before.definition != definition:
            connection.execute(_REDEFINE, (definition, group, each.name))
            connection.execute(
                "UPDATE target SET lane = ? WHERE grp = ? AND reaction = ?",
                (each.lane, group, each.name),
            )


def agreed_reactions(
    connection: sqlite3.Connection, group: str, reactions: Sequence[ReactionSpec]
) -> list[str]:
    """Return the names of those reactions that are registered as a caller has them.

    Raises:
        StoreFailure: A stored definition is damaged.
    """
    known = _registered(connection, group, reactions)
    return [
        each.name
        for each in reactions
        if each.name in known
        and changed_reaction(each, group=group, stored=known[each.name].definition) is None
    ]


def lease_scan(
    connection: sqlite3.Connection,
    group: str,
    reactions: Sequence[ReactionSpec],
    *,
    owner: UUID,
    ttl: timedelta,
    now: datetime,
) -> dict[str, Scan]:
    """Take the leases of scanning that nobody else has, or prolong them.

    Returns:
        The reactions that are leased.

    Raises:
        ReactionChangedError: A reaction is registered otherwise, or not at all.
        StoreFailure: A stored definition is damaged.
    """
    known = _registered(connection, group, reactions)
    _check(group, reactions, known, redefine=False)
    at, until = microseconds(now), later(now, ttl)
    leased: dict[str, Scan] = {}
    for each in reactions:
        found = known[each.name]
        is_mine = found.owner == owner.bytes
        is_free = found.owner is None or found.lease_until is None or found.lease_until <= at
        if each.addressed or not (is_mine or is_free):
            continue
        token = found.token if is_mine else found.token + 1
        connection.execute(_LEASE, (owner.bytes, until, token, group, each.name))
        leased[each.name] = Scan(found.scanned, token)
    return leased


def mark(
    connection: sqlite3.Connection,
    page: ScanPage,
    marks: Sequence[Mark],
    *,
    unrouted: Sequence[UnroutedEvent],
    progress: frozenset[str],
    now: datetime,
) -> int | None:
    """Store what a page concerns.

    Returns:
        How many targets have work now that they did not have; None if the lease is lost, so that
        nothing is changed.
    """
    group = page.group
    scanned = _leased(connection, page)
    if not progress <= scanned.keys():
        return None
    at = microseconds(now)
    # A page may be stored twice. What was scanned before may be done and gone, and stays so.
    marks = [each for each in marks if each.mark > scanned[each.reaction]]
    raised = raise_marks(
        connection, (NewTarget.scanned(each, group=group) for each in marks), at=at
    )
    connection.executemany(
        "INSERT INTO listed (grp, reaction, key, position) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [
            (group, each.reaction, each.key, position)
            for each in marks
            if each.reads is TargetKind.KEY
            for position in each.positions
            if position > scanned[each.reaction]
        ],
    )
    for event in unrouted:
        if event.position > scanned[event.reaction]:
            place = (group, event.reaction, "?", event.position)
            park(connection, place, error=event.error, attempts=0, at=at)
    connection.executemany(
        _PROGRESS, [(page.upto, bool(raised), group, name) for name in sorted(progress)]
    )
    return raised


def leave(connection: sqlite3.Connection, group: str, *, owner: UUID) -> None:
    """End the leases of a scanner."""
    connection.execute(
        "UPDATE reaction SET owner = NULL, lease_until = NULL WHERE grp = ? AND owner = ?",
        (group, owner.bytes),
    )


def park(
    connection: sqlite3.Connection,
    place: tuple[str, str, str, int],
    *,
    error: str,
    attempts: int,
    at: int,
) -> None:
    """Put an event aside.

    Args:
        connection: One in a transaction.
        place: The group, the reaction, the key and the position.
        error: What the last try failed with.
        attempts: How many tries failed.
        at: The time.
    """
    connection.execute(_PARK, (*place, error_text(error), attempts, at))


def _registered(
    connection: sqlite3.Connection, group: str, reactions: Sequence[ReactionSpec]
) -> dict[str, _Registered]:
    names = json_list([each.name for each in reactions])
    rows = connection.execute(_REGISTERED, (group, names)).fetchall()
    return {row[0]: _Registered(*row) for row in rows}


def _check(
    group: str,
    reactions: Sequence[ReactionSpec],
    known: dict[str, _Registered],
    *,
    redefine: bool,
) -> None:
    for each in reactions:
        found = known.get(each.name)
        stored = None if found is None else found.definition
        error = changed_reaction(each, group=group, stored=stored, redefine=redefine)
        if error is not None:
            raise error


def _start(reaction: ReactionSpec, *, horizon: int) -> int:
    if isinstance(reaction.start, int):
        return reaction.start
    return horizon if reaction.start == "now" else 0


def _leased(connection: sqlite3.Connection, page: ScanPage) -> dict[str, int]:
    """Return up to where those reactions of a page are scanned whose leases still stand."""
    found = connection.execute(
        "SELECT name, scanned, token FROM reaction WHERE grp = ? AND owner IS NOT NULL",
        (page.group,),
    )
    return {
        name: scanned for name, scanned, token in found.fetchall() if page.tokens.get(name) == token
    }

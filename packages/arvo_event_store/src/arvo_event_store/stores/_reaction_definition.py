"""What a reaction is registered as, and whether it changed."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from arvo_event_store._errors import ReactionChangedError, StoreFailure
from arvo_event_store._json import from_json
from arvo_event_store._names import check_name, check_prefix
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._target import TargetKind
from arvo_time.settings import check_count, check_duration, check_flag, check_instance

from ._read_range import MAX_POSITION

MIN_LEASE: Final = timedelta(milliseconds=100)
"""The shortest lease of a target or a scan."""
MAX_LEASE: Final = timedelta(days=1)
"""The longest one."""
_FIXED: Final = ("to", "addressed")


def check_reactions(reactions: Sequence[ReactionSpec], *, group: str) -> tuple[ReactionSpec, ...]:
    """Return reactions that a call was given.

    Args:
        reactions: The reactions.
        group: Their group.

    Raises:
        TypeError: One is not a `ReactionSpec`, or a field is of another type.
        ValueError: Two have the same name, one takes no event, or begins below 0.
        InvalidEventError: A name breaks the rules for names.
    """
    check_name(group, path="group")
    for each in reactions:
        check_instance(each, kind=ReactionSpec, name="reactions")
        _check_reaction(each)
    names = [each.name for each in reactions]
    if len({*names}) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two reactions of group {group!r} have the name {double!r}")
    return tuple(reactions)


def check_lease(ttl: timedelta) -> timedelta:
    """Return for how long a lease is.

    Raises:
        TypeError: It is not a timedelta.
        ValueError: It is below 100 ms, or above a day.
    """
    check_duration(ttl, name="ttl")
    if not MIN_LEASE <= ttl <= MAX_LEASE:
        raise ValueError(f"ttl must be from {MIN_LEASE} to {MAX_LEASE}, got {ttl}")
    return ttl


def reaction_definition(reaction: ReactionSpec) -> str:
    """Return what is stored of a reaction and must not change, as JSON text."""
    return json.dumps(_members(reaction), ensure_ascii=False)


def changed_reaction(
    reaction: ReactionSpec, *, group: str, stored: str | None, redefine: bool = False
) -> ReactionChangedError | None:
    """Return what is wrong with the definition of a reaction.

    Args:
        reaction: The reaction, as a program has it.
        group: Its group.
        stored: Its definition, as it is registered; None if it is not.
        redefine: Whether another definition may take its place.

    Returns:
        The error to raise; None if they agree, or `redefine` allows the difference.

    Raises:
        StoreFailure: The stored definition is damaged.
    """
    if stored is None:
        return missing_reaction(reaction.name, group=group)
    where = f"reaction {reaction.name!r} of group {group!r}"
    before = _stored_members(stored, where=where)
    now = _members(reaction)
    changed = [name for name in now if now[name] != before.get(name)]
    fixed = [name for name in changed if name in _FIXED]
    if not changed or (redefine and not fixed):
        return None
    differences = ", ".join(
        f"{name} was {before.get(name)!r}, is {now[name]!r}" for name in changed
    )
    remedy = "give it a new name"
    if not fixed:
        remedy += ", or register it with redefine=True, which stops workers with the old definition"
    return ReactionChangedError(
        f"{where} is registered with another definition: {differences}; {remedy}"
    )


def missing_reaction(reaction: str, *, group: str) -> ReactionChangedError:
    """Return the error for a reaction that must be registered and is not."""
    return ReactionChangedError(
        f"reaction {reaction!r} of group {group!r} is not registered; register it first"
    )


def _stored_members(stored: str, *, where: str) -> dict[str, Any]:
    failure = StoreFailure(
        f"the definition of {where} is damaged", retryable=False, outcome="failed"
    )
    try:
        members = from_json(stored)
    except ValueError as error:
        raise failure from error
    if not isinstance(members, dict):
        raise failure
    return members


def _members(reaction: ReactionSpec) -> dict[str, Any]:
    events = None if reaction.events is None else sorted(reaction.events)
    return {
        "events": events,
        "to": reaction.to.value,
        "lane": reaction.lane,
        "stream_prefix": reaction.stream_prefix,
        "addressed": reaction.addressed,
    }


def _check_reaction(reaction: ReactionSpec) -> None:
    check_name(reaction.name, path="reaction")
    where = f"reaction {reaction.name!r}"
    if reaction.events is not None:
        check_instance(reaction.events, kind=tuple, name=f"{where}: events")
        if not reaction.events:
            raise ValueError(f"{where}: events must not be empty")
        for event in reaction.events:
            check_name(event, path=f"{where}: events")
    check_instance(reaction.to, kind=TargetKind, name=f"{where}: to")
    check_name(reaction.lane, path=f"{where}: lane")
    check_prefix(reaction.stream_prefix, path=f"{where}: stream_prefix")
    check_flag(reaction.addressed, name=f"{where}: addressed")
    if reaction.start not in ("beginning", "now"):
        check_count(reaction.start, name=f"{where}: start", most=MAX_POSITION)
    if reaction.addressed and reaction.to not in (TargetKind.STREAM, TargetKind.EVENT):
        raise ValueError(f"{where}: an addressed reaction has streams or events as targets")

"""Arguments of calls about reactions, which every store checks alike, at the call."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from arvo_event_store._lease import Lease
from arvo_event_store._names import check_name
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._scan_page import Mark, ScanPage, UnroutedEvent
from arvo_event_store._target import TargetKind
from arvo_time.settings import check_count, check_flag, check_instance

from ._reaction_definition import check_lease, check_reactions
from ._read_range import MAX_POSITION
from ._replay_key import check_target_key


def check_scan(
    group: str,
    *,
    owner: UUID,
    ttl: timedelta,
    reactions: Sequence[ReactionSpec],
    limit: int,
    leading: bool,
) -> tuple[ReactionSpec, ...]:
    """Check the arguments of `IReactionStore.scan`, and return the reactions.

    Args:
        group: See `IReactionStore.scan`, as the others.
        owner: Who asks.
        ttl: For how long the lease is.
        reactions: The reactions.
        limit: How many events a page has at most.
        leading: Which of them the page is for.

    Raises:
        TypeError: One is of another type.
        ValueError: One is out of its bounds; see also `check_reactions`.
        InvalidEventError: A name breaks the rules for names.
    """
    given = check_reactions(reactions, group=group)
    check_instance(owner, kind=UUID, name="owner")
    check_lease(ttl)
    check_count(limit, name="limit", least=1)
    check_flag(leading, name="leading")
    return given


def check_marks(
    page: ScanPage,
    marks: Sequence[Mark],
    *,
    unrouted: Sequence[UnroutedEvent],
    progress: Collection[str],
) -> frozenset[str]:
    """Check the arguments of `IReactionStore.mark`, and return the names of the reactions.

    Args:
        page: See `IReactionStore.mark`, as the others.
        marks: The targets.
        unrouted: The events to park.
        progress: The reactions.

    Raises:
        TypeError: One is of another type.
        ValueError: A target comes twice, a reaction is not of the page, or one with marks or unrouted
            events is not in `progress`.
        InvalidEventError: A name breaks the rules for names.
    """
    check_instance(page, kind=ScanPage, name="page")
    names = _names(progress, name="progress")
    targets: set[tuple[str, str]] = set()
    for mark in marks:
        check_instance(mark, kind=Mark, name="marks")
        check_instance(mark.reads, kind=TargetKind, name="marks.reads")
        check_target_key(check_name(mark.key, path="marks.key"), path="marks.key")
        check_name(mark.lane, path="marks.lane")
        if mark.stream is not None:
            check_name(mark.stream, path="marks.stream")
        for field in ("at", "mark"):
            check_count(getattr(mark, field), name=f"marks.{field}", most=MAX_POSITION)
        if (mark.reaction, mark.key) in targets:
            raise ValueError(f"target {mark.key!r} of reaction {mark.reaction!r} is marked twice")
        targets.add((mark.reaction, mark.key))
    for event in unrouted:
        check_instance(event, kind=UnroutedEvent, name="unrouted")
    concerned = {*(mark.reaction for mark in marks), *(event.reaction for event in unrouted)}
    if lacking := sorted(concerned - names):
        raise ValueError(f"progress must name {', '.join(lacking)}, which have marks")
    if foreign := sorted(names - page.tokens.keys()):
        raise ValueError(f"the page was not read for {', '.join(foreign)}")
    return names


def check_claim(
    group: str,
    *,
    owner: UUID,
    ttl: timedelta,
    reactions: Sequence[ReactionSpec],
    lane: str,
    lagging: int,
    leading: int,
    max_events: int,
    max_bytes: int,
) -> dict[str, ReactionSpec]:
    """Check the arguments of `IReactionStore.claim`, and return the reactions by their names.

    Args:
        group: See `IReactionStore.claim`, as the others.
        owner: Who asks.
        ttl: For how long the leases are.
        reactions: The reactions.
        lane: The lane.
        lagging: How many targets to take from the one end.
        leading: How many more from the other.
        max_events: How many events a lease has at most.
        max_bytes: How long the JSON of their data is at most.

    Raises:
        TypeError: One is of another type.
        ValueError: One is out of its bounds; see also `check_reactions`.
        InvalidEventError: A name breaks the rules for names.
    """
    given = check_reactions(reactions, group=group)
    check_instance(owner, kind=UUID, name="owner")
    check_lease(ttl)
    check_name(lane, path="lane")
    check_count(lagging, name="lagging")
    check_count(leading, name="leading")
    check_count(max_events, name="max_events", least=1)
    check_count(max_bytes, name="max_bytes", least=1)
    return {reaction.name: reaction for reaction in given}


def check_lanes(group: str, lanes: Collection[str]) -> frozenset[str]:
    """Check the arguments of `IReactionStore.ready`, and return the lanes.

    Args:
        group: The group.
        lanes: The lanes.

    Raises:
        TypeError: One is of another type.
        InvalidEventError: A name breaks the rules for names.
    """
    check_name(group, path="group")
    return _names(lanes, name="lanes")


def check_leases(leases: Sequence[Lease]) -> Sequence[Lease]:
    """Return the leases that a call was given.

    Raises:
        TypeError: One is not a lease.
    """
    for lease in leases:
        check_instance(lease, kind=Lease, name="leases")
    return leases


def _names(given: Collection[str], *, name: str) -> frozenset[str]:
    if isinstance(given, str) or not isinstance(given, Collection):
        raise TypeError(f"{name} must be a collection of strings, got {given!r}")
    return frozenset(check_name(each, path=name) for each in given)

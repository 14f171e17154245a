"""Pages of a scan: what they concern, and how they follow each other."""

from collections.abc import Callable, Collection, Sequence
from itertools import pairwise

from arvo_event_store._event import Event
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._scan_page import Mark, ScanPage
from arvo_event_store._target import TargetKind


def marks_of(
    page: ScanPage,
    reactions: Sequence[ReactionSpec],
    *,
    keys: Callable[[Event], Collection[str]] = lambda event: (event.stream,),
) -> list[Mark]:
    """Return the targets that a page concerns.

    Args:
        page: The page.
        reactions: The reactions; those that are not of the page are left out.
        keys: The keys of an event, for reactions that have such targets.
    """
    found: dict[tuple[str, str], Mark] = {}
    for each in reactions:
        for event in page.events:
            if event.position <= page.scanned.get(each.name, event.position):
                continue
            if not each.takes(name=event.name, stream=event.stream):
                continue
            for key in _keys_of(event, each, keys=keys):
                _add(found, each, key, event)
    return list(found.values())


def check_ranges(pages: Sequence[ScanPage]) -> None:
    """Fail unless pages that were all stored follow each other, with their events in order."""
    for page in pages:
        found = [event.position for event in page.events]
        assert found == sorted(set(found))
        assert all(min(page.scanned.values()) < each <= page.upto for each in found)
    for before, after in pairwise(pages):
        for name, scanned in after.scanned.items():
            assert scanned == before.upto or name not in before.scanned


def _keys_of(
    event: Event, reaction: ReactionSpec, *, keys: Callable[[Event], Collection[str]]
) -> Collection[str]:
    match reaction.to:
        case TargetKind.STREAM:
            return (event.stream,)
        case TargetKind.EVENT:
            return (str(event.position),)
        case TargetKind.KEY:
            return keys(event)
        case TargetKind.LOG:
            return ("log",)


def _add(
    found: dict[tuple[str, str], Mark], reaction: ReactionSpec, key: str, event: Event
) -> None:
    of_one_stream = reaction.to in (TargetKind.STREAM, TargetKind.EVENT)
    mark = found.setdefault(
        (reaction.name, key),
        Mark(
            reaction=reaction.name,
            key=key,
            lane=reaction.lane,
            reads=reaction.to,
            stream=event.stream if of_one_stream else None,
            at=event.position - 1,
            mark=event.position,
        ),
    )
    mark.mark = event.position
    if reaction.to is TargetKind.KEY:
        mark.positions = (*mark.positions, event.position)

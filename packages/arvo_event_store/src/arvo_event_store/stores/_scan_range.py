"""What a page of a scan covers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from arvo_event_store._event import Event
from arvo_event_store._reaction_spec import ReactionSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRange:
    """The reactions that are scanned together, and from where."""

    after: int
    """The position after which to read."""
    scanned: Mapping[str, int]
    """The reactions, and up to where each was scanned."""
    names: frozenset[str] | None
    """The names of the events that concern any of them; None is all."""
    others: bool
    """Whether other reactions are too far ahead or behind."""
    limit: int
    """How many events to read at most."""

    def upto(self, events: Sequence[Event], *, horizon: int) -> int:
        """Return the position up to which a page of events is all there is."""
        return events[-1].position if len(events) >= self.limit else max(horizon, self.after)


def scan_range(
    scanned: Mapping[str, int],
    *,
    reactions: Iterable[ReactionSpec],
    limit: int,
    leading: bool,
) -> ScanRange:
    """Return what the next page of a scan covers.

    Args:
        scanned: Up to where each reaction is scanned that this scanner leased; at least one.
        reactions: The reactions that the caller knows.
        limit: How many events a page has, and how many positions may be between its reactions.
        leading: Whether the page is for those that are furthest ahead, or furthest behind.
    """
    if leading:
        least = max(scanned.values()) - limit
        covered = {name: at for name, at in scanned.items() if at >= least}
    else:
        most = min(scanned.values()) + limit
        covered = {name: at for name, at in scanned.items() if at <= most}
    wanted = [each.events for each in reactions if each.name in covered]
    named = [names for names in wanted if names is not None]
    return ScanRange(
        after=min(covered.values()),
        scanned=covered,
        names=frozenset().union(*named) if len(named) == len(wanted) else None,
        others=len(covered) < len(scanned),
        limit=limit,
    )

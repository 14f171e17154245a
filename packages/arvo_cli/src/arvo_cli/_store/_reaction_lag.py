"""The reactions of a group, which a command names."""

from collections.abc import Sequence

from arvo_cli._errors import CommandError
from arvo_event_store import IEventStore, ReactionLag


async def lags_of(
    store: IEventStore, group: str, *, reaction: str | None = None
) -> Sequence[ReactionLag]:
    """Return how far the reactions of a group are behind, so that a wrong name is not taken for silence.

    Args:
        store: The store.
        group: The group.
        reaction: Only this one; None means all.

    Raises:
        CommandError: No worker has ever registered such a group or reaction.
    """
    lags = await store.lag(group)
    if not lags:
        raise CommandError(
            f"the store knows no group {group!r}: no worker with that name has run over it; names are "
            "case-sensitive"
        )
    if reaction is None:
        return lags
    found = [each for each in lags if each.reaction == reaction]
    if not found:
        known = ", ".join(each.reaction for each in lags)
        raise CommandError(f"group {group!r} has no reaction {reaction!r}; it has {known}")
    return found

"""`ReactionStoreSuite` fails on stores that serve operators wrongly, by the name of what they break."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from arvo_event_store import (
    EventStoreError,
    MemoryEventStore,
    ParkedEvent,
    ReactionLag,
    TargetState,
)

from .reaction_behaviour import behave, cases, obey


class UnblocksAll(MemoryEventStore):
    """The key of a call is not looked at."""

    @override
    async def unblock(self, group: str, *, reaction: str, key: str | None = None) -> int:
        return await super().unblock(group, reaction=reaction)


class SkipsNothing(MemoryEventStore):
    """An event that is skipped is tried again."""

    @override
    async def skip(self, group: str, *, reaction: str, key: str) -> bool:
        return await self.unblock(group, reaction=reaction, key=key) > 0


class ResetsTheGroup(MemoryEventStore):
    """A reset is one of all reactions."""

    @override
    async def reset(self, group: str, *, reaction: str, after: int) -> None:
        await super().reset(group, reaction=reaction, after=after)
        for each in await self.lag(group):
            await super().reset(group, reaction=each.reaction, after=after)


class ResetsTheScanOnly(MemoryEventStore):
    """Targets stay where they are, so what is marked again is done already."""

    @override
    async def reset(self, group: str, *, reaction: str, after: int) -> None:
        horizon = await self.horizon()
        await super().reset(group, reaction=reaction, after=max(after, horizon))


class ReplaysByReset(MemoryEventStore):
    """A parked event is handled again with all that came after it."""

    @override
    async def replay(self, group: str, parked: Sequence[ParkedEvent]) -> int:
        count = await super().replay(group, parked)
        for each in parked:
            await self.reset(group, reaction=each.reaction, after=each.position - 1)
        return count


class ReplaysTwice(MemoryEventStore):
    """A replayed event stays parked."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.replayed: list[ParkedEvent] = []

    @override
    async def replay(self, group: str, parked: Sequence[ParkedEvent]) -> int:
        self.replayed += parked
        return await super().replay(group, parked)

    @override
    async def parked(
        self, group: str, *, reaction: str | None = None
    ) -> AsyncIterator[ParkedEvent]:
        async for each in super().parked(group, reaction=reaction):
            yield each
        for each in self.replayed:
            if each.group == group and reaction in {None, each.reaction}:
                yield each


class CountsBlockedAsPending(MemoryEventStore):
    """What waits for an operator is counted as work."""

    @override
    async def lag(self, group: str) -> list[ReactionLag]:
        found = await super().lag(group)
        return [replace(each, pending=each.pending + each.blocked) for each in found]


class CountsEventsOfAddressed(MemoryEventStore):
    """An addressed reaction is behind by all that it never scans."""

    @override
    async def lag(self, group: str) -> list[ReactionLag]:
        horizon = await self.horizon()
        found = await super().lag(group)
        return [replace(each, unscanned=horizon - each.scanned) for each in found]


class ListsAPageOfTargets(MemoryEventStore):
    """A list ends after its first page."""

    @override
    async def targets(
        self, group: str, *, reaction: str | None = None, blocked: bool | None = None
    ) -> AsyncIterator[TargetState]:
        count = 0
        async for each in super().targets(group, reaction=reaction, blocked=blocked):
            count += 1
            if count <= 500:
                yield each


class ListsWithoutOrder(MemoryEventStore):
    """Targets are listed by their keys alone, without regard to case."""

    @override
    async def targets(
        self, group: str, *, reaction: str | None = None, blocked: bool | None = None
    ) -> AsyncIterator[TargetState]:
        found = [each async for each in super().targets(group, reaction=reaction, blocked=blocked)]
        for each in sorted(found, key=lambda each: each.key.lower()):
            yield each


BROKEN: dict[str, list[type[MemoryEventStore]]] = {
    "test_an_unblocked_target_tries_again": [UnblocksAll],
    "test_a_skipped_event_is_given_up": [SkipsNothing],
    "test_a_skipped_event_of_its_own_is_gone": [SkipsNothing],
    "test_a_reset_touches_one_reaction": [ResetsTheGroup],
    "test_events_after_a_position_are_handled_again": [ResetsTheScanOnly],
    "test_a_replayed_event_is_handed_out_beside_the_others": [ReplaysByReset, ReplaysTwice],
    "test_only_what_is_parked_is_replayed": [ReplaysTwice],
    "test_a_lag_says_how_far_a_reaction_is_behind": [CountsBlockedAsPending],
    "test_a_lag_without_work_has_no_oldest_event": [CountsEventsOfAddressed],
    "test_many_targets_are_listed_in_pages": [ListsAPageOfTargets],
    "test_blocked_targets_are_listed": [ListsWithoutOrder],
}


@pytest.mark.parametrize(("behaviour", "broken"), cases(BROKEN))
async def test_a_broken_store_fails_by_name(behaviour: str, broken: type[MemoryEventStore]) -> None:
    with pytest.raises((AssertionError, EventStoreError)):
        await behave(behaviour, broken)


@pytest.mark.parametrize("broken", [SkipsNothing, ResetsTheGroup, ReplaysTwice])
async def test_the_laws_find_a_broken_store(broken: type[MemoryEventStore]) -> None:
    with pytest.raises((AssertionError, EventStoreError)):
        await obey(broken)

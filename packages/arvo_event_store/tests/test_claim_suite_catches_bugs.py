"""`ReactionStoreSuite` fails on stores that hand out leases wrongly, by the name of what they break."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from typing_extensions import override

from arvo_event_store import EventStoreError, MemoryEventStore
from arvo_event_store.stores import (
    Lease,
    ReactionSpec,
    Ready,
    ScanPage,
)

from .reaction_behaviour import NotingStore, Place, behave, cases, obey, place


class ClaimsBlocked(MemoryEventStore):
    """A block is a note for operators."""

    @override
    async def claim(self, group: str, **given: Any) -> list[Lease]:
        async for target in self.targets(group, blocked=True):
            await self.unblock(group, reaction=target.reaction, key=target.key)
        return await super().claim(group, **given)


class BelievesItsCaller(MemoryEventStore):
    """What a reaction listens to is what a worker says."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.registered: dict[str, ReactionSpec] = {}

    @override
    async def register(
        self, group: str, reactions: Sequence[ReactionSpec], *, redefine: bool = False
    ) -> None:
        await super().register(group, reactions, redefine=redefine)
        self.registered |= {each.name: each for each in reactions}

    @override
    async def claim(
        self, group: str, *, reactions: Sequence[ReactionSpec], **given: Any
    ) -> list[Lease]:
        known = [self.registered.get(each.name, each) for each in reactions]
        return await super().claim(group, reactions=known, **given)


class HandsOutTwice(NotingStore):
    """Two claims that read before either writes take the same target."""

    @override
    async def claim(self, group: str, **given: Any) -> list[Lease]:
        before = dict(self.last)
        return await super().claim(group, **given) or [*before.values()][:1]


class ExpiresEarly(MemoryEventStore):
    """A lease is over when half its time is."""

    @override
    async def claim(self, group: str, *, ttl: timedelta, **given: Any) -> list[Lease]:
        return await super().claim(group, ttl=ttl / 2, **given)


class ExtendsForAnyone(NotingStore):
    """A lease is renewed by its target, whoever has it."""

    @override
    async def extend(self, leases: Sequence[Lease], *, ttl: timedelta) -> list[Lease]:
        await super().extend([self.current(each) for each in leases], ttl=ttl)
        return [*leases]


class CountsReleases(NotingStore):
    """A lease that was given back counts as one that was lost."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.released: dict[Place, int] = {}

    @override
    async def release(self, leases: Sequence[Lease]) -> None:
        await super().release(leases)
        for lease in leases:
            self.released[place(lease)] = self.released.get(place(lease), 0) + 1

    @override
    async def claim(self, group: str, **given: Any) -> list[Lease]:
        return [
            replace(each, attempt=each.attempt + self.released.get(place(each), 0))
            for each in await super().claim(group, **given)
        ]


class ReleasesForAnyone(NotingStore):
    """A lease is given back by its target, whoever has it."""

    @override
    async def release(self, leases: Sequence[Lease]) -> None:
        await super().release([self.current(each) for each in leases])


class LanesWithoutCase(MemoryEventStore):
    """The text of the database is compared without regard to case."""

    @override
    async def ready(self, group: str, *, lanes: Any) -> Ready:
        return await super().ready(group, lanes={each.lower() for each in lanes})


class ClaimsForOthers(MemoryEventStore):
    """A claim takes what is in the lane, whether the worker has the reaction or not."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.known: dict[str, ReactionSpec] = {}

    @override
    async def register(
        self, group: str, reactions: Sequence[ReactionSpec], *, redefine: bool = False
    ) -> None:
        await super().register(group, reactions, redefine=redefine)
        self.known |= {each.name: each for each in reactions}

    @override
    async def claim(self, group: str, *, reactions: Any, **given: Any) -> list[Lease]:
        return await super().claim(group, reactions=[*self.known.values()], **given)


class ClaimsFromOneEnd(MemoryEventStore):
    """Those that are furthest behind come first, always."""

    @override
    async def claim(self, group: str, *, lagging: int, leading: int, **given: Any) -> list[Lease]:
        return await super().claim(group, lagging=lagging + leading, leading=0, **given)


class IgnoresBytes(MemoryEventStore):
    """A window has as many events as were asked for, however long they are."""

    @override
    async def claim(self, group: str, *, max_bytes: int, **given: Any) -> list[Lease]:
        return await super().claim(group, max_bytes=max_bytes * 10**6, **given)


class WindowsReachTheMark(MemoryEventStore):
    """A window that was cut says that it was all."""

    @override
    async def claim(self, group: str, **given: Any) -> list[Lease]:
        return [replace(each, upto=each.mark) for each in await super().claim(group, **given)]


class WindowsReachTheirLastEvent(MemoryEventStore):
    """The watermark stays at the last event that was taken, so the target never becomes idle."""

    @override
    async def claim(self, group: str, **given: Any) -> list[Lease]:
        return [
            replace(each, upto=each.events[-1].position if each.events else each.at)
            for each in await super().claim(group, **given)
        ]


class SharesItsEvents(MemoryEventStore):
    """Events are read once, and handed out to everybody."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.read_before: dict[int, Any] = {}

    @override
    async def claim(self, group: str, **given: Any) -> list[Lease]:
        return [
            replace(
                lease,
                events=[self.read_before.setdefault(each.position, each) for each in lease.events],
            )
            for lease in await super().claim(group, **given)
        ]


class TellsTheDueOfAll(MemoryEventStore):
    """The nearest due is that of the group, whichever lanes were asked for."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.lanes: set[str] = set()

    @override
    async def ready(self, group: str, *, lanes: Any) -> Ready:
        self.lanes |= {*lanes}
        found = await super().ready(group, lanes=self.lanes)
        return Ready(lanes=found.lanes & {*lanes}, due_after=found.due_after)


class ListsEventsTwice(MemoryEventStore):
    """What is marked twice is listed twice."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.listed: list[tuple[str, str, int]] = []

    @override
    async def mark(self, page: ScanPage, marks: Any, **given: Any) -> bool:
        stored = await super().mark(page, marks, **given)
        if stored:
            self.listed += [
                (each.reaction, each.key, position) for each in marks for position in each.positions
            ]
        return stored

    @override
    async def claim(self, group: str, **given: Any) -> list[Lease]:
        return [
            replace(
                lease,
                events=[again for each in lease.events for again in self._as_listed(lease, each)],
            )
            for lease in await super().claim(group, **given)
        ]

    def _as_listed(self, lease: Lease, event: Any) -> list[Any]:
        count = self.listed.count((lease.reaction, lease.key, event.position))
        return [event] * max(count, 1)


BROKEN: dict[str, list[type[MemoryEventStore]]] = {
    "test_a_blocked_target_is_not_claimed": [ClaimsBlocked],
    "test_a_target_has_one_holder": [HandsOutTwice],
    "test_a_lease_that_ran_out_goes_to_one": [ExpiresEarly, HandsOutTwice],
    "test_only_leases_that_stand_are_extended": [ExtendsForAnyone],
    "test_a_lease_that_is_given_back_does_not_count": [CountsReleases],
    "test_who_knows_an_old_definition_claims_nothing": [BelievesItsCaller],
    "test_a_lease_is_given_back_at_once": [ReleasesForAnyone],
    "test_lanes_and_groups_are_apart": [LanesWithoutCase],
    "test_only_the_reactions_of_the_worker_are_claimed": [ClaimsForOthers],
    "test_targets_are_claimed_from_both_ends": [ClaimsFromOneEnd],
    "test_a_window_is_cut_at_its_bytes": [IgnoresBytes],
    "test_a_window_has_at_most_so_many_events": [WindowsReachTheMark],
    "test_all_targets_converge": [WindowsReachTheMark],
    "test_a_window_reaches_the_mark_when_the_rest_is_for_others": [WindowsReachTheirLastEvent],
    "test_events_are_handed_out_as_they_are_read": [SharesItsEvents],
    "test_the_nearest_due_is_told": [TellsTheDueOfAll],
    "test_an_event_is_listed_once": [ListsEventsTwice],
}


@pytest.mark.parametrize(("behaviour", "broken"), cases(BROKEN))
async def test_a_broken_store_fails_by_name(behaviour: str, broken: type[MemoryEventStore]) -> None:
    with pytest.raises((AssertionError, EventStoreError)):
        await behave(behaviour, broken)


@pytest.mark.parametrize(
    "broken",
    [
        ClaimsBlocked,
        HandsOutTwice,
        ExpiresEarly,
        CountsReleases,
        WindowsReachTheMark,
        WindowsReachTheirLastEvent,
        ListsEventsTwice,
    ],
)
async def test_the_laws_find_a_broken_store(broken: type[MemoryEventStore]) -> None:
    with pytest.raises((AssertionError, EventStoreError)):
        await obey(broken)

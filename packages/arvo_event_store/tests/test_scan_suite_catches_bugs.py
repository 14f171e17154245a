"""`ReactionStoreSuite` fails on stores that scan wrongly, by the name of what they break."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from typing_extensions import override

from arvo_event_store import (
    EventStoreError,
    MemoryEventStore,
)
from arvo_event_store.stores import Mark, ReactionSpec, ScanPage, UnroutedEvent

from .reaction_behaviour import behave, cases, obey


class RedefinesSilently(MemoryEventStore):
    """The last program that was started decides what a reaction is."""

    @override
    async def register(
        self, group: str, reactions: Sequence[ReactionSpec], *, redefine: bool = False
    ) -> None:
        await super().register(group, reactions, redefine=True)


class RegistersOneByOne(MemoryEventStore):
    """What was registered before one was refused stays."""

    @override
    async def register(
        self, group: str, reactions: Sequence[ReactionSpec], *, redefine: bool = False
    ) -> None:
        for each in reactions:
            await super().register(group, [each], redefine=redefine)


class BeginsAgainWhenRegistered(MemoryEventStore):
    """A start of the program is a start of its reactions."""

    @override
    async def register(
        self, group: str, reactions: Sequence[ReactionSpec], *, redefine: bool = False
    ) -> None:
        known = [each.reaction for each in await self.lag(group)]
        await super().register(group, reactions, redefine=redefine)
        for each in reactions:
            if each.name in known and not each.addressed:
                await self.reset(group, reaction=each.name, after=0)


class TakesZeroForTheBeginning(MemoryEventStore):
    """Whatever the start is, it is the beginning."""

    @override
    async def register(
        self, group: str, reactions: Sequence[ReactionSpec], *, redefine: bool = False
    ) -> None:
        given = [replace(each, start="beginning") for each in reactions]
        await super().register(group, given, redefine=redefine)


class ScansPastTheHorizon(MemoryEventStore):
    """A page reaches up to the next position, at which an event may still appear."""

    @override
    async def scan(self, group: str, **given: Any) -> ScanPage | None:
        page = await super().scan(group, **given)
        return None if page is None else replace(page, upto=page.upto + 1)


class ScansForAnyone(MemoryEventStore):
    """All workers of a group are the same scanner."""

    @override
    async def scan(self, group: str, *, owner: UUID, **given: Any) -> ScanPage | None:
        return await super().scan(group, owner=UUID(int=0), **given)


class LeavesNothing(MemoryEventStore):
    """The lease of a scanner that ended is waited for."""

    @override
    async def leave(self, group: str, *, owner: UUID) -> None:
        pass


class NeverTakesOver(MemoryEventStore):
    """Whoever scans first scans for ever."""

    @override
    async def scan(self, group: str, *, ttl: timedelta, **given: Any) -> ScanPage | None:
        return await super().scan(group, ttl=ttl * 20, **given)


class ReadsForTheSlowest(MemoryEventStore):
    """A page begins where the reaction is that is furthest behind, always."""

    @override
    async def scan(self, group: str, *, leading: bool = True, **given: Any) -> ScanPage | None:
        return await super().scan(group, leading=False, **given)


class LooksAtScannedReactionsOnly(MemoryEventStore):
    """Nobody compares the definitions of addressed reactions."""

    @override
    async def scan(self, group: str, *, reactions: Any, **given: Any) -> ScanPage | None:
        scanned = [each for each in reactions if not each.addressed]
        return await super().scan(group, reactions=scanned, **given)


class SkipsTheLastOfAPage(MemoryEventStore):
    """A page that is full says that it reached the horizon."""

    @override
    async def scan(self, group: str, **given: Any) -> ScanPage | None:
        page = await super().scan(group, **given)
        if page is None or page.complete:
            return page
        return replace(page, upto=await self.horizon(), complete=True)


class MarksForAnyone(MemoryEventStore):
    """A page is stored, whoever scans by now."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.tokens: dict[str, int] = {}

    @override
    async def scan(self, group: str, **given: Any) -> ScanPage | None:
        page = await super().scan(group, **given)
        if page is not None:
            self.tokens |= page.tokens
        return page

    @override
    async def mark(self, page: ScanPage, marks: Sequence[Mark], **given: Any) -> bool:
        tokens = {name: self.tokens[name] for name in page.tokens}
        return await super().mark(replace(page, tokens=tokens), marks, **given)


class MarksEachReactionByItself(MemoryEventStore):
    """Of a page, what is refused for one reaction is stored for the others."""

    @override
    async def mark(
        self,
        page: ScanPage,
        marks: Sequence[Mark],
        *,
        unrouted: Sequence[UnroutedEvent] = (),
        progress: Collection[str],
    ) -> bool:
        stored = True
        for name in progress:
            stored &= await super().mark(
                replace(page, tokens={name: page.tokens[name]}),
                [each for each in marks if each.reaction == name],
                unrouted=[each for each in unrouted if each.reaction == name],
                progress=[name],
            )
        return stored


class ProgressesTogether(MemoryEventStore):
    """The scan has one progress, that of all reactions of the page."""

    @override
    async def mark(self, page: ScanPage, marks: Sequence[Mark], **given: Any) -> bool:
        return await super().mark(page, marks, **{**given, "progress": [*page.tokens]})


class LosesUnrouted(MemoryEventStore):
    """What cannot be routed is passed over."""

    @override
    async def mark(
        self, page: ScanPage, marks: Sequence[Mark], *, unrouted: Any = (), progress: Any
    ) -> bool:
        return await super().mark(page, marks, progress=progress)


class KeysWithoutPunctuation(MemoryEventStore):
    """Two keys that differ in a character that means something are one target."""

    @override
    async def mark(self, page: ScanPage, marks: Sequence[Mark], **given: Any) -> bool:
        plain = {(each.reaction, each.key.rstrip("%yz")): each for each in marks}
        return await super().mark(
            page, [replace(each, key=key or "-") for (_, key), each in plain.items()], **given
        )


class ForgetsWhatWasScanned(MemoryEventStore):
    """A page is stored as often as it comes, as if it came the first time."""

    @override
    async def mark(self, page: ScanPage, marks: Sequence[Mark], **given: Any) -> bool:
        for name, found in self._reactions.of(page.group).items():
            found.scanned = page.scanned.get(name, found.scanned)
        return await super().mark(page, marks, **given)


class PassesPagesOver(MemoryEventStore):
    """A page that begins where one was stored is taken for that one, also if it has more."""

    @override
    async def mark(self, page: ScanPage, marks: Sequence[Mark], **given: Any) -> bool:
        known = {each.reaction: each.scanned for each in await self.lag(page.group)}
        new = [each for each in marks if known[each.reaction] == page.scanned[each.reaction]]
        return await super().mark(page, new, **given)


BROKEN: dict[str, list[type[MemoryEventStore]]] = {
    "test_another_definition_is_refused_and_named": [RedefinesSilently, RegistersOneByOne],
    "test_what_targets_are_is_not_redefined": [RegistersOneByOne],
    "test_registering_again_changes_nothing": [BeginsAgainWhenRegistered],
    "test_reactions_begin_where_they_say": [TakesZeroForTheBeginning],
    "test_pages_beside_writers_miss_nothing": [ScansPastTheHorizon, SkipsTheLastOfAPage],
    "test_pages_are_the_log_in_order": [ScansPastTheHorizon, SkipsTheLastOfAPage],
    "test_one_owner_scans_a_reaction": [ScansForAnyone, NeverTakesOver, MarksForAnyone],
    "test_of_racing_scanners_one_gets_the_page": [ScansForAnyone, NeverTakesOver],
    "test_a_scanner_that_leaves_lets_others_scan": [LeavesNothing],
    "test_a_reaction_from_the_beginning_holds_up_nobody": [ReadsForTheSlowest],
    "test_addressed_reactions_are_compared_and_not_scanned": [LooksAtScannedReactionsOnly],
    "test_what_is_refused_marks_lists_and_parks_nothing": [MarksForAnyone],
    "test_a_mark_of_an_event_whose_target_is_gone_does_nothing_twice": [MarksForAnyone],
    "test_a_page_of_several_reactions_is_stored_whole_or_not_at_all": [MarksEachReactionByItself],
    "test_progress_is_kept_for_each_reaction": [ProgressesTogether],
    "test_unrouted_events_are_put_aside": [LosesUnrouted],
    "test_an_event_concerns_three_keys": [KeysWithoutPunctuation],
    "test_a_page_that_is_stored_again_makes_no_event_again": [ForgetsWhatWasScanned],
    "test_pages_that_overlap_lose_nothing": [PassesPagesOver, ForgetsWhatWasScanned],
}


@pytest.mark.parametrize(("behaviour", "broken"), cases(BROKEN))
async def test_a_broken_store_fails_by_name(behaviour: str, broken: type[MemoryEventStore]) -> None:
    with pytest.raises((AssertionError, EventStoreError)):
        await behave(behaviour, broken)


@pytest.mark.parametrize(
    "broken",
    [
        BeginsAgainWhenRegistered,
        ScansPastTheHorizon,
        ScansForAnyone,
        SkipsTheLastOfAPage,
        MarksForAnyone,
        ProgressesTogether,
        LosesUnrouted,
        ForgetsWhatWasScanned,
        PassesPagesOver,
    ],
)
async def test_the_laws_find_a_broken_store(broken: type[MemoryEventStore]) -> None:
    with pytest.raises((AssertionError, EventStoreError)):
        await obey(broken)

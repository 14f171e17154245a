"""`ReactionStoreSuite` fails on stores that lease targets wrongly, by the name of what they break."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from typing_extensions import override

from arvo_event_store import EventStoreError, LeaseLostError, MemoryEventStore, TargetKind
from arvo_event_store.stores import (
    Done,
    Finish,
    Finished,
    Lease,
    Parked,
    Postponed,
    Progress,
    ReactionSpec,
    Ready,
    Retried,
    ScanPage,
)

from .reaction_behaviour import behave, obey

Place = tuple[str, str]


def place(lease: Lease) -> Place:
    return lease.reaction, lease.key


class Noting(MemoryEventStore):
    """Notes the last lease of each target; it is not broken itself."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.last: dict[Place, Lease] = {}

    @override
    async def claim(self, group: str, **given: Any) -> list[Lease]:
        leases = await super().claim(group, **given)
        self.last |= {place(lease): lease for lease in leases}
        return leases

    def current(self, lease: Lease) -> Lease:
        """Return the lease that somebody has by now."""
        return replace(lease, token=self.last[place(lease)].token)


class ClaimsBlocked(MemoryEventStore):
    """A block is a note for operators."""

    @override
    async def claim(self, group: str, **given: Any) -> list[Lease]:
        async for target in self.targets(group, blocked=True):
            await self.unblock(group, reaction=target.reaction, key=target.key)
        return await super().claim(group, **given)


class NeverSleeps(MemoryEventStore):
    """What is postponed is tried again at once."""

    @override
    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        return await super().finish(
            [
                replace(each, then=replace(each.then, after=timedelta(0), until=None))
                if isinstance(each.then, Postponed)
                else each
                for each in finishes
            ]
        )


class HandsOutTwice(Noting):
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


class TokensBeginAgain(Noting):
    """The token of a row is the count of its leases, from 1; a row that is made anew has a new one."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.before: dict[Place, int] = {}

    @override
    async def claim(self, group: str, **given: Any) -> list[Lease]:
        leases = await super().claim(group, **given)
        for lease in leases:
            self.before.setdefault(place(lease), lease.token - 1)
        return [replace(each, token=each.token - self.before[place(each)]) for each in leases]

    @override
    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        found = await super().finish(
            [
                replace(
                    each,
                    lease=replace(
                        each.lease, token=each.lease.token + self.before.get(place(each.lease), 0)
                    ),
                )
                for each in finishes
            ]
        )
        for each, finished in zip(finishes, found, strict=True):
            is_over = finished.error is None and isinstance(each.then, Done | Parked)
            if is_over and each.lease.reads is TargetKind.EVENT:
                del self.before[place(each.lease)]
        return found


class AsksTheTime(MemoryEventStore):
    """A lease that ran out is refused, although nobody else has it."""

    @override
    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        return [
            Finished(error=LeaseLostError("too late"))
            if await self._ran_out(each.lease)
            else (await super(AsksTheTime, self).finish([each]))[0]
            for each in finishes
        ]

    async def _ran_out(self, lease: Lease) -> bool:
        async for target in self.targets(lease.group, reaction=lease.reaction):
            if target.key == lease.key and target.leased_until is not None:
                return target.leased_until <= self._clock.now()
        return False


class FencesNobody(Noting):
    """Whoever had the lease may end it."""

    @override
    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        return await super().finish(
            [replace(each, lease=self.current(each.lease)) for each in finishes]
        )


class ExtendsForAnyone(Noting):
    """A lease is renewed by its target, whoever has it."""

    @override
    async def extend(self, leases: Sequence[Lease], *, ttl: timedelta) -> list[Lease]:
        await super().extend([self.current(each) for each in leases], ttl=ttl)
        return [*leases]


class CountsReleases(Noting):
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


class ReleasesForAnyone(Noting):
    """A lease is given back by its target, whoever has it."""

    @override
    async def release(self, leases: Sequence[Lease]) -> None:
        await super().release([self.current(each) for each in leases])


class PostponementsAreSuccess(MemoryEventStore):
    """A postponement clears what failed before it."""

    @override
    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        return await super().finish(
            [
                replace(each, then=replace(each.then, failed=0))
                if isinstance(each.then, Postponed)
                else each
                for each in finishes
            ]
        )


class ProgressEndsTheLease(MemoryEventStore):
    """Progress is an acknowledgement as any other."""

    @override
    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        return await super().finish(
            [
                replace(each, then=Done()) if isinstance(each.then, Progress) else each
                for each in finishes
            ]
        )


class RetriesGiveUpProgress(MemoryEventStore):
    """When an event fails, what was done before it in the same lease is not acknowledged."""

    @override
    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        return await super().finish(
            [
                replace(each, at=each.lease.at) if isinstance(each.then, Retried) else each
                for each in finishes
            ]
        )


class KeepsEventRows(MemoryEventStore):
    """The target of an event stays when it is done."""

    @override
    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        return await super().finish(
            [
                replace(each, lease=replace(each.lease, reads=TargetKind.STREAM))
                if each.lease.reads is TargetKind.EVENT
                else each
                for each in finishes
            ]
        )


class StoresOutputsBeforeTheFence(MemoryEventStore):
    """Outputs are appended, then the lease is looked at."""

    @override
    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        found: list[Finished] = []
        for each in finishes:
            try:
                await self.append_all(each.appends)
            except EventStoreError as error:
                found.append(Finished(error=error))
            else:
                found += await super().finish([replace(each, appends=())])
        return found


class AcknowledgesBeforeTheOutputs(MemoryEventStore):
    """The lease ends, then outputs are appended, and may be refused."""

    @override
    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        found = await super().finish([replace(each, appends=()) for each in finishes])
        for number, each in enumerate(finishes):
            if found[number].error is None:
                try:
                    await self.append_all(each.appends)
                except EventStoreError as error:
                    found[number] = Finished(error=error)
        return found


class StoresOutputsOneByOne(MemoryEventStore):
    """The streams of a finish are written one after the other; the last one decides."""

    @override
    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        for each in finishes:
            if await self.extend([each.lease], ttl=timedelta(hours=1)):
                for append in each.appends[:-1]:
                    await self.append_all([append])
        return await super().finish([replace(each, appends=each.appends[-1:]) for each in finishes])


class FailsTogether(MemoryEventStore):
    """The finishes of a call are one transaction: one that is refused undoes all."""

    @override
    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        for each in finishes:
            if not await self.extend([each.lease], ttl=timedelta(hours=1)):
                return [Finished(error=LeaseLostError("not all stand"))] * len(finishes)
        return await super().finish(finishes)


class OutputsGetTheNextCorrelation(MemoryEventStore):
    """What an output belongs to is taken from the event that is handled, whatever it says itself."""

    @override
    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        return await super().finish([self._following(each) for each in finishes])

    def _following(self, finish: Finish) -> Finish:
        last = finish.lease.events[-1] if finish.lease.events else None
        if last is None:
            return finish
        appends = [
            replace(
                append,
                events=[replace(each, correlation=last.correlation) for each in append.events],
            )
            for append in finish.appends
        ]
        return replace(finish, appends=appends)


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
    "test_a_postponed_target_is_due_after_a_while": [NeverSleeps],
    "test_a_target_has_one_holder": [HandsOutTwice],
    "test_a_lease_that_ran_out_goes_to_one": [ExpiresEarly, HandsOutTwice],
    "test_tokens_grow_over_a_row_that_went_and_came_back": [TokensBeginAgain],
    "test_a_lease_that_ran_out_ends_as_others": [AsksTheTime],
    "test_an_old_token_changes_nothing": [FencesNobody, StoresOutputsBeforeTheFence],
    "test_a_lease_ends_once": [StoresOutputsBeforeTheFence],
    "test_only_leases_that_stand_are_extended": [ExtendsForAnyone],
    "test_a_lease_that_is_given_back_does_not_count": [CountsReleases],
    "test_a_lease_is_given_back_at_once": [ReleasesForAnyone],
    "test_failures_outlive_a_postponement": [PostponementsAreSuccess],
    "test_progress_begins_the_next_event": [ProgressEndsTheLease],
    "test_progress_extends_a_lease": [ProgressEndsTheLease],
    "test_a_finish_writes_what_it_says": [RetriesGiveUpProgress, NeverSleeps],
    "test_events_are_claimed_oldest_first_and_gone_when_done": [KeepsEventRows],
    "test_the_row_of_an_event_is_gone": [KeepsEventRows],
    "test_a_stale_lease_stores_no_output": [StoresOutputsBeforeTheFence, FencesNobody],
    "test_a_refused_output_stores_nothing": [AcknowledgesBeforeTheOutputs, StoresOutputsOneByOne],
    "test_finishes_of_one_call_are_independent": [FailsTogether, AcknowledgesBeforeTheOutputs],
    "test_outputs_are_stored_with_the_acknowledgement": [OutputsGetTheNextCorrelation],
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


@pytest.mark.parametrize(
    ("behaviour", "broken"),
    [
        pytest.param(behaviour, store, id=f"{behaviour}-{store.__name__}")
        for behaviour, stores in BROKEN.items()
        for store in stores
    ],
)
async def test_a_broken_store_fails_by_name(behaviour: str, broken: type[MemoryEventStore]) -> None:
    with pytest.raises((AssertionError, EventStoreError)):
        await behave(behaviour, broken)


@pytest.mark.parametrize(
    "broken",
    [
        ClaimsBlocked,
        HandsOutTwice,
        ExpiresEarly,
        FencesNobody,
        CountsReleases,
        ProgressEndsTheLease,
        KeepsEventRows,
        StoresOutputsBeforeTheFence,
        AcknowledgesBeforeTheOutputs,
        WindowsReachTheMark,
        WindowsReachTheirLastEvent,
        ListsEventsTwice,
    ],
)
async def test_the_laws_find_a_broken_store(broken: type[MemoryEventStore]) -> None:
    with pytest.raises((AssertionError, EventStoreError)):
        await obey(broken)

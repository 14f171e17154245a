"""`ReactionStoreSuite` fails on stores that end leases wrongly, by the name of what they break."""

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
    Retried,
)

from .reaction_behaviour import NotingStore, Place, behave, cases, obey, place


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


class TokensBeginAgain(NotingStore):
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


class FencesNobody(NotingStore):
    """Whoever had the lease may end it."""

    @override
    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        return await super().finish(
            [replace(each, lease=self.current(each.lease)) for each in finishes]
        )


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


BROKEN: dict[str, list[type[MemoryEventStore]]] = {
    "test_a_postponed_target_is_due_after_a_while": [NeverSleeps],
    "test_tokens_grow_over_a_row_that_went_and_came_back": [TokensBeginAgain],
    "test_a_lease_that_ran_out_ends_as_others": [AsksTheTime],
    "test_an_old_token_changes_nothing": [FencesNobody, StoresOutputsBeforeTheFence],
    "test_a_lease_ends_once": [StoresOutputsBeforeTheFence],
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
}


@pytest.mark.parametrize(("behaviour", "broken"), cases(BROKEN))
async def test_a_broken_store_fails_by_name(behaviour: str, broken: type[MemoryEventStore]) -> None:
    with pytest.raises((AssertionError, EventStoreError)):
        await behave(behaviour, broken)


@pytest.mark.parametrize(
    "broken",
    [
        FencesNobody,
        ProgressEndsTheLease,
        KeepsEventRows,
        StoresOutputsBeforeTheFence,
        AcknowledgesBeforeTheOutputs,
    ],
)
async def test_the_laws_find_a_broken_store(broken: type[MemoryEventStore]) -> None:
    with pytest.raises((AssertionError, EventStoreError)):
        await obey(broken)

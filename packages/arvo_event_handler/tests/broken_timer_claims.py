"""Timed memories whose claims break their promises, by the behaviour of the suite that must find them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from typing_extensions import override

from arvo_event_handler.memory import (
    UNCHANGED,
    DueMachine,
    NextTimer,
    RecordWrite,
)

from .broken_timer_commits import RemovesNoClaimed, TimersOfEachClient
from .timed_memory import TimedMemory

_HOUR: Final = timedelta(hours=1)

# --- claims -----------------------------------------------------------------


class ClaimsInOrderOfSetting(TimedMemory):
    @override
    def due(self) -> list[str]:
        due = {*super().due()}
        return [machine_id for machine_id in self.timers if machine_id in due]


class OrdersBySeconds(TimedMemory):
    @override
    def due(self) -> list[str]:
        due = {*super().due()}
        waiting = [machine_id for machine_id in self.timers if machine_id in due]
        return sorted(waiting, key=lambda each: int(self.timers[each].at.timestamp()))


class IgnoresTheLimit(TimedMemory):
    @override
    async def claim_due(self, *, limit: int, hold: timedelta) -> Sequence[DueMachine]:
        return await super().claim_due(limit=max(limit, 1000), hold=hold)


class ClaimsWhatItKeepsBack(TimedMemory):
    @override
    async def claim_due(self, *, limit: int, hold: timedelta) -> Sequence[DueMachine]:
        return (await super().claim_due(limit=max(limit, 1000), hold=hold))[:limit]


class SortsWhatItTook(ClaimsInOrderOfSetting):
    """But takes any."""

    @override
    async def claim_due(self, *, limit: int, hold: timedelta) -> Sequence[DueMachine]:
        return sorted(await super().claim_due(limit=limit, hold=hold), key=lambda due: due.at)


class ClaimsEarly(TimedMemory):
    @override
    def due(self) -> list[str]:
        soon = self._clock.now() + timedelta(minutes=5)
        return [machine_id for machine_id, each in self.live().items() if each.ready <= soon]


class ClaimsAnHourLate(TimedMemory):
    @override
    def due(self) -> list[str]:
        soon = self._clock.now() - _HOUR
        return [machine_id for machine_id in super().due() if self.timers[machine_id].at <= soon]


class SaysTheTimersTime(TimedMemory):
    @override
    def claim(self, machine_id: str, *, hold: timedelta) -> DueMachine:
        due = super().claim(machine_id, hold=hold)
        return replace(due, due_by=due.at)


class SaysTheTimeOfTheProcess(TimedMemory):
    @override
    def claim(self, machine_id: str, *, hold: timedelta) -> DueMachine:
        return replace(super().claim(machine_id, hold=hold), due_by=datetime.now(UTC))


class HidesNothing(TimedMemory):
    @override
    def held(self, hold: timedelta, *, claims: int) -> timedelta:
        return timedelta(0)


class HoldsForever(TimedMemory):
    @override
    def held(self, hold: timedelta, *, claims: int) -> timedelta:
        return timedelta(days=365)


class HoldsTheSame(TimedMemory):
    @override
    def held(self, hold: timedelta, *, claims: int) -> timedelta:
        return hold


class HoldsWithoutLimit(TimedMemory):
    @override
    def held(self, hold: timedelta, *, claims: int) -> timedelta:
        return hold * float(2 ** (claims - 1))


class ShortensLongHolds(TimedMemory):
    @override
    def held(self, hold: timedelta, *, claims: int) -> timedelta:
        return min(super().held(hold, claims=claims), _HOUR)


class CountsInOneByte(TimedMemory):
    @override
    def claim(self, machine_id: str, *, hold: timedelta) -> DueMachine:
        due = super().claim(machine_id, hold=hold)
        if due.claims >= 64:
            self.timers[machine_id] = replace(self.timers[machine_id], claims=0)
        return due


class ClaimsTwice(TimedMemory):
    """Looks first, and marks then."""

    @override
    async def claim_due(self, *, limit: int, hold: timedelta) -> Sequence[DueMachine]:
        due = self.due()[:limit]
        await asyncio.sleep(0)
        return [self.claim(machine_id, hold=hold) for machine_id in due]


class TakesTheLease(TimedMemory):
    @override
    def claim(self, machine_id: str, *, hold: timedelta) -> DueMachine:
        self.take_over(machine_id)
        return super().claim(machine_id, hold=hold)


class SkipsTheLeased(TimedMemory):
    @override
    def due(self) -> list[str]:
        return [machine_id for machine_id in super().due() if machine_id not in self.locked]


class CountsAClaimAsAVersion(TimedMemory):
    @override
    def claim(self, machine_id: str, *, hold: timedelta) -> DueMachine:
        stored = self._stored[machine_id]
        self._stored[machine_id] = replace(stored, version=stored.version + 1)
        return super().claim(machine_id, hold=hold)


class BringsTimersBack(TimedMemory):
    """Stores the claim over what a commit has stored since."""

    @override
    async def claim_due(self, *, limit: int, hold: timedelta) -> Sequence[DueMachine]:
        before = dict(self.timers)
        await asyncio.sleep(0)
        due = [self.claim(machine_id, hold=hold) for machine_id in self.due()[:limit]]
        for machine_id, pending in before.items():
            self.timers.setdefault(machine_id, pending)
        return due


class LosesWhatItClaimed(TimedMemory):
    """When it is cancelled."""

    @override
    async def claim_due(self, *, limit: int, hold: timedelta) -> Sequence[DueMachine]:
        due = [self.claim(machine_id, hold=hold) for machine_id in self.due()[:limit]]
        taken = {each.machine_id: self.timers.pop(each.machine_id) for each in due}
        for _ in range(3):
            await asyncio.sleep(0)
        self.timers.update(taken)
        return due


# --- the index --------------------------------------------------------------


class IsAlwaysDue(TimedMemory):
    @override
    async def next_due(self) -> datetime | None:
        return await super().next_due() or self._clock.now()


class ForgetsTheClaimed(TimedMemory):
    """When it says what is due next."""

    @override
    async def next_due(self) -> datetime | None:
        live = self.live().values()
        return min((each.at for each in live if each.held_until is None), default=None)


class ShowsTheClaimedAsDue(TimedMemory):
    @override
    async def next_due(self) -> datetime | None:
        return min((each.at for each in self.live().values()), default=None)


class IgnoresCase(TimedMemory):
    @override
    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        for known in [*self.timers]:
            if known.lower() == machine_id.lower():
                del self.timers[known]
        super().move(machine_id, timer)


class IndexesByKey(TimedMemory):
    @override
    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        for known, pending in [*self.timers.items()]:
            if timer is not None and pending.key == timer.key:
                del self.timers[known]
        super().move(machine_id, timer)


class ChangesKeys(TimedMemory):
    def changed(self, key: str) -> str:
        """Return the key as it is stored."""
        return key.encode("ascii", "replace").decode()

    @override
    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        stored = None if timer is None else replace(timer, key=self.changed(timer.key))
        super().move(machine_id, stored)


class SplitsKeys(ChangesKeys):
    @override
    def changed(self, key: str) -> str:
        return key.rpartition(":")[2]


class CutsKeys(ChangesKeys):
    @override
    def changed(self, key: str) -> str:
        return key[:255]


class ChangesTimes(TimedMemory):
    def changed(self, at: datetime) -> datetime:
        """Return the time as it is stored."""
        return at.replace(microsecond=0)

    @override
    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        super().move(machine_id, timer)
        if timer is not None:
            pending = self.timers[machine_id]
            self.timers[machine_id] = replace(pending, at=self.changed(timer.at))


class KeepsZones(ChangesTimes):
    @override
    def changed(self, at: datetime) -> datetime:
        return at


class BeginsIn1970(ChangesTimes):
    @override
    def changed(self, at: datetime) -> datetime:
        return max(at.astimezone(UTC), datetime(1970, 1, 1, tzinfo=UTC))


class EndsIn2038(ChangesTimes):
    @override
    def changed(self, at: datetime) -> datetime:
        return min(at.astimezone(UTC), datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC))


class TakesAnyClaim(TimedMemory):
    @override
    async def claim_due(self, *, limit: int, hold: timedelta) -> Sequence[DueMachine]:
        return [self.claim(machine_id, hold=hold) for machine_id in self.due()[:limit]]


class TimesEveryStep(TimedMemory):
    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        super()._store(machine_id, write, by=by)
        if write.timer is UNCHANGED:
            self.move(machine_id, NextTimer(at=self._clock.now(), key="step"))


BROKEN_TIMER_CLAIMS: dict[str, list[type[TimedMemory]]] = {
    "test_without_timers_nothing_is_due": [TimesEveryStep, IsAlwaysDue],
    "test_the_earliest_is_claimed_first": [ClaimsInOrderOfSetting, OrdersBySeconds],
    "test_a_backlog_is_claimed_a_part_at_a_time": [
        IgnoresTheLimit,
        ClaimsWhatItKeepsBack,
        SortsWhatItTook,
    ],
    "test_a_timer_is_claimed_when_it_is_due": [ClaimsEarly, ClaimsAnHourLate],
    "test_a_claim_says_by_when_its_timer_was_due": [SaysTheTimersTime, SaysTheTimeOfTheProcess],
    "test_a_claimed_timer_is_hidden_until_its_hold_ends": [
        HidesNothing,
        HoldsForever,
        TimersOfEachClient,
    ],
    "test_each_claim_holds_twice_as_long": [HoldsTheSame, HoldsWithoutLimit, ShortensLongHolds],
    "test_a_timer_can_be_claimed_any_number_of_times": [HoldsWithoutLimit, CountsInOneByte],
    "test_each_timer_goes_to_one_of_many_claimers": [ClaimsTwice, HidesNothing],
    "test_a_claim_is_no_lease": [TakesTheLease, SkipsTheLeased, CountsAClaimAsAVersion],
    "test_a_claim_beside_a_commit_brings_no_timer_back": [BringsTimersBack, RemovesNoClaimed],
    "test_a_cancelled_claim_loses_no_timer": [LosesWhatItClaimed],
    "test_next_due_is_when_a_claim_can_return_something": [
        IsAlwaysDue,
        ForgetsTheClaimed,
        ShowsTheClaimedAsDue,
    ],
    "test_all_clients_share_the_index": [TimersOfEachClient],
    "test_a_later_client_finds_the_timers": [TimersOfEachClient],
    "test_each_workflow_has_a_timer_of_its_own": [IgnoresCase, IndexesByKey],
    "test_subjects_and_keys_come_back_as_they_were_set": [ChangesKeys, SplitsKeys, CutsKeys],
    "test_times_are_exact_and_in_utc": [ChangesTimes, KeepsZones, BeginsIn1970],
    "test_a_timer_may_be_far_ahead": [EndsIn2038],
    "test_a_wrong_claim_is_refused": [TakesAnyClaim],
}

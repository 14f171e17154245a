"""Timed memories whose commits break their promises, by the behaviour of the suite that must find them."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, Self

from typing_extensions import override

from arvo_event_handler import UnreadableRecordError
from arvo_event_handler.memory import (
    UNCHANGED,
    MachineLease,
    NextTimer,
    Record,
    RecordWrite,
    next_timer,
)

from .leased_memory import LeasedMemory
from .timed_memory import Pending, TimedMemory

_HOUR: Final = timedelta(hours=1)

# --- commits ----------------------------------------------------------------


class ResetsAtEachStep(TimedMemory):
    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        super()._store(machine_id, write, by=by)
        if write.timer is UNCHANGED and (pending := self.timers.get(machine_id)) is not None:
            self.move(machine_id, NextTimer(at=pending.at, key=pending.key))


class CountsAnewAtEachStep(TimedMemory):
    """The claims, not the hold."""

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        super()._store(machine_id, write, by=by)
        if write.timer is UNCHANGED and (pending := self.timers.get(machine_id)) is not None:
            self.timers[machine_id] = replace(pending, claims=0)


class RemovesAtEachStep(TimedMemory):
    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        super()._store(machine_id, write, by=by)
        if write.timer is UNCHANGED:
            self.move(machine_id, None)


class SetsTimersLater(TimedMemory):
    """A moment after the state."""

    @override
    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        asyncio.get_running_loop().call_later(0, super().move, machine_id, timer)


class TimersOfEachClient(TimedMemory):
    @override
    def another_client(self) -> Self:
        other = super().another_client()
        other.timers = {}
        return other


class MovesBeforeItCompares(TimedMemory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        if write.timer is not UNCHANGED:
            self.move(lease.machine_id, write.timer)
        await super().commit(lease, replace(write, timer=UNCHANGED))

    @override
    def begin(self, machine_id: str) -> None:
        pass


class SetsBeforeItCompares(MovesBeforeItCompares):
    """But removes as it should."""

    @override
    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        if timer is not None:
            super().move(machine_id, timer)


class MovesBeforeItWrites(TimedMemory):
    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        if write.timer is not UNCHANGED:
            self.move(machine_id, write.timer)
        super()._store(machine_id, write, by=by)


class RemovesNothing(TimedMemory):
    @override
    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        if timer is not None:
            super().move(machine_id, timer)


class RemovesNoClaimed(TimedMemory):
    @override
    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        pending = self.timers.get(machine_id)
        if timer is not None or pending is None or not pending.claims:
            super().move(machine_id, timer)


class KeepsTheEarlier(TimedMemory):
    @override
    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        pending = self.timers.get(machine_id)
        if timer is None or pending is None or timer.at <= pending.at:
            super().move(machine_id, timer)


class KeepsTheLater(TimedMemory):
    @override
    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        pending = self.timers.get(machine_id)
        if timer is None or pending is None or timer.at >= pending.at:
            super().move(machine_id, timer)


class KeepsClaims(TimedMemory):
    @override
    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        before = self.timers.get(machine_id)
        super().move(machine_id, timer)
        if timer is not None and before is not None:
            self.timers[machine_id] = replace(self.timers[machine_id], claims=before.claims)

    @override
    def begin(self, machine_id: str) -> None:
        pass


class KeepsHolds(TimedMemory):
    @override
    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        before = self.timers.get(machine_id)
        super().move(machine_id, timer)
        if timer is not None and before is not None:
            held_until = before.held_until
            self.timers[machine_id] = replace(self.timers[machine_id], held_until=held_until)


class ComparesTimes(TimedMemory):
    """Takes a timer that is due at the same time for the same one."""

    @override
    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        before = self.timers.get(machine_id)
        if timer is not None and before is not None and timer.at == before.at:
            self.timers[machine_id] = replace(before, key=timer.key)
        else:
            super().move(machine_id, timer)


class SetsAgain(TimedMemory):
    """With each repetition of a commit."""

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        await super().commit(lease, write)
        if write.timer is not UNCHANGED:
            self.move(lease.machine_id, write.timer)


# --- the ends of workflows --------------------------------------------------


class KeepsTimersOfTheFinished(TimedMemory):
    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        timer = UNCHANGED if write.expires_in is not None and write.timer is None else write.timer
        super()._store(machine_id, replace(write, timer=timer), by=by)


class WakesTheForgotten(TimedMemory):
    @override
    def live(self) -> dict[str, Pending]:
        return self.timers


class FindsTimersOfEarlierLives(TimedMemory):
    @override
    def begin(self, machine_id: str) -> None:
        pass


class CleansUpTheRecordOnly(FindsTimersOfEarlierLives):
    @override
    async def cleanup(self, machine_id: str) -> bool:
        return await LeasedMemory.cleanup(self, machine_id)


# --- bare writes ------------------------------------------------------------


class ReadsNoTimers(TimedMemory):
    def timer_of(self, record: Record) -> NextTimer | None:
        """Return what a bare write indexes."""
        return None

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await LeasedMemory.write(self, machine_id, record, previous)
        self.move(machine_id, self.timer_of(record))


class IndexesTheFirst(ReadsNoTimers):
    @override
    def timer_of(self, record: Record) -> NextTimer | None:
        timers: Any = record.get("timers") or {}
        first = dict([*timers.items()][:1])
        return next_timer({"timers": first})


class IndexesTheLastOfAMoment(ReadsNoTimers):
    @override
    def timer_of(self, record: Record) -> NextTimer | None:
        timers: Any = record.get("timers") or {}
        return next_timer({"timers": dict([*timers.items()][::-1])})


class IgnoresDamage(ReadsNoTimers):
    @override
    def timer_of(self, record: Record) -> NextTimer | None:
        try:
            return next_timer(record)
        except UnreadableRecordError:
            return None


class LeavesTimersOnWrites(ReadsNoTimers):
    @override
    def timer_of(self, record: Record) -> NextTimer | None:
        return next_timer(record)

    @override
    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        if timer is not None:
            super().move(machine_id, timer)


class MovesBeforeItWritesBare(TimedMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        self.move(machine_id, next_timer(record))
        await super().write(machine_id, record, previous)


BROKEN_TIMER_COMMITS: dict[str, list[type[TimedMemory]]] = {
    "test_a_timer_is_set_with_its_state": [SetsTimersLater, TimersOfEachClient],
    "test_a_refused_commit_moves_no_timer": [MovesBeforeItCompares, SetsBeforeItCompares],
    "test_an_unwritable_record_moves_no_timer": [MovesBeforeItWrites, MovesBeforeItCompares],
    "test_a_step_that_moves_no_timer_leaves_hold_and_claims": [
        ResetsAtEachStep,
        CountsAnewAtEachStep,
        RemovesAtEachStep,
    ],
    "test_a_step_without_a_timer_removes_it": [RemovesNothing, RemovesNoClaimed],
    "test_a_timer_replaces_the_one_before": [KeepsTheEarlier, KeepsTheLater],
    "test_a_new_timer_counts_its_claims_from_0": [KeepsClaims, KeepsHolds, ComparesTimes],
    "test_a_repeated_commit_does_not_set_its_timer_again": [SetsAgain],
    "test_a_commit_over_a_forgotten_workflow_sets_its_timer": [KeepsClaims],
    "test_a_finished_workflow_leaves_no_timer": [KeepsTimersOfTheFinished, RemovesNoClaimed],
    "test_a_workflow_that_expires_leaves_no_timer": [WakesTheForgotten, FindsTimersOfEarlierLives],
    "test_cleanup_removes_the_timer": [CleansUpTheRecordOnly],
    "test_a_written_record_is_indexed_by_its_earliest_timer": [
        ReadsNoTimers,
        IndexesTheFirst,
        IndexesTheLastOfAMoment,
        KeepsClaims,
    ],
    "test_a_written_record_without_timers_clears_the_index": [LeavesTimersOnWrites],
    "test_a_refused_write_moves_no_timer": [MovesBeforeItWritesBare, IgnoresDamage],
}

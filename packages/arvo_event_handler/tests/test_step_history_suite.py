"""The suite passes a sound memory, and fails each broken one by the name of what it breaks."""

import inspect
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Self

import pytest
from typing_extensions import override

from arvo_core import ArvoError
from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import (
    MachineLease,
    Record,
    RecordWrite,
    StoredJournal,
    StoredStep,
    decode_record,
    whole,
)
from arvo_event_handler.testing import (
    ConnectLeasedMachineMemory,
    LetTimePass,
    StepHistorySuite,
)
from arvo_time.testing import FakeClock

from .historic_memory import Chunk, HistoricMemory, Known

HISTORY = StepHistorySuite.history


class OnAFakeClock:
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture(params=[0, 2048])
    def memory(self, clock: FakeClock, request: pytest.FixtureRequest) -> HistoricMemory:
        return HistoricMemory(clock=clock, history=HISTORY, chunk_bytes=request.param)

    @pytest.fixture
    def connect(self, memory: HistoricMemory) -> ConnectLeasedMachineMemory:
        return lambda: nullcontext(memory.another_client())

    @pytest.fixture
    def let_pass(self, clock: FakeClock) -> LetTimePass:
        return clock.run_for


class TestSoundHistory(OnAFakeClock, StepHistorySuite):
    @pytest.fixture
    def forgetful(self, clock: FakeClock) -> HistoricMemory:
        return HistoricMemory(clock=clock)


class ListsTheLeased(HistoricMemory):
    @override
    async def times(self, subjects: Collection[str]) -> dict[str, list[datetime]]:
        times = await super().times(subjects)
        return {subject: each for subject, each in times.items() if subject in self._stored}


class KnowsNoHistory(HistoricMemory):
    """Does not tell Arvo that it keeps one."""

    @property
    @override
    def history(self) -> timedelta | None:
        return None


class LosesTheTail(HistoricMemory):
    @override
    def journal(self, subject: str, *, below: int | None) -> StoredJournal | None:
        found = super().journal(subject, below=below)
        return None if found is None else replace(found, tail=b"")


class ShowsItsOwnTailOnly(HistoricMemory):
    """To the client that wrote it."""

    is_other = False

    @override
    def another_client(self) -> Self:
        other = super().another_client()
        other.is_other = True
        return other

    @override
    def journal(self, subject: str, *, below: int | None) -> StoredJournal | None:
        found = super().journal(subject, below=below)
        return replace(found, chunks=()) if found is not None and self.is_other else found


class KeepsWhatItRefuses(HistoricMemory):
    """Appends the chunk first, and compares then."""

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        stored = self._current(lease.machine_id)
        if stored is not None and write.chunk is not None:
            known = self.known[lease.machine_id]
            chunk = (stored.last_chunk + 1, write.chunk)
            freed = (*known.freed, (chunk, self._clock.now()))
            self.known[lease.machine_id] = replace(known, freed=freed)
            await super().commit(lease, write)
            self.known[lease.machine_id] = known
            return
        await super().commit(lease, write)


class CommitsAgain(HistoricMemory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        stored = self._current(lease.machine_id)
        if stored is not None and stored.committed_by == lease.owner:
            self._store(lease.machine_id, write, by=lease.owner)
        else:
            await super().commit(lease, write)


class CountsPages(HistoricMemory):
    """Takes `after` for the number of steps to leave out, one too many."""

    @override
    async def steps(self, subject: str, *, after: int = 0, limit: int = 200) -> list[StoredStep]:
        return await super().steps(subject, after=after + 1 if after > 0 else after, limit=limit)


class KnowsNoEnd(HistoricMemory):
    """Takes a negative number for zero."""

    @override
    async def steps(self, subject: str, *, after: int = 0, limit: int = 200) -> list[StoredStep]:
        return await super().steps(subject, after=max(after, 0), limit=limit)


class FetchesOnce(HistoricMemory):
    @override
    def journal(self, subject: str, *, below: int | None) -> StoredJournal | None:
        return super().journal(subject, below=below) if below is None else None


class FetchesTheSameAgain(HistoricMemory):
    @override
    def journal(self, subject: str, *, below: int | None) -> StoredJournal | None:
        return super().journal(subject, below=None)


class StoresNoError(HistoricMemory):
    @override
    def journal(self, subject: str, *, below: int | None) -> StoredJournal | None:
        found = super().journal(subject, below=below)
        if found is None:
            return None
        return replace(found, record={**found.record, "failure": None})


class KeepsTheFailure(HistoricMemory):
    """The record of the failure, beside that of the retry."""

    @override
    async def steps(self, subject: str, *, after: int = 0, limit: int = 200) -> list[StoredStep]:
        steps = await super().steps(subject, after=after, limit=limit)
        failed: dict[str, StoredStep] = self.__dict__.setdefault("failed", {})
        for step in steps:
            if step.error is not None:
                failed[subject] = step
        if subject in failed and failed[subject] not in steps and after <= 0:
            steps.append(failed[subject])
        return steps


class HandsOutFreedChunks(HistoricMemory):
    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        lease = await super().acquire(machine_id, after=after)
        if lease is None or lease.record is None:
            return lease
        chunks = [chunk for chunk in self.all_chunks(machine_id) if chunk[0] > after]
        return replace(lease, chunks=chunks)


class HandsOutFreedChunksLater(HistoricMemory):
    @override
    async def chunks(self, lease: MachineLease) -> Sequence[Chunk]:
        await super().chunks(lease)
        return self.all_chunks(lease.machine_id)


class ReadsFreedChunks(HistoricMemory):
    @override
    async def read(self, machine_id: str) -> Record | None:
        stored = self._current(machine_id)
        if stored is None:
            return None
        chunks = self.all_chunks(machine_id)
        return whole(decode_record(stored.json), tail=stored.tail, chunks=chunks)


class DeletesFreedChunks(HistoricMemory):
    @override
    def is_kept(self, freed_at: datetime) -> bool:
        return False


class KeepsForEver(HistoricMemory):
    @override
    def is_kept(self, freed_at: datetime) -> bool:
        return self._history is not None


class KeepsAlsoWithoutHistory(HistoricMemory):
    @override
    def is_kept(self, freed_at: datetime) -> bool:
        return True


class KeepsByTheNewest(HistoricMemory):
    """Looks at when the last chunk was freed, and then at none of the others."""

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        known = self.known.get(machine_id)
        super()._store(machine_id, write, by=by)
        if known is not None and known.freed and write.frees == "earlier":
            mine = self.known[machine_id].freed
            gone = not mine or len(mine) < len(known.freed)
            self.known[machine_id] = replace(
                self.known[machine_id],
                freed=() if gone else (*known.freed, *mine[len(known.freed) :]),
            )


class DropsTheLastChunk(HistoricMemory):
    """That of the commit that frees all."""

    @override
    def freed_by(self, machine_id: str, write: RecordWrite) -> list[Chunk]:
        freed = super().freed_by(machine_id, write)
        return freed[:-1] if write.frees == "all" and write.chunk is not None else freed


class ExpiresAsItLikes(HistoricMemory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        expires_in = None if write.expires_in is None else timedelta(minutes=1)
        await super().commit(lease, replace(write, expires_in=expires_in))


class NeverExpires(HistoricMemory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        await super().commit(lease, replace(write, expires_in=None))


class KeepsChunksOfWhatWasReplaced(HistoricMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        before = self.all_chunks(machine_id) if machine_id in self._stored else []
        await super().write(machine_id, record, previous)
        freed = tuple((chunk, self._clock.now()) for chunk in before)
        self.known[machine_id] = replace(self.known[machine_id], freed=freed)


class ForgetsTheRecordOnly(HistoricMemory):
    """And finds the chunks again when the workflow begins again."""

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        known: Known | None = self.known.get(machine_id)
        begins = self._current(machine_id) is None
        super()._store(machine_id, write, by=by)
        if begins and known is not None:
            self.known[machine_id] = replace(self.known[machine_id], freed=known.freed)


class CleansUpNothing(HistoricMemory):
    @override
    async def cleanup(self, machine_id: str) -> bool:
        return machine_id in self._stored


class ReadsNoTailForTimes(HistoricMemory):
    @override
    def times_of(self, subject: str) -> list[datetime]:
        steps = super().times_of(subject)
        return steps[:1]


class ReadsAllForTimes(HistoricMemory):
    @override
    def times_of(self, subject: str) -> list[datetime]:
        stored = self._current(subject)
        return super().times_of(subject) * (2 if stored and stored.last_chunk > 1 else 1)


class TimesNoFailure(HistoricMemory):
    @override
    def times_of(self, subject: str) -> list[datetime]:
        if subject in self.known:
            self.known[subject] = replace(self.known[subject], failed=False)
        return super().times_of(subject)


class SkipsDamage(HistoricMemory):
    @override
    async def steps(self, subject: str, *, after: int = 0, limit: int = 200) -> list[StoredStep]:
        try:
            return await super().steps(subject, after=after, limit=limit)
        except MachineMemoryError:
            return []


class TakesAnyLimit(HistoricMemory):
    @override
    async def steps(self, subject: str, *, after: int = 0, limit: int = 200) -> list[StoredStep]:
        wanted = limit if 0 < limit <= 1000 else 200
        return await super().steps(subject, after=after, limit=wanted)


class TakesAnySubjects(HistoricMemory):
    @override
    async def times(self, subjects: Collection[str]) -> dict[str, list[datetime]]:
        return {subject: self.times_of(subject) for subject in subjects}


class TakesAnySubject(HistoricMemory):
    @override
    async def steps(self, subject: str, *, after: int = 0, limit: int = 200) -> list[StoredStep]:
        return await super().steps(subject, after=after, limit=limit) if subject else []


BROKEN: dict[str, list[type[HistoricMemory]]] = {
    "test_a_workflow_that_is_not_stored_has_no_steps": [ListsTheLeased, KnowsNoHistory],
    "test_a_workflow_is_shown_step_by_step": [KnowsNoHistory],
    "test_a_step_is_shown_after_each_commit": [
        LosesTheTail,
        DeletesFreedChunks,
        ShowsItsOwnTailOnly,
    ],
    "test_a_large_state_is_measured_and_not_kept": [KnowsNoHistory],
    "test_a_refused_commit_shows_no_step": [KeepsWhatItRefuses],
    "test_a_repeated_commit_shows_its_step_once": [CommitsAgain],
    "test_steps_come_in_pages": [CountsPages, KnowsNoEnd],
    "test_pages_go_back_through_any_number_of_chunks": [FetchesOnce, FetchesTheSameAgain],
    "test_a_failed_step_is_shown_until_its_retry": [StoresNoError, KeepsTheFailure],
    "test_a_failed_step_has_its_place_in_pages": [StoresNoError, CountsPages],
    "test_freed_chunks_stay_and_are_not_needed": [
        HandsOutFreedChunks,
        HandsOutFreedChunksLater,
        ReadsFreedChunks,
        DeletesFreedChunks,
    ],
    "test_freed_chunks_go_when_their_time_is_over": [
        DeletesFreedChunks,
        KeepsForEver,
        KeepsByTheNewest,
    ],
    "test_a_completed_workflow_keeps_all_its_steps": [
        KnowsNoHistory,
        DropsTheLastChunk,
        HandsOutFreedChunks,
    ],
    "test_a_finished_workflow_stays_as_long_as_its_history": [
        KnowsNoHistory,
        ExpiresAsItLikes,
        NeverExpires,
    ],
    "test_a_plain_write_leaves_the_history_that_its_record_has": [KeepsChunksOfWhatWasReplaced],
    "test_a_history_goes_on_after_a_plain_write": [KeepsChunksOfWhatWasReplaced],
    "test_cleanup_forgets_the_history": [CleansUpNothing, ForgetsTheRecordOnly],
    "test_a_later_life_shows_nothing_of_the_one_before": [ForgetsTheRecordOnly, NeverExpires],
    "test_without_history_nothing_is_kept": [KeepsAlsoWithoutHistory],
    "test_times_are_those_of_the_latest_steps": [
        ReadsNoTailForTimes,
        ReadsAllForTimes,
        DropsTheLastChunk,
    ],
    "test_times_have_that_of_a_failure": [TimesNoFailure],
    "test_damage_is_an_error_and_shows_no_times": [SkipsDamage],
    "test_a_wrong_page_is_refused": [TakesAnyLimit],
    "test_wrong_subjects_are_refused": [TakesAnySubject, TakesAnySubjects],
}


def test_every_behaviour_has_a_memory_that_breaks_it() -> None:
    behaviours = {name for name in dir(StepHistorySuite) if name.startswith("test_")}
    assert {name for name, memories in BROKEN.items() if memories} == behaviours


@pytest.mark.parametrize(
    ("behaviour", "broken"),
    [
        pytest.param(behaviour, memory, id=f"{behaviour}-{memory.__name__}")
        for behaviour, memories in BROKEN.items()
        for memory in memories
    ],
)
async def test_a_broken_memory_fails_by_name(behaviour: str, broken: type[HistoricMemory]) -> None:
    clock = FakeClock()
    memory = broken(clock=clock, history=HISTORY)
    fixtures: dict[str, object] = {
        "memory": memory,
        "connect": lambda: nullcontext(memory.another_client()),
        "let_pass": clock.run_for,
        "forgetful": broken(clock=clock),
    }
    test: Callable[..., Awaitable[None]] = getattr(StepHistorySuite(), behaviour)
    wanted = {name: fixtures[name] for name in inspect.signature(test).parameters}
    with pytest.raises((AssertionError, ArvoError, ValueError)):
        await test(**wanted)

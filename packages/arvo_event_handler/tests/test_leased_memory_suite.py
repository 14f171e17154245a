"""The suite for leases passes on a correct memory and fails, by name, on broken ones."""

import asyncio
import inspect
import secrets
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Self

import pytest
from typing_extensions import override

from arvo_event_handler import MachineMemoryError, TransactionViolation, TransactionViolationCause
from arvo_event_handler.memory import (
    ILeasedMachineMemory,
    LockPolicy,
    MachineLease,
    Record,
    RecordWrite,
)
from arvo_event_handler.testing import (
    ConnectLeasedMachineMemory,
    LeasedMachineMemorySuite,
    LetTimePass,
    MachineMemorySuite,
    _contention,
    record_write,
)
from arvo_event_handler.testing._watched_renewals import WatchedRenewals
from arvo_time.testing import FakeClock

from .broken_chunks import BROKEN_CHUNKS
from .broken_journals import BROKEN_JOURNALS
from .leased_memory import LeasedMemory, Stored, WaitingLeasedMemory

POLICY = LockPolicy(ttl=timedelta(seconds=10), max_wait=timedelta(seconds=1))


# --- correct memories pass --------------------------------------------------


class TestWaitingLeasedMemory(LeasedMachineMemorySuite):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def memory(self, clock: FakeClock) -> LeasedMemory:
        return WaitingLeasedMemory(clock=clock, policy=POLICY)

    @pytest.fixture
    def connect(self, memory: LeasedMemory) -> ConnectLeasedMachineMemory:
        return lambda: nullcontext(memory.another_client())

    @pytest.fixture
    def let_pass(self, clock: FakeClock) -> LetTimePass:
        return clock.run_for


class TestOneClientOnly(TestWaitingLeasedMemory):
    @override
    @pytest.fixture
    def connect(self, memory: LeasedMemory) -> ConnectLeasedMachineMemory:
        return lambda: nullcontext(memory)


class TestTheFourCalls(MachineMemorySuite):
    @pytest.fixture
    def memory(self) -> ILeasedMachineMemory:
        return LeasedMemory(clock=FakeClock())


class TestTheFourCallsWhileRenewalsAreWatched(MachineMemorySuite):
    @pytest.fixture
    def memory(self) -> ILeasedMachineMemory:
        return WatchedRenewals(LeasedMemory(clock=FakeClock()))


# --- what a lease says ------------------------------------------------------


class Memory(WaitingLeasedMemory):
    """Correct; each subclass below breaks one thing."""

    @property
    def version_moved(self) -> TransactionViolation:
        return TransactionViolation.version_moved("order-7")


class CountsFromOne(Memory):
    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        lease = await super().acquire(machine_id, after=after)
        return None if lease is None else replace(lease, version=lease.version + 1)


class ReadsNoRecord(Memory):
    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        lease = await super().acquire(machine_id, after=after)
        return None if lease is None else replace(lease, record=None)


class IsItsLeasesOwner(Memory):
    @override
    def _take(self, machine_id: str, owner: str) -> str:
        return super()._take(machine_id, "the owner of everything")


class CountsOwners(Memory):
    def __init__(self, *, clock: FakeClock, policy: LockPolicy) -> None:
        super().__init__(clock=clock, policy=policy)
        self._owners = 0

    @override
    def _take(self, machine_id: str, owner: str) -> str:
        self._owners += 1
        return super()._take(machine_id, f"{self._owners}")


class SharesRecords(Memory):
    """Hands out, and keeps, the objects that others change."""

    def __init__(self, *, clock: FakeClock, policy: LockPolicy) -> None:
        super().__init__(clock=clock, policy=policy)
        self._objects: dict[str, Record] = {}

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        lease = await super().acquire(machine_id, after=after)
        if lease is None or lease.record is None:
            return lease
        return replace(lease, record=self._objects.setdefault(machine_id, lease.record))

    @override
    async def read(self, machine_id: str) -> Record | None:
        return self._objects.get(machine_id) or await super().read(machine_id)

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        await super().commit(lease, write)
        self._objects[lease.machine_id] = write.record


class WritesAtAcquire(Memory):
    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        lease = await super().acquire(machine_id, after=after)
        if lease is not None and lease.record is None:
            self._store(machine_id, record_write({}), by="")
        return lease


class LeasesUnderNoId(Memory):
    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        return await super().acquire(machine_id or "nobody")


# --- one holder at a time ---------------------------------------------------


class GrantsToEverybody(Memory):
    @override
    def _holder(self, machine_id: str) -> str | None:
        return None


class LooksAndTakesLater(Memory):
    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        if self._holder(machine_id) is not None:
            return await super().acquire(machine_id, after=after)
        await asyncio.sleep(0)
        self._held.pop(machine_id, None)
        return await super().acquire(machine_id, after=after)


class LeasesForItself(Memory):
    @override
    def another_client(self) -> Self:
        other = super().another_client()
        other._held = {}
        return other


class HasOneLease(Memory):
    @override
    def _holder(self, machine_id: str) -> str | None:
        return next(filter(None, map(super()._holder, self._held)), None)


class LocksBesideLeases(Memory):
    """The four calls and the leases ignore each other."""

    @override
    async def lock(self, machine_id: str) -> bool:
        return await super().lock(f"lock of {machine_id}")

    @override
    async def unlock(self, machine_id: str) -> bool:
        return await super().unlock(f"lock of {machine_id}")


class UnlocksLeases(Memory):
    @override
    async def unlock(self, machine_id: str) -> bool:
        self._held.pop(machine_id, None)
        return True


class WaitsIndefinitely(Memory):
    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        while (lease := await super().acquire(machine_id, after=after)) is None:
            pass
        return lease


# --- release ---------------------------------------------------------------


class NeverReleases(Memory):
    @override
    async def release(self, lease: MachineLease) -> None:
        pass


class WritesAtRelease(Memory):
    @override
    async def release(self, lease: MachineLease) -> None:
        if lease.record is not None and self._holder(lease.machine_id) == lease.owner:
            self._store(lease.machine_id, record_write(lease.record), by="")
        await super().release(lease)


class ReleasesAnyHolder(Memory):
    @override
    async def release(self, lease: MachineLease) -> None:
        self._held.pop(lease.machine_id, None)


class NeverWaits(LeasedMemory):
    pass


class ReadsBeforeItWaits(Memory):
    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        record = await self.read(machine_id)
        lease = await super().acquire(machine_id, after=after)
        return None if lease is None else replace(lease, record=record)


# --- commits ----------------------------------------------------------------


class CommitsForItself(Memory):
    @override
    def another_client(self) -> Self:
        other = super().another_client()
        other._stored = {}
        return other


class KeepsTheLease(Memory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        held = self._held.get(lease.machine_id)
        await super().commit(lease, write)
        if held is not None:
            self._held[lease.machine_id] = held


class MergesCommits(Memory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        merged: Record = {**(lease.record or {}), **write.record}
        await super().commit(lease, replace(write, record=merged))


class NeverCounts(Memory):
    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        super()._store(machine_id, write, by=by)
        self._stored[machine_id] = replace(self._stored[machine_id], version=1)


class WritesBesideCommits(Memory):
    """The four calls keep records of their own."""

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await super().write(machine_id + "'s record", record, None)


class Repeating(Memory):
    """Handles a repeated commit in a wrong way."""

    def again(self, lease: MachineLease, write: RecordWrite) -> None:
        raise NotImplementedError

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        stored = self._stored.get(lease.machine_id)
        if stored is not None and stored.committed_by == lease.owner:
            self.again(lease, write)
        else:
            await super().commit(lease, write)


class RefusesTheSameAgain(Repeating):
    @override
    def again(self, lease: MachineLease, write: RecordWrite) -> None:
        raise self.version_moved


class WritesTwice(Repeating):
    @override
    def again(self, lease: MachineLease, write: RecordWrite) -> None:
        self._store(lease.machine_id, write, by=lease.owner)


class DropsTheNextLease(Repeating):
    @override
    def again(self, lease: MachineLease, write: RecordWrite) -> None:
        self._held.pop(lease.machine_id, None)


class AcceptsAnyCommit(Memory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        self._store(lease.machine_id, write, by=lease.owner)
        self._held.pop(lease.machine_id, None)


class ComparesNothing(Memory):
    @override
    def is_as_loaded(self, stored: Stored | None, lease: MachineLease) -> bool:
        return True


class ComparesTheVersionOnly(Memory):
    """A workflow that was forgotten and began again reaches the same versions."""

    @override
    def is_as_loaded(self, stored: Stored | None, lease: MachineLease) -> bool:
        return (0 if stored is None else stored.version) == lease.version


class ComparesNoFirstVersion(Memory):
    @override
    def is_as_loaded(self, stored: Stored | None, lease: MachineLease) -> bool:
        return lease.version == 0 or super().is_as_loaded(stored, lease)


class RefusesAllButTheHolder(Memory):
    """As fencing tokens do: a holder that has outlasted its lease has worked for nothing."""

    cause = TransactionViolationCause.LEASE_LOST

    @override
    def is_as_loaded(self, stored: Stored | None, lease: MachineLease) -> bool:
        held = self._held.get(lease.machine_id)
        if held is None or held.owner != lease.owner:
            self._refuse(lease.machine_id, self.cause)
        return super().is_as_loaded(stored, lease)


class RefusesAllButTheHolderByAnotherName(RefusesAllButTheHolder):
    cause = TransactionViolationCause.VERSION_MOVED


class RefusesAfterATakeover(Memory):
    """It remembers who was overtaken, permanently."""

    def __init__(self, *, clock: FakeClock, policy: LockPolicy) -> None:
        super().__init__(clock=clock, policy=policy)
        self._overtaken: set[str] = set()

    @override
    def _take(self, machine_id: str, owner: str) -> str:
        held = self._held.get(machine_id)
        if held is not None:
            self._overtaken.add(held.owner)
        return super()._take(machine_id, owner)

    @override
    def is_as_loaded(self, stored: Stored | None, lease: MachineLease) -> bool:
        return lease.owner not in self._overtaken and super().is_as_loaded(stored, lease)


class CommitsOnlyWhereItLeased(Memory):
    """A commit needs its lease, which is forgotten unless the workflow was ever written."""

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        now = self._clock.now()
        self._held = {key: held for key, held in self._held.items() if held.until > now}
        return await super().acquire(machine_id, after=after)

    @override
    def is_as_loaded(self, stored: Stored | None, lease: MachineLease) -> bool:
        return lease.machine_id in self._held and super().is_as_loaded(stored, lease)


class DropsItsOwnLeaseOnly(Memory):
    """Others wait for a holder whose work is in vain."""

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        held = self._held.get(lease.machine_id)
        await super().commit(lease, write)
        if held is not None and held.owner != lease.owner:
            self._held[lease.machine_id] = held


class DropsTheLeaseWhenItRefuses(Memory):
    @override
    def _refuse(self, machine_id: str, cause: TransactionViolationCause) -> None:
        self._held.pop(machine_id, None)
        super()._refuse(machine_id, cause)


class WritesAndThenRefuses(Memory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        try:
            await super().commit(lease, write)
        except TransactionViolation:
            self._store(lease.machine_id, write, by="")
            raise


class RefusesWithAnotherCause(Memory):
    @override
    def _refuse(self, machine_id: str, cause: TransactionViolationCause) -> None:
        raise TransactionViolation(
            "refused", cause=TransactionViolationCause.WRITE_FAILURE, subject=machine_id
        )


class NamesNoWorkflow(Memory):
    @override
    def _refuse(self, machine_id: str, cause: TransactionViolationCause) -> None:
        raise TransactionViolation("refused", cause=cause, subject="")


class ChecksAndCommitsLater(Memory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        stored = self._current(lease.machine_id)
        if (0 if stored is None else stored.version) != lease.version:
            raise self.version_moved
        await asyncio.sleep(0)
        self._store(lease.machine_id, write, by=lease.owner)
        self._held.pop(lease.machine_id, None)


# --- records that are forgotten ---------------------------------------------


class Expiring(Memory):
    """Changes when a record is forgotten."""

    def expires_in(self, machine_id: str, delta: timedelta | None) -> timedelta | None:
        raise NotImplementedError

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        changed = self.expires_in(machine_id, write.expires_in)
        super()._store(machine_id, replace(write, expires_in=changed), by=by)


class NeverForgets(Expiring):
    @override
    def expires_in(self, machine_id: str, delta: timedelta | None) -> timedelta | None:
        return None


class ForgetsImmediately(Expiring):
    @override
    def expires_in(self, machine_id: str, delta: timedelta | None) -> timedelta | None:
        return None if delta is None else timedelta(0)


class KeepsTheFirstExpiry(Expiring):
    @override
    def expires_in(self, machine_id: str, delta: timedelta | None) -> timedelta | None:
        stored = self._stored.get(machine_id)
        if stored is None or stored.forgotten_at is None:
            return delta
        return stored.forgotten_at - self._clock.now()


class CountsOnAfterExpiry(Memory):
    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        lease = await super().acquire(machine_id, after=after)
        stored = self._stored.get(machine_id)
        if lease is None or stored is None:
            return lease
        return replace(lease, version=stored.version)


class CommitsOverWhatIsForgotten(Memory):
    @override
    def is_as_loaded(self, stored: Stored | None, lease: MachineLease) -> bool:
        return super().is_as_loaded(self._stored.get(lease.machine_id), lease)


# --- leases that expire -----------------------------------------------------


class NeverExpires(Memory):
    @override
    def _holder(self, machine_id: str) -> str | None:
        held = self._held.get(machine_id)
        return None if held is None else held.owner


class NeverExpiresAndNeverWaits(NeverWaits):
    @override
    def _holder(self, machine_id: str) -> str | None:
        held = self._held.get(machine_id)
        return None if held is None else held.owner


class OnlyLeasesExpire(Memory):
    @override
    def _holder(self, machine_id: str) -> str | None:
        held = self._held.get(machine_id)
        if held is not None and held.owner == self._instance:
            return held.owner
        return super()._holder(machine_id)


class ExpiresEarly(Memory):
    @override
    def _take(self, machine_id: str, owner: str) -> str:
        super()._take(machine_id, owner)
        held = self._held[machine_id]
        self._held[machine_id] = replace(held, until=self._clock.now() + self.policy.ttl / 3)
        return owner


class CommitsOnlyInTime(Memory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        if self._holder(lease.machine_id) is None:
            raise self.version_moved
        await super().commit(lease, write)


class RenewsNothing(Memory):
    @override
    async def renew(self, lease: MachineLease) -> bool:
        return True


class RenewsIndefinitely(Memory):
    @override
    async def renew(self, lease: MachineLease) -> bool:
        held = self._held.get(lease.machine_id)
        if held is None or held.owner != lease.owner:
            return False
        until = self._clock.now() + timedelta(days=1)
        self._held[lease.machine_id] = replace(held, until=until)
        return True


class RenewsUnderANewOwner(Memory):
    @override
    async def renew(self, lease: MachineLease) -> bool:
        renewed = await super().renew(lease)
        if renewed:
            self._take(lease.machine_id, secrets.token_hex(16))
        return renewed


class RenewsOnlyInTime(Memory):
    @override
    async def renew(self, lease: MachineLease) -> bool:
        return self._holder(lease.machine_id) is not None and await super().renew(lease)


class RenewsAnyFreeLease(Memory):
    @override
    async def renew(self, lease: MachineLease) -> bool:
        if self._holder(lease.machine_id) is None:
            self._take(lease.machine_id, lease.owner)
        return await super().renew(lease)


class RenewsForAnyCaller(Memory):
    @override
    async def renew(self, lease: MachineLease) -> bool:
        self._take(lease.machine_id, lease.owner)
        return True


# --- cancellation -----------------------------------------------------------


class HoldsIndefinitelyWhenCancelled(Memory):
    """It writes the holder of the lease first, and its end later."""

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        lease = await super().acquire(machine_id, after=after)
        if lease is not None:
            held = self._held[machine_id]
            until = self._clock.now() + timedelta(days=1)
            self._held[machine_id] = replace(held, until=until)
            await asyncio.sleep(0)
            self._held[machine_id] = held
        return lease


class HandsTheLeaseToTheCancelled(Memory):
    """A release hands the lease to the first waiter, even if it has been cancelled."""

    def __init__(self, *, clock: FakeClock, policy: LockPolicy) -> None:
        super().__init__(clock=clock, policy=policy)
        self._waiting: dict[str, asyncio.Future[MachineLease | None]] = {}

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        if self._holder(machine_id) is None:
            return await super().acquire(machine_id, after=after)
        self._waiting[machine_id] = handed = asyncio.get_running_loop().create_future()
        return await asyncio.shield(handed)

    @override
    async def release(self, lease: MachineLease) -> None:
        await super().release(lease)
        waiting = self._waiting.pop(lease.machine_id, None)
        if waiting is not None:
            waiting.set_result(await super().acquire(lease.machine_id))


class CommitsMemberByMember(Memory):
    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        written: Record = {}
        for key, value in write.record.items():
            written = {**written, key: value}
            self._store(lease.machine_id, replace(write, record=written), by="")
            await asyncio.sleep(0)
        await super().release(lease)


class ReleasesInTwoSteps(Memory):
    """It marks the lease as being released, permanently if cancelled there."""

    @override
    async def release(self, lease: MachineLease) -> None:
        held = self._held.get(lease.machine_id)
        if held is not None and held.owner == lease.owner:
            until = self._clock.now() + timedelta(days=1)
            self._held[lease.machine_id] = replace(held, until=until)
            await asyncio.sleep(0)
            del self._held[lease.machine_id]


class RenewsInTwoSteps(Memory):
    """It drops the lease and takes it again."""

    @override
    async def renew(self, lease: MachineLease) -> bool:
        held = self._held.pop(lease.machine_id, None)
        await asyncio.sleep(0)
        if held is None:
            return False
        self._held[lease.machine_id] = held
        return await super().renew(lease)


BROKEN: dict[str, list[type[LeasedMemory]]] = {
    "test_a_workflow_that_never_ran_is_leased_at_version_0": [CountsFromOne],
    "test_a_lease_shows_the_record_and_its_version": [ReadsNoRecord, NeverCounts],
    "test_each_lease_has_an_owner_of_its_own": [IsItsLeasesOwner, CountsOwners],
    "test_the_record_of_a_lease_is_its_holders_own": [SharesRecords],
    "test_a_lease_is_not_a_record": [WritesAtAcquire],
    "test_an_empty_machine_id_is_refused_by_acquire": [LeasesUnderNoId],
    "test_exactly_one_of_many_contenders_gets_the_lease": [
        GrantsToEverybody,
        LooksAndTakesLater,
        LeasesForItself,
    ],
    "test_a_lease_excludes_other_clients": [LeasesForItself, WaitsIndefinitely],
    "test_a_lease_leaves_other_workflows_free": [HasOneLease],
    "test_a_lease_excludes_the_plain_lock": [LocksBesideLeases],
    "test_a_plain_lock_excludes_leases": [LocksBesideLeases],
    "test_unlock_leaves_a_lease_alone": [UnlocksLeases],
    "test_a_released_lease_goes_to_the_next_caller": [NeverReleases],
    "test_a_release_writes_nothing": [WritesAtRelease],
    "test_a_second_release_leaves_the_next_holder_alone": [ReleasesAnyHolder],
    "test_a_waiter_gets_the_lease_when_it_is_released": [NeverWaits],
    "test_a_waiter_gets_what_the_holder_committed": [ReadsBeforeItWaits],
    "test_a_committed_record_is_read_by_every_client": [CommitsForItself],
    "test_a_commit_drops_the_lease": [KeepsTheLease],
    "test_each_commit_raises_the_version_by_one": [NeverCounts],
    "test_a_commit_replaces_the_whole_record": [MergesCommits],
    "test_a_committed_record_is_isolated_from_its_writer": [SharesRecords],
    "test_a_plain_write_sees_what_was_committed": [WritesBesideCommits],
    "test_a_repeated_commit_writes_nothing_twice": [RefusesTheSameAgain, WritesTwice],
    "test_a_repeated_commit_leaves_the_next_holder_alone": [DropsTheNextLease],
    "test_a_repeated_old_commit_does_not_undo_a_newer_one": [
        AcceptsAnyCommit,
        RefusesWithAnotherCause,
    ],
    "test_a_commit_after_a_release_stands_unless_another_wrote": [
        RefusesAllButTheHolder,
        ComparesNothing,
        RefusesWithAnotherCause,
    ],
    "test_a_commit_over_another_clients_write_is_refused": [
        ComparesNothing,
        WritesAndThenRefuses,
        RefusesWithAnotherCause,
    ],
    "test_a_first_commit_over_a_first_write_is_refused": [ComparesNoFirstVersion],
    "test_a_refused_commit_names_the_workflow": [NamesNoWorkflow, ComparesNothing],
    "test_exactly_one_of_a_commit_and_a_write_wins": [ChecksAndCommitsLater],
    "test_no_update_of_many_holders_is_lost": [LooksAndTakesLater, KeepsTheLease],
    "test_a_record_is_forgotten_when_it_expires": [NeverForgets],
    "test_a_record_is_there_until_it_expires": [ForgetsImmediately],
    "test_the_last_commit_says_how_long_a_record_is_kept": [KeepsTheFirstExpiry],
    "test_a_forgotten_workflow_begins_again": [CountsOnAfterExpiry, KeepsTheFirstExpiry],
    "test_a_commit_over_a_record_that_was_forgotten_is_refused": [CommitsOverWhatIsForgotten],
    "test_a_commit_over_a_workflow_that_began_again_is_refused": [
        ComparesTheVersionOnly,
        RefusesAllButTheHolder,
    ],
    "test_a_lease_frees_itself_after_its_ttl": [NeverExpires],
    "test_a_lease_holds_until_its_ttl": [ExpiresEarly],
    "test_a_plain_lock_frees_itself_after_its_ttl": [OnlyLeasesExpire],
    "test_an_expired_lease_not_taken_over_still_commits": [CommitsOnlyInTime],
    "test_a_renewed_lease_lasts_its_ttl_from_the_renewal": [RenewsNothing, RenewsIndefinitely],
    "test_a_renewed_lease_stays_its_holders": [RenewsUnderANewOwner],
    "test_an_expired_lease_not_taken_over_can_be_renewed": [RenewsOnlyInTime],
    "test_a_lease_that_was_dropped_cannot_be_renewed": [RenewsNothing, RenewsAnyFreeLease],
    "test_the_first_commit_wins_although_the_lease_was_taken_over": [
        RefusesAllButTheHolder,
        AcceptsAnyCommit,
        WritesAndThenRefuses,
        RefusesWithAnotherCause,
    ],
    "test_the_first_commit_drops_the_lease_that_was_taken_over": [
        DropsItsOwnLeaseOnly,
        DropsTheNextLease,
    ],
    "test_a_stale_holder_commits_after_its_taker_gave_up": [
        RefusesAllButTheHolder,
        RefusesAfterATakeover,
    ],
    "test_a_commit_of_a_stale_holder_is_refused_once_its_taker_committed": [
        AcceptsAnyCommit,
        WritesAndThenRefuses,
        DropsTheLeaseWhenItRefuses,
        RefusesAllButTheHolder,
    ],
    "test_exactly_one_of_many_stale_holders_commits": [
        ChecksAndCommitsLater,
        ComparesNothing,
    ],
    "test_a_first_commit_stands_however_late_it_comes": [
        CommitsOnlyInTime,
        CommitsOnlyWhereItLeased,
    ],
    "test_steps_that_block_for_longer_than_the_ttl_get_done": [
        RefusesAllButTheHolder,
        RefusesAllButTheHolderByAnotherName,
        RefusesAfterATakeover,
        RefusesWithAnotherCause,
        AcceptsAnyCommit,
        NeverExpiresAndNeverWaits,
    ],
    "test_steps_that_last_beyond_the_longest_hold_get_done": [
        RefusesAllButTheHolder,
        RefusesAllButTheHolderByAnotherName,
        RefusesAfterATakeover,
        RenewsUnderANewOwner,
    ],
    "test_a_release_of_a_stale_holder_changes_nothing": [ReleasesAnyHolder],
    "test_a_renewal_of_a_stale_holder_is_refused": [RenewsForAnyCaller, RenewsNothing],
    "test_unlock_of_a_stale_lock_leaves_the_next_holder_alone": [UnlocksLeases],
    "test_a_cancelled_acquire_holds_nothing_beyond_the_ttl": [HoldsIndefinitelyWhenCancelled],
    "test_a_cancelled_waiter_is_not_handed_the_lease": [HandsTheLeaseToTheCancelled],
    "test_a_cancelled_commit_leaves_nothing_torn": [CommitsMemberByMember],
    "test_a_cancelled_release_holds_nothing_beyond_the_ttl": [ReleasesInTwoSteps],
    "test_a_cancelled_renewal_keeps_the_lease": [RenewsInTwoSteps],
    **BROKEN_CHUNKS,
    **BROKEN_JOURNALS,
}


# --- every behaviour refuses what breaks it ---------------------------------


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken memory may hang: do not wait long for it."""
    monkeypatch.setattr(_contention, "PATIENCE", timedelta(milliseconds=50))


def test_every_behaviour_has_a_memory_that_breaks_it() -> None:
    behaviours = {name for name in dir(LeasedMachineMemorySuite) if name.startswith("test_")}
    assert {name for name, memories in BROKEN.items() if memories} == behaviours


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("behaviour", "broken"),
    [
        pytest.param(behaviour, memory, id=f"{behaviour}-{memory.__name__}")
        for behaviour, memories in BROKEN.items()
        for memory in memories
    ],
)
async def test_a_broken_memory_fails_by_name(behaviour: str, broken: type[LeasedMemory]) -> None:
    clock = FakeClock()
    memory = broken(clock=clock, policy=POLICY)
    fixtures: dict[str, object] = {
        "memory": memory,
        "connect": lambda: nullcontext(memory.another_client()),
        "let_pass": clock.run_for,
    }
    test: Callable[..., Awaitable[None]] = getattr(LeasedMachineMemorySuite(), behaviour)
    wanted = {name: fixtures[name] for name in inspect.signature(test).parameters}
    before = asyncio.all_tasks()
    with pytest.raises((AssertionError, MachineMemoryError, TransactionViolation)):
        await test(**wanted)
    left = asyncio.all_tasks() - before
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)

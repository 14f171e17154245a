"""The memory suite fails on broken memories, by the name of what they break.

A suite that passes with every memory proves nothing, so every behaviour has at least one memory
here that it must refuse. What several clients share has a file of its own.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

import pytest
from typing_extensions import override

from arvo_event_handler import (
    IMachineMemory,
    MachineMemoryError,
    SimpleMachineMemory,
    TransactionViolation,
    TransactionViolationCause,
    UnwritableRecordError,
)
from arvo_event_handler.memory import Record
from arvo_event_handler.testing import MachineMemorySuite


def moved(machine_id: str) -> TransactionViolation:
    return TransactionViolation(
        "another writer wrote", cause=TransactionViolationCause.VERSION_MOVED, subject=machine_id
    )


def changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """Apply `change` to every value of a record, the innermost first."""
    if isinstance(value, dict):
        value = {key: changed(member, change) for key, member in value.items()}
    elif isinstance(value, list):
        value = [changed(item, change) for item in value]
    return change(value)


# --- records ----------------------------------------------------------------


class InventsRecords(SimpleMachineMemory):
    @override
    async def read(self, machine_id: str) -> Record | None:
        return await super().read(machine_id) or {}


class Reshapes(SimpleMachineMemory):
    """It reads back something else than was written; `reshape` makes the change."""

    def reshape(self, record: Record) -> Record | None:
        raise NotImplementedError

    @override
    async def read(self, machine_id: str) -> Record | None:
        record = await super().read(machine_id)
        return None if record is None else self.reshape(record)


class KeepsOnlyFlatMembers(Reshapes):
    @override
    def reshape(self, record: Record) -> Record:
        return {key: value for key, value in record.items() if not isinstance(value, dict | list)}


class KnowsOnlyAscii(Reshapes):
    @override
    def reshape(self, record: Record) -> Record:
        return {
            key.encode("ascii", "ignore").decode(): value.encode("ascii", "ignore").decode()
            if isinstance(value, str)
            else value
            for key, value in record.items()
        }


class CutsTextAtNul(Reshapes):
    @override
    def reshape(self, record: Record) -> Record:
        def cut(value: Any) -> Any:
            return value.partition("\x00")[0] if isinstance(value, str) else value

        return {cut(key): cut(value) for key, value in record.items()}


class CountsInDoubles(Reshapes):
    @override
    def reshape(self, record: Record) -> Record:
        def as_double(value: Any) -> Any:
            return int(float(value)) if type(value) is int else value

        return changed(record, as_double)  # type: ignore[no-any-return]


class RoundsFloats(Reshapes):
    @override
    def reshape(self, record: Record) -> Record:
        def rounded(value: Any) -> Any:
            return float(f"{value:.15g}") if isinstance(value, float) else value

        return changed(record, rounded)  # type: ignore[no-any-return]


class CountsBooleans(Reshapes):
    @override
    def reshape(self, record: Record) -> Record:
        def as_number(value: Any) -> Any:
            return int(value) if isinstance(value, bool) else value

        return changed(record, as_number)  # type: ignore[no-any-return]


class DropsNulls(Reshapes):
    @override
    def reshape(self, record: Record) -> Record:
        return {key: value for key, value in record.items() if value is not None}


class TakesEmptyForMissing(Reshapes):
    @override
    def reshape(self, record: Record) -> Record | None:
        return record or None


class TakesEmptyListsForObjects(Reshapes):
    @override
    def reshape(self, record: Record) -> Record:
        def as_object(value: Any) -> Any:
            return {} if value == [] else value

        return changed(record, as_object)  # type: ignore[no-any-return]


class StopsAtDepth50(Reshapes):
    @override
    def reshape(self, record: Record) -> Record:
        def cut(value: Any, depth: int) -> Any:
            if isinstance(value, dict):
                value = {k: cut(v, depth + 1) for k, v in value.items()} if depth < 50 else {}
            return value

        return cut(record, 0)  # type: ignore[no-any-return]


class SortsKeys(Reshapes):
    @override
    def reshape(self, record: Record) -> Record:
        def ordered(value: Any) -> Any:
            return dict(sorted(value.items())) if isinstance(value, dict) else value

        return changed(record, ordered)  # type: ignore[no-any-return]


class SortsOnlyInnerKeys(SortsKeys):
    @override
    def reshape(self, record: Record) -> Record:
        ordered = super().reshape(record)
        return {key: ordered[key] for key in record}


class MergesWrites(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await super().write(machine_id, {**(previous or {}), **record}, previous)


class HasALimit(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        if len(str(record)) > 512 * 1024:
            raise UnwritableRecordError("too large")
        await super().write(machine_id, record, previous)


class KeepsTheWritersObjects(SimpleMachineMemory):
    def __init__(self) -> None:
        super().__init__()
        self._objects: dict[str, Record] = {}

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        self._objects[machine_id] = record

    @override
    async def read(self, machine_id: str) -> Record | None:
        return self._objects.get(machine_id)


class CopiesOnlyTheTop(KeepsTheWritersObjects):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        self._objects[machine_id] = dict(record)


class HandsOutItsOwnObjects(SimpleMachineMemory):
    def __init__(self) -> None:
        super().__init__()
        self._objects: dict[str, Record] = {}

    @override
    async def read(self, machine_id: str) -> Record | None:
        record = await super().read(machine_id)
        return None if record is None else self._objects.setdefault(machine_id, record)


class StampsRecords(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await super().write(machine_id, record, previous)
        record["_version"] = 1


# --- machine ids ------------------------------------------------------------


class ReadsUnderNoId(SimpleMachineMemory):
    @override
    async def read(self, machine_id: str) -> Record | None:
        return await super().read(machine_id or "nobody")


class WritesUnderNoId(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await super().write(machine_id or "nobody", record, previous)


class LocksUnderNoId(SimpleMachineMemory):
    @override
    async def lock(self, machine_id: str) -> bool:
        return await super().lock(machine_id or "nobody")


class UnlocksUnderNoId(SimpleMachineMemory):
    @override
    async def unlock(self, machine_id: str) -> bool:
        return await super().unlock(machine_id or "nobody")


class BlamesItselfForNoId(SimpleMachineMemory):
    @override
    async def read(self, machine_id: str) -> Record | None:
        if not machine_id:
            raise MachineMemoryError("no key", retryable=True, outcome="failed")
        return await super().read(machine_id)


class RewritesIds(SimpleMachineMemory):
    """Keeps everything under another id, made by `rewritten`."""

    def rewritten(self, machine_id: str) -> str:
        raise NotImplementedError

    @override
    async def read(self, machine_id: str) -> Record | None:
        return await super().read(self.rewritten(machine_id))

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await super().write(self.rewritten(machine_id), record, previous)

    @override
    async def lock(self, machine_id: str) -> bool:
        return await super().lock(self.rewritten(machine_id))

    @override
    async def unlock(self, machine_id: str) -> bool:
        return await super().unlock(self.rewritten(machine_id))


class CutsIds(RewritesIds):
    @override
    def rewritten(self, machine_id: str) -> str:
        return machine_id[:255]


class FoldsCase(RewritesIds):
    @override
    def rewritten(self, machine_id: str) -> str:
        return machine_id.lower()


class StripsIds(RewritesIds):
    @override
    def rewritten(self, machine_id: str) -> str:
        return machine_id.strip()


class KeepsOneRecord(RewritesIds):
    @override
    def rewritten(self, machine_id: str) -> str:
        return "the one"


class ReplacesTheWrongRecord(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await super().write(machine_id, record, previous)
        if previous is not None:
            self._records = dict.fromkeys(self._records, self._records[machine_id])


# --- the check of a write ---------------------------------------------------


class WritesOnce(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        if await self.read(machine_id) is not None:
            raise moved(machine_id)
        await super().write(machine_id, record, previous)


class RefusesTheSameAgain(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        if record == previous:
            raise moved(machine_id)
        await super().write(machine_id, record, previous)


class IgnoresPrevious(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await super().write(machine_id, record, await self.read(machine_id))


class ComparesOnlyKeys(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        stored = await self.read(machine_id)
        same = stored is not None and previous is not None and set(stored) == set(previous)
        await super().write(machine_id, record, stored if same else previous)


class WritesAndThenRefuses(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        stored = await self.read(machine_id)
        await super().write(machine_id, record, stored)
        if stored != previous:
            raise moved(machine_id)


class RefusesAsAFailure(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        try:
            await super().write(machine_id, record, previous)
        except TransactionViolation as error:
            raise MachineMemoryError("refused", retryable=True, outcome="failed") from error


class RefusesAsLockedOut(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        if await self.read(machine_id) != previous:
            cause = TransactionViolationCause.LOCK_UNACQUIRED
            raise TransactionViolation("refused", cause=cause, subject=machine_id)
        await super().write(machine_id, record, previous)


class AcceptsAnyFirstWrite(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        expected = await self.read(machine_id) if previous is None else previous
        await super().write(machine_id, record, expected)


class BringsRecordsBack(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        gone = await self.read(machine_id) is None
        await super().write(machine_id, record, None if gone else previous)


class NamesNoWorkflow(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        if await self.read(machine_id) != previous:
            raise moved("")
        await super().write(machine_id, record, previous)


class ChecksAndWritesLater(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        if await self.read(machine_id) != previous:
            raise moved(machine_id)
        await asyncio.sleep(0)
        await super().write(machine_id, record, await self.read(machine_id))


class WritesMemberByMember(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        written: Record = {}
        for key, value in record.items():
            following: Record = {**written, key: value}
            await super().write(machine_id, following, written or previous)
            written = following
            await asyncio.sleep(0)


# --- locks ------------------------------------------------------------------


class GrantsEveryLock(SimpleMachineMemory):
    @override
    async def lock(self, machine_id: str) -> bool:
        await super().lock(machine_id)
        return True


class LooksAndLocksLater(SimpleMachineMemory):
    @override
    async def lock(self, machine_id: str) -> bool:
        free = machine_id not in self._locked
        await asyncio.sleep(0)
        self._locked.add(machine_id)
        return free


class RaisesWhenHeld(SimpleMachineMemory):
    @override
    async def lock(self, machine_id: str) -> bool:
        if not await super().lock(machine_id):
            raise MachineMemoryError("held", retryable=True, outcome="failed")
        return True


class HasOneLock(SimpleMachineMemory):
    @override
    async def lock(self, machine_id: str) -> bool:
        return await super().lock("the one")

    @override
    async def unlock(self, machine_id: str) -> bool:
        return await super().unlock("the one")


class NeverUnlocks(SimpleMachineMemory):
    @override
    async def unlock(self, machine_id: str) -> bool:
        return True


class LocksOnlyTheFirstTime(SimpleMachineMemory):
    def __init__(self) -> None:
        super().__init__()
        self._unlocked: set[str] = set()

    @override
    async def lock(self, machine_id: str) -> bool:
        return machine_id in self._unlocked or await super().lock(machine_id)

    @override
    async def unlock(self, machine_id: str) -> bool:
        self._unlocked.add(machine_id)
        return await super().unlock(machine_id)


class DeniesReleasingNothing(SimpleMachineMemory):
    @override
    async def unlock(self, machine_id: str) -> bool:
        held = machine_id in self._locked
        await super().unlock(machine_id)
        return held


class CountsUnlocks(SimpleMachineMemory):
    """A semaphore: each unlock lets one more holder in, although none has left."""

    def __init__(self) -> None:
        super().__init__()
        self._free: defaultdict[str, int] = defaultdict(lambda: 1)

    @override
    async def lock(self, machine_id: str) -> bool:
        if self._free[machine_id] == 0:
            return False
        self._free[machine_id] -= 1
        return True

    @override
    async def unlock(self, machine_id: str) -> bool:
        self._free[machine_id] += 1
        return True


class UnlocksEverything(SimpleMachineMemory):
    @override
    async def unlock(self, machine_id: str) -> bool:
        self._locked.clear()
        return True


class LocksInTheRecord(SimpleMachineMemory):
    @override
    async def lock(self, machine_id: str) -> bool:
        if not await super().lock(machine_id):
            return False
        if await self.read(machine_id) is None:
            await self.write(machine_id, {}, None)
        return True


class DropsTheRecordWithTheLock(SimpleMachineMemory):
    @override
    async def unlock(self, machine_id: str) -> bool:
        self._records.pop(machine_id, None)
        return await super().unlock(machine_id)


class WriteUnlocks(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await super().write(machine_id, record, previous)
        await self.unlock(machine_id)


class RefusalUnlocks(SimpleMachineMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        try:
            await super().write(machine_id, record, previous)
        except TransactionViolation:
            await self.unlock(machine_id)
            raise


class ForgetsACancelledLock(SimpleMachineMemory):
    """It locks, and notices it a moment later: cancelled in between, the lock stays."""

    def __init__(self) -> None:
        super().__init__()
        self._known: set[str] = set()

    @override
    async def lock(self, machine_id: str) -> bool:
        taken = await super().lock(machine_id)
        await asyncio.sleep(0)
        if taken:
            self._known.add(machine_id)
        return taken

    @override
    async def unlock(self, machine_id: str) -> bool:
        if machine_id in self._known:
            self._known.remove(machine_id)
            await super().unlock(machine_id)
        return True


class Waits(SimpleMachineMemory):
    """Correct: a few turns of waiting, first come first served, handed over at unlock."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: defaultdict[str, deque[asyncio.Future[None]]] = defaultdict(deque)

    @override
    async def lock(self, machine_id: str) -> bool:
        if await super().lock(machine_id):
            return True
        handed = asyncio.get_running_loop().create_future()
        self._waiting[machine_id].append(handed)
        try:
            for _ in range(10):
                if handed.done():
                    return True
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            await self.give_up(machine_id, handed)
            raise
        await self.leave(machine_id, handed)
        return handed.done()

    async def leave(self, machine_id: str, handed: asyncio.Future[None]) -> None:
        if not handed.done():
            self._waiting[machine_id].remove(handed)

    async def give_up(self, machine_id: str, handed: asyncio.Future[None]) -> None:
        await self.leave(machine_id, handed)
        if handed.done():
            await self.unlock(machine_id)

    @override
    async def unlock(self, machine_id: str) -> bool:
        if self._waiting[machine_id]:
            self._waiting[machine_id].popleft().set_result(None)
            return True
        return await super().unlock(machine_id)


class HandsTheLockToTheCancelled(Waits):
    @override
    async def give_up(self, machine_id: str, handed: asyncio.Future[None]) -> None:
        pass


class TestWaits(MachineMemorySuite):
    @pytest.fixture
    def memory(self) -> IMachineMemory:
        return Waits()


BROKEN: dict[str, list[type[SimpleMachineMemory]]] = {
    "test_a_record_never_written_reads_as_none": [InventsRecords],
    "test_a_written_record_is_read_back": [KeepsOnlyFlatMembers],
    "test_the_latest_record_is_read_back": [MergesWrites, WritesOnce],
    "test_unicode_survives": [KnowsOnlyAscii, CutsTextAtNul],
    "test_integers_are_exact": [CountsInDoubles],
    "test_floats_are_exact": [RoundsFloats],
    "test_booleans_and_null_keep_their_type": [CountsBooleans, DropsNulls],
    "test_an_empty_record_is_not_a_missing_one": [TakesEmptyForMissing],
    "test_empty_containers_survive_at_every_depth": [TakesEmptyListsForObjects],
    "test_deep_nesting_survives": [StopsAtDepth50],
    "test_key_order_survives": [SortsKeys, SortsOnlyInnerKeys],
    "test_a_record_of_a_megabyte_works": [HasALimit],
    "test_a_record_is_isolated_from_its_writer": [KeepsTheWritersObjects, CopiesOnlyTheTop],
    "test_a_record_is_isolated_from_its_readers": [HandsOutItsOwnObjects],
    "test_arguments_are_left_as_they_were": [StampsRecords],
    "test_an_empty_machine_id_is_refused_by_every_call": [
        ReadsUnderNoId,
        WritesUnderNoId,
        LocksUnderNoId,
        UnlocksUnderNoId,
        BlamesItselfForNoId,
    ],
    "test_a_long_machine_id_works": [CutsIds],
    "test_machine_ids_are_compared_exactly": [FoldsCase, StripsIds],
    "test_a_write_leaves_other_workflows_alone": [KeepsOneRecord, ReplacesTheWrongRecord],
    "test_a_chain_of_writes_is_accepted": [WritesOnce],
    "test_the_same_record_may_be_written_again": [RefusesTheSameAgain],
    "test_a_write_over_a_newer_record_is_refused": [
        IgnoresPrevious,
        ComparesOnlyKeys,
        WritesAndThenRefuses,
        RefusesAsAFailure,
        RefusesAsLockedOut,
    ],
    "test_a_second_first_write_is_refused": [IgnoresPrevious, AcceptsAnyFirstWrite],
    "test_a_write_over_a_record_that_is_gone_is_refused": [IgnoresPrevious, BringsRecordsBack],
    "test_a_refusal_names_the_workflow": [NamesNoWorkflow, IgnoresPrevious],
    "test_exactly_one_of_many_writers_wins": [
        IgnoresPrevious,
        ChecksAndWritesLater,
        RefusesAsLockedOut,
    ],
    "test_a_cancelled_write_leaves_nothing_torn": [WritesMemberByMember],
    "test_only_one_of_many_contenders_gets_the_lock": [
        GrantsEveryLock,
        LooksAndLocksLater,
        RaisesWhenHeld,
    ],
    "test_a_lock_leaves_other_workflows_free": [HasOneLock],
    "test_an_unlocked_workflow_can_be_locked_again": [NeverUnlocks, LocksOnlyTheFirstTime],
    "test_unlock_of_what_is_not_locked_is_true": [DeniesReleasingNothing, CountsUnlocks],
    "test_unlock_leaves_other_locks_alone": [UnlocksEverything],
    "test_a_lock_is_not_a_record": [LocksInTheRecord],
    "test_locking_and_unlocking_keep_the_record": [DropsTheRecordWithTheLock],
    "test_a_write_keeps_the_lock": [WriteUnlocks, RefusalUnlocks],
    "test_a_cancelled_lock_can_be_given_back": [ForgetsACancelledLock],
    "test_a_cancelled_waiter_is_not_handed_the_lock": [HandsTheLockToTheCancelled],
}


# --- every behaviour refuses what breaks it ---------------------------------


def test_every_behaviour_has_a_memory_that_breaks_it() -> None:
    behaviours = {name for name in dir(MachineMemorySuite) if name.startswith("test_")}
    assert {name for name, memories in BROKEN.items() if memories} == behaviours


@pytest.mark.parametrize(
    ("behaviour", "broken"),
    [
        pytest.param(behaviour, memory, id=f"{behaviour}-{memory.__name__}")
        for behaviour, memories in BROKEN.items()
        for memory in memories
    ],
)
async def test_a_broken_memory_fails_by_name(
    behaviour: str, broken: type[SimpleMachineMemory]
) -> None:
    with pytest.raises((AssertionError, MachineMemoryError, TransactionViolation)):
        await getattr(MachineMemorySuite(), behaviour)(broken())

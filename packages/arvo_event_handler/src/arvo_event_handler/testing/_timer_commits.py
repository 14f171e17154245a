"""What commits and writes do to timers: a part of the suite for timed memories."""

from datetime import timedelta
from typing import cast

from arvo_event_handler import (
    TransactionViolationCause,
    UnreadableRecordError,
    UnwritableRecordError,
)
from arvo_event_handler.memory import ILeasedMachineMemory, MachineLease, NextTimer, Record

from ._contention import ConnectLeasedMachineMemory, LetTimePass, granted
from ._pending_timers import HOLD, PAST, TimedMachineMemory, commit, keys, set_timer, timed
from ._record_write import record_write
from ._refusal import refused_with, refuses

_MINUTE = timedelta(minutes=1)
_LATER = PAST + timedelta(days=1)
_NEW = NextTimer(at=PAST, key="new#1")


class TimerCommits:
    """A timer is set, replaced and removed in the commit of the state, or not at all."""

    async def test_a_timer_is_set_with_its_state(
        self, memory: TimedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """For every client, immediately."""
        async with connect() as other:
            await commit(memory, record={"step": 1}, timer=NextTimer(at=PAST, key="pay#1"))
            assert await other.read("order-7") == {"step": 1}
            assert await timed(other).next_due() == PAST
            assert await keys(timed(other)) == [("order-7", "pay#1", 1)]

    async def test_a_refused_commit_moves_no_timer(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """It neither sets one, nor replaces one with its claims, nor removes one."""
        stale = await granted(memory)
        await memory.release(stale)
        await commit(memory)
        await _refused(memory, stale, _NEW)
        assert await memory.next_due() is None
        stale = await granted(memory)
        await memory.release(stale)
        await set_timer(memory, at=PAST)
        await _refused(memory, stale, _NEW)
        await _refused(memory, stale, None)
        assert await keys(memory) == [("order-7", "pay#1", 1)]
        await _refused(memory, stale, _NEW)
        assert await keys(memory) == []
        await let_pass(HOLD * 1.1)
        assert await keys(memory) == [("order-7", "pay#1", 2)]

    async def test_an_unwritable_record_moves_no_timer(self, memory: TimedMachineMemory) -> None:
        """The state is not stored, so its timer is not set, and the one before is not removed."""
        unwritable = cast("Record", {"value": object()})
        for timer in [_NEW, None]:
            lease = await granted(memory)
            write = record_write(unwritable, timer=timer)
            await refused_with(memory.commit(lease, write), "", error=UnwritableRecordError)
            await memory.release(lease)
            assert await memory.next_due() is None
        await set_timer(memory, at=PAST)
        for timer in [_NEW, None]:
            lease = await granted(memory)
            write = record_write(unwritable, timer=timer)
            await refused_with(memory.commit(lease, write), "", error=UnwritableRecordError)
            await memory.release(lease)
        assert await keys(memory) == [("order-7", "pay#1", 1)]

    async def test_a_step_that_moves_no_timer_leaves_hold_and_claims(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Also one that was not claimed stays as it was."""
        await set_timer(memory, at=PAST)
        await commit(memory)
        assert await memory.next_due() == PAST
        assert await keys(memory) == [("order-7", "pay#1", 1)]
        await commit(memory)
        assert await keys(memory) == []
        await let_pass(HOLD * 1.1)
        await commit(memory)
        assert await keys(memory) == [("order-7", "pay#1", 2)]
        # The second claim holds twice as long.
        await let_pass(HOLD * 1.1)
        await commit(memory)
        assert await keys(memory) == []

    async def test_a_step_without_a_timer_removes_it(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Claimed or not; where there is no timer it does nothing."""
        await set_timer(memory, at=PAST)
        await commit(memory, timer=None)
        assert await memory.next_due() is None
        assert await keys(memory) == []
        await set_timer(memory, at=PAST)
        assert len(await keys(memory)) == 1
        await commit(memory, timer=None)
        await commit(memory, timer=None)
        assert await memory.next_due() is None
        await let_pass(HOLD * 1.1)
        assert await keys(memory) == []

    async def test_a_timer_replaces_the_one_before(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """By a later or an earlier one: a workflow has one entry."""
        await set_timer(memory, at=PAST)
        await set_timer(memory, at=_LATER, key="pay#2")
        assert await memory.next_due() == _LATER
        await set_timer(memory, at=PAST, key="pay#3")
        assert await memory.next_due() == PAST
        assert await keys(memory) == [("order-7", "pay#3", 1)]
        await let_pass(HOLD * 1.1)
        assert await keys(memory) == [("order-7", "pay#3", 2)]

    async def test_a_new_timer_counts_its_claims_from_0(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """It is not held, and its first claim holds once. Also if it is due at the same time."""
        for at in [PAST, _LATER]:
            await set_timer(memory, at=PAST, key="pay#1")
            assert await keys(memory) == [("order-7", "pay#1", 1)]
            await let_pass(HOLD * 1.1)
            assert await keys(memory) == [("order-7", "pay#1", 2)]
            await set_timer(memory, at=at, key="pay#2")
            assert await memory.next_due() == at
            assert await keys(memory) == [("order-7", "pay#2", 1)]
            await let_pass(HOLD * 1.1)
            assert await keys(memory) == [("order-7", "pay#2", 2)]

    async def test_a_repeated_commit_does_not_set_its_timer_again(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """A caller that did not get the answer repeats it, when the timer may be claimed already."""
        lease = await granted(memory)
        write = record_write({"step": 1}, timer=NextTimer(at=PAST, key="pay#1"))
        for _ in range(2):
            await memory.commit(lease, write)
        assert await keys(memory) == [("order-7", "pay#1", 1)]
        await memory.commit(lease, write)
        assert await keys(memory) == []
        await let_pass(HOLD * 1.1)
        await memory.commit(lease, write)
        assert await keys(memory) == [("order-7", "pay#1", 2)]

    async def test_a_commit_over_a_forgotten_workflow_sets_its_timer(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Once, however the workflow begins again, and with nothing of the timer before."""
        await commit(memory, timer=NextTimer(at=PAST, key="old#1"), expires_in=_MINUTE)
        assert len(await keys(memory)) == 1
        await let_pass(_MINUTE * 1.5)
        await set_timer(memory, at=_LATER, key="pay#1")
        assert await memory.next_due() == _LATER
        assert await keys(memory) == [("order-7", "pay#1", 1)]

    # --- when workflows end -------------------------------------------------

    async def test_a_finished_workflow_leaves_no_timer(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Neither while its record is kept nor when it is gone."""
        await set_timer(memory, at=PAST)
        assert len(await keys(memory)) == 1
        await commit(memory, record={"status": "done"}, timer=None, expires_in=_MINUTE)
        assert await memory.next_due() is None
        await let_pass(HOLD * 1.5)
        assert await keys(memory) == []
        assert await memory.next_due() is None

    async def test_a_workflow_that_expires_leaves_no_timer(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Whether it was claimed, could be, or was not due yet; nor if the workflow begins again."""
        for machine_id in ["claimed", "due"]:
            timer = NextTimer(at=PAST, key="pay#1")
            await commit(memory, machine_id, timer=timer, expires_in=_MINUTE)
            if machine_id == "claimed":
                (due,) = await memory.claim_due(limit=1, hold=HOLD)
        timer = NextTimer(at=due.due_by + _MINUTE * 2, key="pay#1")
        await commit(memory, "pending", timer=timer, expires_in=_MINUTE)
        await let_pass(_MINUTE * 5)
        assert await keys(memory) == []
        assert await memory.next_due() is None
        for machine_id in ["claimed", "due", "pending"]:
            await commit(memory, machine_id)
        assert await keys(memory) == []
        assert await memory.next_due() is None

    async def test_cleanup_removes_the_timer(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Claimed or not; the workflow may begin again without it."""
        for machine_id in ["claimed", "due"]:
            await set_timer(memory, machine_id, at=PAST)
            if machine_id == "claimed":
                assert len(await keys(memory)) == 1
        for machine_id in ["claimed", "due"]:
            await memory.cleanup(machine_id)
        assert await memory.next_due() is None
        for machine_id in ["claimed", "due"]:
            await commit(memory, machine_id)
        await let_pass(HOLD * 1.1)
        assert await keys(memory) == []

    # --- bare writes --------------------------------------------------------

    async def test_a_written_record_is_indexed_by_its_earliest_timer(
        self, memory: TimedMachineMemory
    ) -> None:
        """As an import does it. Of timers of one moment, the one that was set first is indexed."""
        record: Record = {
            "timers": {
                "late#1": {"at": "2020-03-01T00:00:00.000+00:00"},
                "first#1": {"at": "2020-02-29T23:59:59.007+00:00"},
                "second#1": {"at": "2020-02-29T23:59:59.007+00:00"},
            }
        }
        await memory.write("order-7", record, None)
        assert await memory.next_due() == PAST
        assert await keys(memory) == [("order-7", "first#1", 1)]
        # A write replaces it, whatever was claimed.
        await memory.write("order-7", {**record, "count": 2}, record)
        assert await keys(memory) == [("order-7", "first#1", 1)]

    async def test_a_written_record_without_timers_clears_the_index(
        self, memory: TimedMachineMemory
    ) -> None:
        """Whether its member is empty or missing."""
        for record in [Record(), Record(timers={})]:
            await commit(memory, record={"step": 1}, timer=NextTimer(at=PAST, key="pay#1"))
            await memory.write("order-7", record, {"step": 1})
            assert await memory.next_due() is None
            assert await keys(memory) == []

    async def test_a_refused_write_moves_no_timer(self, memory: TimedMachineMemory) -> None:
        """Neither one over another record nor one whose timers are damaged."""
        record: Record = {"timers": {"new#1": {"at": "2020-01-01T00:00:00.000+00:00"}}}
        await commit(memory, record={"step": 1}, timer=NextTimer(at=PAST, key="pay#1"))
        for refused in [record, Record()]:
            with refuses(TransactionViolationCause.VERSION_MOVED, by="write"):
                await memory.write("order-7", refused, None)
        damaged: Record = {"timers": {"new#1": {"at": "soon"}}}
        write = memory.write("order-7", damaged, {"step": 1})
        await refused_with(write, "new#1", error=UnreadableRecordError)
        assert await memory.read("order-7") == {"step": 1}
        assert await keys(memory) == [("order-7", "pay#1", 1)]


async def _refused(
    memory: ILeasedMachineMemory, stale: MachineLease, timer: NextTimer | None
) -> None:
    with refuses(TransactionViolationCause.VERSION_MOVED, by="commit"):
        await memory.commit(stale, record_write({"by": "stale"}, timer=timer))

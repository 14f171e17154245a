"""What claims of timers do: a part of the suite for timed memories."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import ClassVar, Final

from arvo_event_handler.memory import DueMachine, ITimedMachineMemory, NextTimer

from ._cancellation import cancelled_after
from ._contention import ConnectLeasedMachineMemory, LetTimePass, granted
from ._pending_timers import (
    HOLD,
    PAST,
    TimedMachineMemory,
    claimed,
    keys,
    set_timer,
    time_of,
    timed,
)
from ._record_write import record_write

_MILLISECOND: Final = timedelta(milliseconds=1)
_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_TURNS: Final = range(20)
_CLAIMERS: Final = 50


class TimerClaims:
    """A timer that is due is given to one caller at a time, the earliest first, until it is moved."""

    pending: ClassVar[int] = 200
    """How many timers are due when fifty callers claim them."""

    async def test_the_earliest_is_claimed_first(self, memory: TimedMachineMemory) -> None:
        """Whatever was set first, to the millisecond."""
        times = [PAST + _MILLISECOND * (number * 7 % 12) for number in range(12)]
        for number, at in enumerate(times):
            await set_timer(memory, f"order-{number}", at=at)
        assert [due.at for due in await claimed(memory)] == sorted(times)

    async def test_a_backlog_is_claimed_a_part_at_a_time(self, memory: TimedMachineMemory) -> None:
        """At most `limit` of them in each call, the earliest first; the others are left."""
        times = [PAST + _MINUTE * number for number in range(11)]
        for number in reversed(range(11)):
            await set_timer(memory, f"order-{number}", at=times[number])
        parts = [await claimed(memory, limit=4) for _ in range(4)]
        assert [len(part) for part in parts] == [4, 4, 3, 0]
        assert [due.at for part in parts for due in part] == times

    async def test_a_timer_is_claimed_when_it_is_due(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Not before, by the memory's clock."""
        now = await time_of(memory)
        for minutes in [10, 30, 20]:
            await set_timer(memory, f"in {minutes}", at=now + minutes * _MINUTE)
        assert await keys(memory) == []
        await let_pass(9 * _MINUTE)
        assert await keys(memory) == []
        await let_pass(12 * _MINUTE)
        assert await keys(memory, hold=_HOUR) == [("in 10", "pay#1", 1), ("in 20", "pay#1", 1)]
        await let_pass(10 * _MINUTE)
        assert await keys(memory) == [("in 30", "pay#1", 1)]

    async def test_a_claim_says_by_when_its_timer_was_due(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Not before the timer's own time, and by the memory's clock."""
        now = await time_of(memory)
        await set_timer(memory, "old", at=PAST)
        await set_timer(memory, "new", at=now + 5 * _MINUTE)
        await let_pass(5 * _MINUTE + _SECOND)
        old, new = await claimed(memory)
        assert old.at <= new.at <= new.due_by
        assert abs(old.due_by - new.due_by) < _SECOND
        assert old.due_by - new.at < _MINUTE

    async def test_a_claimed_timer_is_hidden_until_its_hold_ends(
        self,
        memory: TimedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """From every client; then it is claimed again."""
        async with connect() as another:
            other = timed(another)
            await set_timer(memory, at=PAST)
            assert await keys(memory) == [("order-7", "pay#1", 1)]
            for client in [memory, other]:
                assert await keys(client) == []
            await let_pass(HOLD * 0.8)
            for client in [memory, other]:
                assert await keys(client) == []
            await let_pass(HOLD * 0.3)
            assert await keys(other) == [("order-7", "pay#1", 2)]
            assert await keys(memory) == []

    async def test_each_claim_holds_twice_as_long(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """At most an hour, or the hold that was asked for if that is longer."""
        for key, minutes in [("pay#1", [10, 20, 40, 60, 60]), ("pay#2", [90, 90])]:
            await set_timer(memory, at=PAST, key=key)
            for claims, held in enumerate(minutes, start=1):
                assert await keys(memory, hold=minutes[0] * _MINUTE) == [("order-7", key, claims)]
                await let_pass((held - 1) * _MINUTE)
                assert await keys(memory, hold=_MINUTE) == []
                await let_pass(2 * _MINUTE)

    async def test_a_timer_can_be_claimed_any_number_of_times(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """The doubling of its hold ends at an hour and overflows nothing."""
        await set_timer(memory, at=PAST)
        for claims in range(1, 71):
            assert await keys(memory) == [("order-7", "pay#1", claims)]
            await let_pass(_HOUR + _SECOND)

    async def test_each_timer_goes_to_one_of_many_claimers(
        self, memory: TimedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """Fifty tasks of two clients claim all of them, and none twice."""
        for first in range(0, self.pending, _CLAIMERS):
            setting = [
                set_timer(memory, f"order-{number}", at=PAST + number * _MILLISECOND)
                for number in range(first, min(first + _CLAIMERS, self.pending))
            ]
            await asyncio.gather(*setting)
        async with connect() as other:
            claims = [
                _all(timed(each), most=self.pending) for each in [memory, other] * (_CLAIMERS // 2)
            ]
            claimed_by = await asyncio.gather(*claims)
        got = [due.machine_id for each in claimed_by for due in each]
        assert len(got) == len({*got}) == self.pending
        assert {due.claims for each in claimed_by for due in each} == {1}

    async def test_a_claim_is_no_lease(self, memory: TimedMachineMemory) -> None:
        """A leased workflow is claimed, a claimed one is leased, and a claim changes no version."""
        await set_timer(memory, "leased", at=PAST)
        await set_timer(memory, "free", at=PAST + _SECOND)
        lease = await granted(memory, "leased")
        assert await keys(memory) == [("leased", "pay#1", 1), ("free", "pay#1", 1)]
        assert (await granted(memory, "free")).version == 1
        assert await memory.renew(lease) is True
        await memory.commit(lease, record_write({"step": 2}))
        again = await granted(memory, "leased")
        assert (again.version, again.record) == (2, {"step": 2})

    async def test_a_claim_beside_a_commit_brings_no_timer_back(
        self,
        memory: TimedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """What the commit removed is gone, and what it set can be claimed, whichever comes first."""
        async with connect() as another:
            other = timed(another)
            for turns in _TURNS:
                for machine_id in ["removed", "replaced"]:
                    await set_timer(memory, machine_id, at=PAST)
                removed, replaced = [
                    await granted(memory, each) for each in ["removed", "replaced"]
                ]
                new = NextTimer(at=PAST, key=f"new#{turns}")
                calls: list[Awaitable[object]] = [
                    claimed(other),
                    memory.commit(removed, record_write({"step": 2}, timer=None)),
                    memory.commit(replaced, record_write({"step": 2}, timer=new)),
                ]
                await asyncio.gather(*calls[:: -1 if turns % 2 else 1])
                await claimed(other)
                assert await keys(memory) == []
                await let_pass(HOLD * 1.1)
                assert await keys(memory) == [("replaced", f"new#{turns}", 2)]

    async def test_a_cancelled_claim_loses_no_timer(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """What it claimed before it was cancelled comes back after the hold."""
        for turns in _TURNS:
            await set_timer(memory, f"order-{turns}", at=PAST + turns * _SECOND)
        for turns in _TURNS:
            await cancelled_after(turns, memory.claim_due(limit=2, hold=HOLD))
        got: set[str] = set()
        # One that was cancelled may still claim something after the next ones have.
        for _ in range(5):
            await let_pass(HOLD * 10)
            got |= {due.machine_id for due in await claimed(memory)}
        assert got == {f"order-{turns}" for turns in _TURNS}


async def _all(memory: ITimedMachineMemory, *, most: int) -> list[DueMachine]:
    """Claim a few at a time until nothing is left, or more was given than there is."""
    got: list[DueMachine] = []
    while len(got) <= most and (part := await memory.claim_due(limit=3, hold=HOLD)):
        got.extend(part)
    return got

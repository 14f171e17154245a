"""A lease is kept while user code runs, and no longer."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import (
    Complete,
    ExecutionPolicy,
    Step,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_event_handler.memory import LockPolicy
from arvo_time.testing import FakeClock

from .intercepted_memory import InterceptedLeasedMemory, fail
from .leased_memory import LeasedMemory
from .shop import AnyCall, order, start

TTL = timedelta(seconds=30)
POLICY = LockPolicy(ttl=TTL, max_hold=timedelta(minutes=5))


class Slow:
    """An order whose function runs until it is let go, on a leased memory."""

    def __init__(self, *, before: Any = None) -> None:
        self.clock = FakeClock()
        self.leased = LeasedMemory(clock=self.clock, policy=POLICY)
        options = {} if before is None else {"before": before}
        self.memory = InterceptedLeasedMemory(self.leased, **options)
        self.event = start()
        self.go_on = asyncio.Event()
        self.handler = order(
            self._flow, memory=self.memory, policy=ExecutionPolicy(clock=self.clock)
        )
        self.task = asyncio.create_task(self.handler.execute(self.event))

    async def _flow(self, call: AnyCall) -> Step[Any]:
        await self.go_on.wait()
        return Step(output=Complete({"total": 1}))

    async def finish(self) -> list[ArvoEvent]:
        self.go_on.set()
        return await self.task

    @property
    def renewals(self) -> int:
        return self.memory.calls.count("renew")

    def is_locked(self) -> bool:
        return self.leased.locked == [self.event.subject]


async def test_quick_code_renews_nothing_and_leaves_no_timer() -> None:
    slow = Slow()
    await slow.finish()
    assert slow.memory.calls == ["acquire", "commit"]
    assert slow.clock.pending == 0


async def test_renewal_starts_only_after_a_third_of_the_ttl() -> None:
    slow = Slow()
    await slow.clock.run_for(TTL / 3 - timedelta(seconds=1))
    assert slow.renewals == 0
    await slow.clock.run_for(timedelta(seconds=1))
    assert slow.renewals == 1
    await slow.finish()


async def test_renewal_repeats_every_third_of_the_ttl() -> None:
    slow = Slow()
    await slow.clock.run_for(TTL * 4)
    assert slow.renewals == 12
    assert slow.is_locked()
    [done] = await slow.finish()
    assert done.data == {"total": 1}
    assert not slow.is_locked()


async def test_renewal_stops_at_the_longest_hold() -> None:
    slow = Slow()
    await slow.clock.run_for(POLICY.max_hold)
    before = slow.renewals
    assert slow.is_locked()
    await slow.clock.run_for(TTL)
    assert slow.renewals == before
    assert not slow.is_locked()
    await slow.finish()


async def test_renewal_ends_with_the_step() -> None:
    slow = Slow()
    await slow.clock.run_for(TTL)
    await slow.finish()
    before = slow.renewals
    await slow.clock.run_for(TTL * 4)
    assert slow.renewals == before
    assert slow.clock.pending == 0


async def test_renewal_ends_when_the_step_is_cancelled() -> None:
    slow = Slow()
    await slow.clock.run_for(TTL)
    slow.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow.task
    before = slow.renewals
    await slow.clock.run_for(TTL * 4)
    assert slow.renewals == before
    assert not slow.is_locked()


async def overtaken() -> Slow:
    """Return a step whose lease another holder has, as a renewal found out."""
    slow = Slow()
    await slow.clock.run_for(timedelta(0))
    slow.leased.take_over(slow.event.subject)
    await slow.clock.run_for(TTL / 3)
    assert slow.renewals == 1
    return slow


async def test_user_code_hears_of_its_cancellation_and_may_go_on() -> None:
    class Impatient(Slow):
        @override
        async def _flow(self, call: AnyCall) -> Step[Any]:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await self.go_on.wait()
            return Step(output=Complete({"total": 2}))

    impatient = Impatient()
    [done] = await impatient.task
    assert done.data == {"total": 2}
    assert not impatient.is_locked()


async def test_a_lost_lease_is_renewed_no_more() -> None:
    slow = await overtaken()
    await slow.clock.run_for(TTL / 2)
    assert slow.renewals == 1
    assert slow.is_locked(), "the lease of the other one was given away"
    await slow.finish()


async def test_finished_work_is_committed_after_a_lost_lease() -> None:
    slow = await overtaken()
    [done] = await slow.finish()
    assert done.data == {"total": 1}
    assert await slow.leased.read(slow.event.subject) is not None


async def test_a_lost_lease_commits_nothing_once_its_taker_has_written() -> None:
    slow = await overtaken()
    theirs = {"by": "another writer"}
    await slow.leased.write(slow.event.subject, {**theirs}, None)
    with pytest.raises(TransactionViolation) as caught:
        await slow.finish()
    assert caught.value.cause is TransactionViolationCause.VERSION_MOVED
    assert await slow.leased.read(slow.event.subject) == theirs
    assert slow.is_locked(), "the lease of the other one was given away"


async def test_a_renewal_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow(before=fail("renew", ConnectionError("gone"), times=2))
    await slow.clock.run_for(TTL)
    assert slow.renewals == 3
    assert slow.is_locked()
    assert [record.message for record in caplog.records] == [
        f"could not renew the lease of {slow.event.subject}"
    ] * 2
    [done] = await slow.finish()
    assert done.data == {"total": 1}


async def test_a_plain_memory_knows_no_leases() -> None:
    clock = FakeClock()

    async def flow(call: AnyCall) -> Step[Any]:
        assert clock.pending == 0
        return Step(output=Complete({"total": 1}))

    assert len(await order(flow, policy=ExecutionPolicy(clock=clock)).execute(start())) == 1

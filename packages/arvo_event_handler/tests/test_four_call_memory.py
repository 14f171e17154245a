"""A memory of four calls, seen as one with leases."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest

from arvo_event_handler import (
    MachineMemoryError,
    SimpleMachineMemory,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_event_handler.memory import LockPolicy
from arvo_event_handler.memory._four_call_memory import FourCallMemory
from arvo_event_handler.testing import record_write
from arvo_event_handler.testing._lease_progress import expect_progress
from arvo_time.testing import FakeClock

from .intercepted_memory import InterceptedMemory, fail
from .leased_memory import LeasedMemory


class Wrapped:
    """A plain memory, watched, behind the wrapper."""

    def __init__(self, *, locking: bool = True, **options: object) -> None:
        self.plain = SimpleMachineMemory()
        self.watched = InterceptedMemory(self.plain, **options)  # type: ignore[arg-type]
        self.memory = FourCallMemory(self.watched, locking=locking)

    async def is_free(self) -> bool:
        free = await self.plain.lock("order-7")
        if free:
            await self.plain.unlock("order-7")
        return free


async def test_acquire_locks_and_reads() -> None:
    wrapped = Wrapped()
    await wrapped.plain.write("order-7", {"n": 1}, None)
    lease = await wrapped.memory.acquire("order-7")
    assert lease is not None
    assert (lease.machine_id, lease.record) == ("order-7", {"n": 1})
    assert wrapped.watched.calls == ["lock", "read"]
    assert not await wrapped.is_free()


async def test_only_one_gets_it() -> None:
    wrapped = Wrapped()
    await wrapped.memory.acquire("order-7")
    assert await wrapped.memory.acquire("order-7") is None
    assert wrapped.watched.calls == ["lock", "read", "lock"]


async def test_without_locking_the_lock_is_never_asked_for() -> None:
    wrapped = Wrapped(locking=False)
    lease = await wrapped.memory.acquire("order-7")
    assert lease is not None
    await wrapped.memory.commit(lease, record_write({"n": 1}))
    await wrapped.memory.release(lease)
    assert wrapped.watched.calls == ["read", "write"]


async def test_commit_writes_over_what_was_read_and_unlocks() -> None:
    wrapped = Wrapped()
    lease = await wrapped.memory.acquire("order-7")
    assert lease is not None
    await wrapped.memory.commit(lease, record_write({"n": 1}, expires_in=timedelta(days=1)))
    assert await wrapped.plain.read("order-7") == {"n": 1}
    assert await wrapped.is_free()


async def test_commit_over_a_record_that_moved_changes_nothing() -> None:
    wrapped = Wrapped(locking=False)
    lease = await wrapped.memory.acquire("order-7")
    assert lease is not None
    await wrapped.plain.write("order-7", {"n": "theirs"}, None)
    with pytest.raises(TransactionViolation) as caught:
        await wrapped.memory.commit(lease, record_write({"n": "ours"}))
    assert caught.value.cause is TransactionViolationCause.VERSION_MOVED
    assert await wrapped.plain.read("order-7") == {"n": "theirs"}


async def test_release_unlocks_without_writing() -> None:
    wrapped = Wrapped()
    lease = await wrapped.memory.acquire("order-7")
    assert lease is not None
    await wrapped.memory.release(lease)
    assert wrapped.watched.calls == ["lock", "read", "unlock"]
    assert await wrapped.is_free()


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("gone"),
        TransactionViolation("no", cause=TransactionViolationCause.INVALID_SUBJECT, subject="s"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_read_that_fails_unlocks(error: BaseException) -> None:
    wrapped = Wrapped(before=fail("read", error))
    expected = TransactionViolation if isinstance(error, ConnectionError) else type(error)
    with pytest.raises(expected) as caught:
        await wrapped.memory.acquire("order-7")
    if isinstance(error, ConnectionError):
        assert isinstance(caught.value, TransactionViolation)
        assert caught.value.cause is TransactionViolationCause.READ_FAILURE
        assert caught.value.__cause__ is error
    else:
        assert caught.value is error
    assert await wrapped.is_free()


async def test_an_unlock_that_fails_is_logged_only(caplog: pytest.LogCaptureFixture) -> None:
    wrapped = Wrapped(before=fail("unlock", ConnectionError("gone")))
    lease = await wrapped.memory.acquire("order-7")
    assert lease is not None
    await wrapped.memory.commit(lease, record_write({"n": 1}))
    assert [record.message for record in caplog.records] == ["could not unlock order-7"]


@pytest.mark.parametrize(
    "error",
    [
        MachineMemoryError("not a record", retryable=False, outcome="failed"),
        MachineMemoryError("away", retryable=True, outcome="failed"),
    ],
    ids=["never", "later"],
)
async def test_retryable_of_the_memorys_error_is_passed_on(
    error: MachineMemoryError,
) -> None:
    with pytest.raises(TransactionViolation) as caught:
        await Wrapped(before=fail("read", error)).memory.acquire("order-7")
    assert caught.value.retryable is error.retryable


async def test_steps_that_outlast_the_lock_get_done() -> None:
    """Three workers with four calls each, whose locks expire in every step: `previous` decides."""
    clock = FakeClock()
    policy = LockPolicy()
    shared = LeasedMemory(clock=clock, policy=policy)
    await expect_progress(
        [InterceptedMemory(shared.another_client()) for _ in range(3)],
        pass_time=lambda: clock.run_for(policy.ttl * 2.5),
        clock=FakeClock(),
    )


class Paused:
    """Holds a memory's call up, before or after it took effect, until it is let go."""

    def __init__(self, call: str) -> None:
        self._call = call
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, name: str, machine_id: str) -> None:
        if name == self._call:
            self.reached.set()
            await self.go_on.wait()

    async def cancel_there(self, work: Coroutine[Any, Any, Any]) -> None:
        """Cancel `work` while the call is held up, then let the call go on."""
        task = asyncio.create_task(work)
        await self.reached.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        self.go_on.set()
        await FakeClock().settle()


class TestCancelledWhileLocking:
    @pytest.mark.parametrize("moment", ["before", "after"])
    async def test_a_lock_that_comes_too_late_is_given_back(self, moment: str) -> None:
        paused = Paused("lock")
        wrapped = Wrapped(before=paused) if moment == "before" else Wrapped(after=paused)
        await paused.cancel_there(wrapped.memory.acquire("order-7"))
        assert wrapped.watched.calls == ["lock", "unlock"]
        assert await wrapped.is_free()

    async def test_a_lock_of_another_holder_stays_theirs(self) -> None:
        paused = Paused("lock")
        wrapped = Wrapped(before=paused)
        await wrapped.plain.lock("order-7")
        await paused.cancel_there(wrapped.memory.acquire("order-7"))
        assert wrapped.watched.calls == ["lock"]
        assert not await wrapped.is_free()

    async def test_a_lock_that_fails_after_a_cancellation_is_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        paused = Paused("lock")

        async def break_down(name: str, machine_id: str) -> None:
            await paused(name, machine_id)
            raise ConnectionError("gone")

        wrapped = Wrapped(before=break_down)
        await paused.cancel_there(wrapped.memory.acquire("order-7"))
        assert wrapped.watched.calls == ["lock"]
        [record] = caplog.records
        assert record.message == "could not give back what a cancelled task had taken"


class TestUnlockingOnce:
    async def test_a_commit_that_was_cancelled_while_unlocking_is_not_unlocked_again(self) -> None:
        paused = Paused("unlock")
        wrapped = Wrapped(after=paused)
        lease = await wrapped.memory.acquire("order-7")
        assert lease is not None
        await paused.cancel_there(wrapped.memory.commit(lease, record_write({"n": 1})))
        assert await wrapped.plain.lock("order-7"), "another holder's lock"
        await wrapped.memory.release(lease)
        assert not await wrapped.is_free(), "another holder's lock was released"

    async def test_a_commit_that_was_cancelled_while_writing_is_unlocked_by_the_release(
        self,
    ) -> None:
        paused = Paused("write")
        wrapped = Wrapped(before=paused)
        lease = await wrapped.memory.acquire("order-7")
        assert lease is not None
        await paused.cancel_there(wrapped.memory.commit(lease, record_write({"n": 1})))
        assert not await wrapped.is_free()
        await wrapped.memory.release(lease)
        assert await wrapped.is_free()

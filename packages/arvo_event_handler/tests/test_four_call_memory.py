"""A memory of four calls, seen as one with leases."""

from datetime import timedelta

import pytest

from arvo_event_handler import (
    LockPolicy,
    SimpleMachineMemory,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_event_handler._four_call_memory import FourCallMemory

from .intercepted_memory import InterceptedMemory, fail


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
    await wrapped.memory.commit(lease, {"n": 1})
    await wrapped.memory.release(lease)
    assert wrapped.watched.calls == ["read", "write"]


async def test_commit_writes_over_what_was_read_and_unlocks() -> None:
    wrapped = Wrapped()
    lease = await wrapped.memory.acquire("order-7")
    assert lease is not None
    await wrapped.memory.commit(lease, {"n": 1}, expires_in=timedelta(days=1))
    assert await wrapped.plain.read("order-7") == {"n": 1}
    assert await wrapped.is_free()


async def test_commit_over_a_record_that_moved_changes_nothing() -> None:
    wrapped = Wrapped(locking=False)
    lease = await wrapped.memory.acquire("order-7")
    assert lease is not None
    await wrapped.plain.write("order-7", {"n": "theirs"}, None)
    with pytest.raises(TransactionViolation) as caught:
        await wrapped.memory.commit(lease, {"n": "ours"})
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
    await wrapped.memory.commit(lease, {"n": 1})
    await wrapped.memory.release(lease)
    assert [record.message for record in caplog.records] == ["could not unlock order-7"] * 2


async def test_there_is_nothing_to_renew() -> None:
    wrapped = Wrapped()
    lease = await wrapped.memory.acquire("order-7")
    assert lease is not None
    assert await wrapped.memory.renew(lease)
    assert wrapped.watched.calls == ["lock", "read"]
    assert wrapped.memory.policy == LockPolicy()


async def test_the_four_calls_are_passed_on() -> None:
    wrapped = Wrapped()
    assert await wrapped.memory.lock("order-7")
    await wrapped.memory.write("order-7", {"n": 1}, None)
    assert await wrapped.memory.read("order-7") == {"n": 1}
    assert await wrapped.memory.unlock("order-7")
    assert wrapped.watched.calls == ["lock", "write", "read", "unlock"]

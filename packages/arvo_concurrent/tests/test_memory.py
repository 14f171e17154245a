"""Guarantees of this memory alone; `test_memory_suites.py` checks those of every memory."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import timedelta
from random import Random

import pytest
from typing_extensions import override

from arvo_concurrent import ConcurrentMachineMemory
from arvo_event_handler import TransactionViolation
from arvo_event_handler.memory import LockPolicy, MachineLease
from arvo_event_handler.testing import record_write
from arvo_time import ClockTimer
from arvo_time.testing import FakeClock

POLICY = LockPolicy(ttl=timedelta(seconds=10), max_wait=timedelta(seconds=60))
ID = "order-7"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def memory(clock: FakeClock) -> ConcurrentMachineMemory:
    return ConcurrentMachineMemory(policy=POLICY, clock=clock)


async def taken(memory: ConcurrentMachineMemory) -> MachineLease:
    lease = await memory.acquire(ID)
    assert lease is not None
    return lease


def ends_immediately(call: Coroutine[object, object, object]) -> bool:
    try:
        call.send(None)
    except StopIteration:
        return True
    call.close()
    return False


async def test_waiters_are_served_in_order(
    memory: ConcurrentMachineMemory, clock: FakeClock
) -> None:
    served: list[int] = []

    async def work(number: int) -> None:
        lease = await taken(memory)
        served.append(number)
        await asyncio.sleep(0)
        await memory.commit(lease, record_write({"by": number}))

    await asyncio.gather(*map(work, range(50)))
    assert served == list(range(50))
    assert clock.pending == 0


async def test_a_later_caller_does_not_overtake_a_waiter(memory: ConcurrentMachineMemory) -> None:
    lease = await taken(memory)
    first = asyncio.create_task(memory.acquire(ID))
    await asyncio.sleep(0)
    await memory.release(lease)
    late = asyncio.create_task(memory.acquire(ID))
    granted = await first
    assert granted is not None
    assert not late.done()
    await memory.release(granted)
    assert await late is not None


async def test_a_waiter_wakes_when_the_lease_expires(
    memory: ConcurrentMachineMemory, clock: FakeClock
) -> None:
    await taken(memory)
    waiter = asyncio.create_task(memory.acquire(ID))
    await clock.run_for(timedelta(seconds=9))
    assert not waiter.done()
    await clock.run_for(timedelta(seconds=1.01))
    assert waiter.done()
    assert waiter.result() is not None


async def test_a_late_timer_lets_no_caller_overtake_a_waiter() -> None:
    class LateClock(FakeClock):
        @override
        def call_later(self, delay: timedelta, callback: Callable[[], None]) -> ClockTimer:
            return super().call_later(delay + timedelta(seconds=1), callback)

    clock = LateClock()
    memory = ConcurrentMachineMemory(policy=POLICY, clock=clock)
    await taken(memory)
    waiter = asyncio.create_task(memory.acquire(ID))
    await clock.run_for(POLICY.ttl + timedelta(milliseconds=1))
    late = asyncio.create_task(memory.acquire(ID))
    await clock.run_for(timedelta(milliseconds=1))
    assert waiter.done()
    assert not late.done()
    late.cancel()


async def test_a_waiter_waits_on_when_the_lease_is_renewed(
    memory: ConcurrentMachineMemory, clock: FakeClock
) -> None:
    lease = await taken(memory)
    waiter = asyncio.create_task(memory.acquire(ID))
    await clock.run_for(timedelta(seconds=9))
    assert await memory.renew(lease)
    await clock.run_for(timedelta(seconds=9))
    assert not waiter.done()
    await clock.run_for(timedelta(seconds=1.01))
    assert waiter.done()


async def test_free_workflows_need_no_turn_of_the_event_loop(
    memory: ConcurrentMachineMemory,
) -> None:
    assert ends_immediately(memory.lock(ID))
    assert ends_immediately(memory.read(ID))
    assert ends_immediately(memory.write(ID, {}, None))
    assert ends_immediately(memory.unlock(ID))


async def test_zero_max_wait_is_one_try(clock: FakeClock) -> None:
    policy = LockPolicy(max_wait=timedelta(0))
    memory = ConcurrentMachineMemory(policy=policy, clock=clock)
    await taken(memory)
    assert ends_immediately(memory.acquire(ID))


async def test_nothing_is_left_of_unused_workflows(
    memory: ConcurrentMachineMemory, clock: FakeClock
) -> None:
    for number in range(100):
        lease = await memory.acquire(f"order-{number}")
        assert lease is not None
        waiter = asyncio.create_task(memory.acquire(f"order-{number}"))
        await asyncio.sleep(0)
        assert memory.waiting == 1
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        await memory.release(lease)
    assert (memory.size, memory.held, memory.waiting) == (0, frozenset(), 0)
    assert memory._leases._held == {}
    assert clock.pending == 0


async def test_finished_records_are_freed_while_other_workflows_run(
    memory: ConcurrentMachineMemory, clock: FakeClock
) -> None:
    for number in range(100):
        lease = await memory.acquire(f"order-{number}")
        assert lease is not None
        await memory.commit(lease, record_write({}, expires_in=timedelta(minutes=1)))
    clock.advance(timedelta(minutes=2))
    for _ in range(50):
        await memory.commit(await taken(memory), record_write({}))
    assert set(memory._stored) == {ID}
    assert memory._expiries == []


async def test_leases_of_holders_that_vanished_are_freed(
    memory: ConcurrentMachineMemory, clock: FakeClock
) -> None:
    for number in range(100):
        await memory.acquire(f"order-{number}")
    clock.advance(POLICY.max_hold + POLICY.ttl)
    await taken(memory)
    assert set(memory._leases._held) == {ID}


async def test_cleanup_forgets_and_fences_the_holder(memory: ConcurrentMachineMemory) -> None:
    await memory.write(ID, {"count": 1}, None)
    lease = await taken(memory)
    await memory.cleanup(ID)
    assert (await memory.read(ID), memory.size) == (None, 0)
    with pytest.raises(TransactionViolation, match="VERSION_MOVED"):
        await memory.commit(lease, record_write({"count": 2}))
    await memory.write(ID, {"again": True}, None)
    with pytest.raises(TransactionViolation, match="VERSION_MOVED"):
        await memory.commit(lease, record_write({"count": 2}))


async def test_clear_forgets_everything_and_wakes_waiters(memory: ConcurrentMachineMemory) -> None:
    await memory.write(ID, {"count": 1}, None)
    stale = await taken(memory)
    waiter = asyncio.create_task(memory.acquire(ID))
    await asyncio.sleep(0)
    memory.clear()
    lease = await waiter
    assert lease is not None
    assert (lease.version, lease.record, memory.size) == (0, None, 0)
    with pytest.raises(TransactionViolation):
        await memory.commit(stale, record_write({"count": 2}))


@pytest.mark.parametrize("locked", [True, False])
async def test_a_write_is_refused_when_another_write_followed_the_read(
    memory: ConcurrentMachineMemory, *, locked: bool
) -> None:
    await memory.write(ID, {"count": 1}, None)
    if locked:
        assert await memory.lock(ID)
    stale = await memory.read(ID)
    await memory.write(ID, {"count": 2}, {"count": 1})
    with pytest.raises(TransactionViolation, match="VERSION_MOVED"):
        await memory.write(ID, {"count": 3}, stale)
    current = await memory.read(ID)
    await memory.write(ID, {"count": 3}, current)
    with pytest.raises(TransactionViolation, match="VERSION_MOVED"):
        await memory.write(ID, {"count": 4}, current)
    assert await memory.read(ID) == {"count": 3}


@pytest.mark.parametrize("seed", range(40))
async def test_random_holders_lose_no_update(seed: int) -> None:
    """The holders work, fail, vanish, are late or are cancelled."""
    random = Random(seed)
    clock = FakeClock()
    memory = ConcurrentMachineMemory(policy=POLICY, clock=clock)
    # The model: how often each record was committed, since only holders add to it.
    committed = dict.fromkeys(["a", "b", "c"], 0)
    played = Counter[tuple[str, str]]()

    async def hold(machine_id: str) -> None:
        lease = await memory.acquire(machine_id)
        if lease is None:
            return
        assert lease.version == committed[machine_id]
        assert (lease.record or {"count": 0})["count"] == committed[machine_id]
        await clock.sleep(timedelta(seconds=random.choice([0, 0, 1, 5, 9, 10, 11, 30])))
        held = memory._leases.get(machine_id)
        stale = held is None or held.owner != lease.owner
        match random.choice(["commit", "commit", "commit", "release", "renew", "vanish"]):
            case "release":
                await memory.release(lease)
                return
            case "vanish":
                return
            case "renew":
                assert await memory.renew(lease) is not stale
        # The first commit at the loaded version wins, even without the lease.
        moved = lease.version != committed[machine_id]
        played["stale" if stale else "holder", "refused" if moved else "stored"] += 1
        try:
            await memory.commit(lease, record_write({"count": lease.version + 1}))
        except TransactionViolation:
            assert moved
        else:
            assert not moved
            committed[machine_id] += 1

    tasks: list[asyncio.Task[None]] = []
    for _ in range(100):
        tasks.append(asyncio.create_task(hold(random.choice(list(committed)))))
        if random.random() < 0.2:
            random.choice(tasks).cancel()
        if random.random() < 0.5:
            await clock.run_for(timedelta(seconds=random.choice([0, 0, 1, 3])))
        if random.random() < 0.1:
            random.choice(tasks).cancel()
    outcomes = await clock.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    errors = [each for each in outcomes if isinstance(each, Exception)]
    assert errors == []
    # A holder that still has its lease has loaded the latest version.
    assert set(played) <= {("holder", "stored"), ("stale", "stored"), ("stale", "refused")}
    for machine_id, count in committed.items():
        assert await memory.read(machine_id) == ({"count": count} if count else None)
    assert memory.waiting == 0
    assert clock.pending == 0
    clock.advance(POLICY.ttl)
    assert memory.held == frozenset()

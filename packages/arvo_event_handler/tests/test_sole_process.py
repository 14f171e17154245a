"""A memory without a transport belongs to one process."""

import asyncio
from datetime import timedelta

import pytest

from arvo_event_handler import MachineMemoryError, MemoryInUseError
from arvo_event_handler.memory import MachineLease, sole_process
from arvo_time.testing import FakeClock

from .intercepted_memory import InterceptedLeasedMemory
from .leased_memory import LeasedMemory

SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def memory(clock: FakeClock) -> LeasedMemory:
    return LeasedMemory(clock=clock)


async def enter(memory: LeasedMemory, clock: FakeClock, told: list[str]) -> str:
    async with sole_process(memory, name="shop", on_wait=lambda: told.append("waits"), clock=clock):
        return "alone"


async def test_a_second_process_is_refused_after_one_ttl(
    memory: LeasedMemory, clock: FakeClock
) -> None:
    told: list[str] = []
    async with sole_process(memory, name="shop", clock=clock):
        with pytest.raises(MemoryInUseError, match="shop runs in another process"):
            await clock.run_until_complete(enter(memory, clock, told))
        assert told == ["waits"]
        assert 30 <= clock.monotonic() < 31
        async with sole_process(memory, name="another shop", clock=clock):
            pass
    assert memory.locked == []
    assert await enter(memory, clock, told) == "alone"
    assert told == ["waits"]


async def test_after_a_kill_the_next_one_waits_for_the_end_of_the_lease(
    memory: LeasedMemory, clock: FakeClock
) -> None:
    told: list[str] = []
    await memory.acquire("arvo.app/shop")
    assert await clock.run_until_complete(enter(memory, clock, told)) == "alone"
    assert told == ["waits"]
    assert 30 <= clock.monotonic() < 31


async def test_the_lease_is_kept_for_as_long_as_it_takes_and_survives_a_failed_renewal(
    memory: LeasedMemory, clock: FakeClock
) -> None:
    failures = iter([True, False, True])

    async def fail(call: str, machine_id: str) -> None:
        if call == "renew" and next(failures, False):
            raise MachineMemoryError("nobody answers", retryable=True, outcome="failed")

    failing = InterceptedLeasedMemory(memory, before=fail)
    async with sole_process(failing, name="shop", clock=clock):
        for _ in range(3600):
            clock.advance(SECOND)
            await clock.settle()
            assert memory.locked
    assert not memory.locked


async def test_one_that_was_paused_for_too_long_logs_that_another_took_over(
    memory: LeasedMemory, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    taken: MachineLease | None = None
    async with sole_process(memory, name="shop", clock=clock):
        await asyncio.sleep(0)
        clock.advance(31 * SECOND)
        taken = await memory.acquire("arvo.app/shop")
        assert taken is not None
        await clock.settle()
        clock.advance(31 * SECOND)
        await clock.settle()
    assert "shop was paused for so long" in caplog.text

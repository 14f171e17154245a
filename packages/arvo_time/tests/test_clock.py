import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from typing_extensions import override

from arvo_time import SYSTEM_CLOCK, SystemClock

AN_HOUR = timedelta(hours=1)
A_MOMENT = timedelta(microseconds=1)


def test_now_is_the_time_in_utc() -> None:
    before = datetime.now(UTC)
    now = SYSTEM_CLOCK.now()
    after = datetime.now(UTC)
    assert before <= now <= after
    assert now.tzinfo is UTC


def test_monotonic_never_goes_back() -> None:
    readings = [SYSTEM_CLOCK.monotonic() for _ in range(1_000)]
    assert readings == sorted(readings)


async def test_sleep_lasts_at_least_as_long_as_asked() -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    await SYSTEM_CLOCK.sleep(timedelta(milliseconds=2))
    assert loop.time() - before >= 0.002


@pytest.mark.parametrize("delay", [timedelta(0), -AN_HOUR])
async def test_sleeping_no_time_lets_other_tasks_run_once(delay: timedelta) -> None:
    order: list[str] = []
    asyncio.get_running_loop().call_soon(order.append, "other")
    await SYSTEM_CLOCK.sleep(delay)
    order.append("sleeper")
    assert order == ["other", "sleeper"]


async def test_a_timeout_ends_a_block_that_takes_too_long() -> None:
    with pytest.raises(TimeoutError):
        async with SYSTEM_CLOCK.timeout(A_MOMENT):
            await asyncio.Event().wait()


async def test_a_timeout_does_not_touch_a_block_that_ends_in_time() -> None:
    async with SYSTEM_CLOCK.timeout(AN_HOUR):
        await asyncio.sleep(0)


async def test_call_later_makes_the_call() -> None:
    called = asyncio.Event()
    SYSTEM_CLOCK.call_later(A_MOMENT, called.set)
    assert not called.is_set()
    await called.wait()


class ShiftedClock(SystemClock):
    """The machine's clock, set by a test."""

    shift = timedelta(0)

    @override
    def now(self) -> datetime:
        return super().now() + self.shift


async def test_a_call_at_a_time_follows_a_clock_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after a machine has slept, when the event loop's timers stood still."""
    monkeypatch.setattr("arvo_time._clock._LOOK", A_MOMENT)
    clock = ShiftedClock()
    called = asyncio.Event()
    when = clock.now() + AN_HOUR
    clock.call_at(when, called.set)
    looks = asyncio.Event()
    clock.call_later(timedelta(milliseconds=2), looks.set)
    await looks.wait()
    assert not called.is_set()
    clock.shift = AN_HOUR
    await called.wait()
    assert clock.now() >= when


async def test_a_call_at_a_time_that_has_passed_is_made_at_once() -> None:
    called = asyncio.Event()
    SYSTEM_CLOCK.call_at(SYSTEM_CLOCK.now() - AN_HOUR, called.set)
    await called.wait()


async def test_a_call_at_a_time_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arvo_time._clock._LOOK", A_MOMENT)
    clock = ShiftedClock()
    calls: list[str] = []
    timer = clock.call_at(clock.now() + AN_HOUR, lambda: calls.append("made"))
    looks = asyncio.Event()
    clock.call_later(timedelta(milliseconds=2), looks.set)
    await looks.wait()
    timer.cancel()
    clock.shift = 2 * AN_HOUR
    again = asyncio.Event()
    clock.call_later(timedelta(milliseconds=2), again.set)
    await again.wait()
    assert calls == []


async def test_a_cancelled_call_is_not_made() -> None:
    calls: list[str] = []
    called = asyncio.Event()
    timer = SYSTEM_CLOCK.call_later(A_MOMENT, lambda: calls.append("cancelled"))
    SYSTEM_CLOCK.call_later(2 * A_MOMENT, called.set)
    timer.cancel()
    await called.wait()
    timer.cancel()
    assert calls == []

"""Never more than allowed is in flight, and waiting callers are served in order."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, strategies as st

from arvo_redis._in_flight_limit import InFlightLimit


async def begun(entering: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.ensure_future(entering)
    await asyncio.sleep(0)
    return task


async def test_commands_are_bounded() -> None:
    limit = InFlightLimit(commands=2, n_bytes=100)
    assert [limit.try_enter(1) for _ in range(3)] == [True, True, False]
    limit.leave(1, 1)
    assert limit.try_enter(1)


async def test_bytes_are_bounded() -> None:
    limit = InFlightLimit(commands=10, n_bytes=100)
    assert [limit.try_enter(60), limit.try_enter(60), limit.try_enter(40)] == [True, False, True]


async def test_a_command_larger_than_the_limit_is_sent_alone() -> None:
    limit = InFlightLimit(commands=10, n_bytes=100)
    assert limit.try_enter(500)
    assert not limit.try_enter(1)
    limit.leave(1, 500)
    assert limit.try_enter(1)
    assert not limit.try_enter(500)


async def test_waiting_callers_are_served_in_order() -> None:
    limit = InFlightLimit(commands=10, n_bytes=100)
    assert limit.try_enter(100)
    large, small = await begun(limit.enter(90)), await begun(limit.enter(1))
    limit.leave(1, 100)
    assert not limit.try_enter(50)
    await large
    await small


async def test_a_cancelled_waiter_does_not_delay_others() -> None:
    limit = InFlightLimit(commands=10, n_bytes=100)
    assert limit.try_enter(50)
    large, small = await begun(limit.enter(90)), await begun(limit.enter(1))
    large.cancel()
    await small
    limit.leave(2, 51)
    assert limit.commands == 0


async def test_a_waiter_cancelled_as_it_gets_room_gives_it_back() -> None:
    limit = InFlightLimit(commands=1, n_bytes=100)
    assert limit.try_enter(1)
    first, second = await begun(limit.enter(1)), await begun(limit.enter(1))
    limit.leave(1, 1)
    first.cancel()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert limit.commands == 1


@given(
    sizes=st.lists(st.integers(1, 150), min_size=1, max_size=40),
    cancelled=st.sets(st.integers(0, 39)),
    commands=st.integers(1, 5),
)
async def test_the_limits_hold_and_every_waiter_that_stays_gets_room(
    sizes: list[int], cancelled: set[int], commands: int
) -> None:
    limit = InFlightLimit(commands=commands, n_bytes=100)
    inside: list[int] = []
    served: list[int] = []

    async def work(number: int, size: int) -> None:
        if not limit.try_enter(size):
            await limit.enter(size)
        inside.append(size)
        served.append(number)
        assert len(inside) <= commands
        assert sum(inside) <= 100 or len(inside) == 1
        try:
            await asyncio.sleep(0)
        finally:
            inside.remove(size)
            limit.leave(1, size)

    tasks = [asyncio.ensure_future(work(number, size)) for number, size in enumerate(sizes)]
    await asyncio.sleep(0)
    for number in cancelled & set(range(len(sizes))):
        tasks[number].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert served == sorted(served)
    assert set(served) >= set(range(len(sizes))) - cancelled
    assert limit.commands == 0

"""What the suite does when the time that a step takes cannot pass."""

import asyncio
from datetime import timedelta

import pytest

from arvo_event_handler.memory import LockPolicy
from arvo_event_handler.testing._lease_progress import expect_progress
from arvo_time.testing import FakeClock

from .leased_memory import LeasedMemory


@pytest.mark.parametrize("passed", [0, 1, 4])
@pytest.mark.parametrize(
    "error",
    [ConnectionError("the server is away"), AssertionError("not so")],
    ids=lambda error: type(error).__name__,
)
async def test_time_that_cannot_pass_fails_the_suite_and_hangs_nothing(
    passed: int, error: Exception
) -> None:
    """With the first error, not with what the workflow turned it into."""
    clock = FakeClock()
    policy = LockPolicy()
    shared = LeasedMemory(clock=clock, policy=policy)
    left = passed

    async def pass_time() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise error if left == -1 else ValueError("and another")
        await clock.run_for(policy.ttl * 2.5)

    before = asyncio.all_tasks()
    with pytest.raises(type(error)) as caught:
        async with asyncio.timeout(timedelta(seconds=20).total_seconds()):
            await expect_progress(
                [shared.another_client() for _ in range(3)], pass_time=pass_time, clock=FakeClock()
            )
    assert caught.value is error
    assert asyncio.all_tasks() == before

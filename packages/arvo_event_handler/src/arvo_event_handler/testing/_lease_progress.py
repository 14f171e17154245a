"""Steps that outlast their leases: a part of the suite for machine memories with leases."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from arvo_event_handler import IMachineMemory
from arvo_event_handler.memory import ILeasedMachineMemory
from arvo_time import Clock
from arvo_time.testing import FakeClock

from ._contention import ConnectLeasedMachineMemory, LetTimePass
from ._overtaken_workers import OvertakenWorkers, PassTime, reply, start
from ._watched_renewals import WatchedRenewals

_REPLIES = 6


class LeaseProgress:
    """However long a step takes, workers that overtake each other get all events done."""

    async def test_steps_that_block_for_longer_than_the_ttl_get_done(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """Three workers, six replies; code that blocks its event loop cannot renew its lease."""
        async with AsyncExitStack() as stack:
            others = [await stack.enter_async_context(connect()) for _ in range(2)]
            # This clock stands still, as the timers of a blocked loop do.
            await expect_progress(
                [memory, *others],
                pass_time=lambda: let_pass(memory.policy.ttl * 2.5),
                clock=FakeClock(),
            )

    async def test_steps_that_last_beyond_the_longest_hold_get_done(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """Three workers, six replies; leases are renewed until `max_hold`, and steps go on."""
        clock = FakeClock()
        ttl, max_hold = memory.policy.ttl, memory.policy.max_hold
        # A renewal after this time still finds the lease valid.
        part = ttl * 0.9

        async with AsyncExitStack() as stack:
            others = [await stack.enter_async_context(connect()) for _ in range(2)]
            watched = [WatchedRenewals(each) for each in [memory, *others]]

            async def pass_time() -> None:
                until = clock.monotonic() + (max_hold + ttl * 2.5).total_seconds()
                while clock.monotonic() < until:
                    await let_pass(part)
                    await clock.run_for(part)
                    for each in watched:
                        await each.settled()

            await expect_progress(watched, pass_time=pass_time, clock=clock)
        assert sum(each.renewed for each in watched) >= max_hold / ttl


async def expect_progress(
    memories: Sequence[IMachineMemory], *, pass_time: PassTime, clock: Clock
) -> None:
    """Fail unless workers that take every lease from each other complete a workflow exactly once.

    Each commit invalidates at most the current steps of the other workers, so there is a limit.
    """
    workers = OvertakenWorkers(memories, pass_time=pass_time, clock=clock)
    init = start(_REPLIES)
    # Each worker gets the event, as when a transport redelivers it to the next one.
    requests = await workers.handle([init] * workers.count, steps=workers.count)
    replies = [reply(request) for request in {each.id: each for each in requests}.values()]
    assert len(replies) == _REPLIES
    ends = await workers.handle(replies, steps=_REPLIES * workers.count)
    assert len(ends) == 1, "the workflow must complete once"
    assert sorted(ends[0].data["numbers"]) == list(range(_REPLIES)), "each reply must be in it once"

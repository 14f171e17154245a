"""Partitions that a worker leaves to others, as their events need newer code than it has."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

import pytest

from arvo_transport import IEventInbox, Received, TopicSpec, partition_of

from .conftest import Connect
from .events import TOPIC, event, number_of, receive_all

T = TypeVar("T")
LEASE = timedelta(seconds=1)
ORDERED = TopicSpec(TOPIC, order="subject")
SUBJECTS = {
    partition_of(f"order-{number}", partitions=4): f"order-{number}" for number in range(50)
}


async def extended(inbox: IEventInbox, held: Sequence[Received], task: asyncio.Task[T]) -> T:
    """Wait for a task, with events in hand that must stay there."""
    while not task.done():
        await asyncio.wait([task], timeout=LEASE.total_seconds() / 4)
        assert not await inbox.extend(held)
    return await task


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
async def test_one_that_has_its_share_reads_them_all_the_same(
    connect: Connect, *, busy: bool
) -> None:
    """Whichever they are, and whatever it has in hand: it must not give them up unread."""
    async with connect(lease=LEASE, partitions=4) as stays, connect(lease=LEASE) as gives:
        await stays.declare([ORDERED])
        async with asyncio.timeout(60), stays.inbox(ORDERED, prefetch=8) as one:
            held: Sequence[Received] = ()
            if busy:
                await stays.publish([event(number, subject=SUBJECTS[number]) for number in (0, 1)])
                held = await receive_all(one, 2)
            async with gives.inbox(ORDERED, prefetch=8) as two:
                # Who has too many keeps those with the lowest numbers.
                await stays.publish([event(number, subject=SUBJECTS[number]) for number in (2, 3)])
                newer = await extended(one, held, asyncio.create_task(receive_all(two, 2)))
                await two.release(newer, pause=timedelta(minutes=1))
                found = await extended(one, held, asyncio.create_task(receive_all(one, 2)))
                assert {number_of(each) for each in found} == {2, 3}

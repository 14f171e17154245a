"""A topic is paused, and laid out anew by processes that are killed half way, while events keep coming."""

import asyncio
import os
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from random import Random

import pytest

from arvo_transport import IEventTransport
from transport_faults import Role, Site, under_load, until

pytestmark = [pytest.mark.alone, pytest.mark.scaled, pytest.mark.timeout(300)]
FULL = os.environ.get("ARVO_FULL") == "1"
SUBJECTS = 20
ROLE = Role(topic="com.faults.moved", ordered=True, seconds=0.005, prefetch=8, emits=True)


async def test_nothing_is_handed_out_during_a_pause(site: Site) -> None:
    pauses = 6 if FULL else 2
    during = 0
    async with site.connect() as transport:
        await site.declare(transport, ROLE)
        workers = [site.start(ROLE), site.start(ROLE)]
        async with under_load(site, transport, ROLE, subjects=SUBJECTS, waiting=100) as load:
            for _ in range(pauses):
                await load.until_more(SUBJECTS)
                await transport.pause(ROLE.topic, paused=True)
                await until(lambda: nothing_in_hand(transport), "nothing is in hand")
                before = received(site)
                for _ in range(5):
                    await load.publish()
                during += received(site) - before
                await transport.pause(ROLE.topic, paused=False)
        assert await site.drain(*workers) == [0, 0]
        outputs = await site.outputs(transport)
    found = site.findings(ROLE.topic)
    print(  # noqa: T201
        f"{pauses} pauses under {load.published} events: {during} handled meanwhile, "
        f"{len(found.missing(load.published))} lost, {len(found.out_of_order)} order violations"
    )
    assert not during
    assert not found.missing(load.published)
    assert not found.out_of_order
    assert len({*outputs}) == load.published


async def test_who_lays_it_out_anew_may_be_killed(open_site: Callable[..., Site]) -> None:
    site = open_site(lease=timedelta(seconds=5))  # no worker dies, and none loses anything
    kills = 2 if FULL else 1  # on NATS, others wait 15 s for one that was killed
    random = Random(16)
    half_way = 0
    started = time.monotonic()
    async with site.connect() as transport:
        await site.declare(transport, ROLE)
        workers = [site.start(ROLE), site.start(ROLE)]
        async with under_load(site, transport, ROLE, subjects=SUBJECTS, waiting=100) as load:
            while half_way < kills:
                await load.until_more(SUBJECTS)
                process = site.start_relayout(ROLE.topic, partitions=random.randrange(2, 20))
                await until(partial(has_begun, process, transport), "a relayout begins")
                await asyncio.sleep(random.random() / 50)
                process.kill()
                await asyncio.to_thread(process.join)
                half_way += await is_paused(transport)
                # Another finishes what had begun, and then does what it wants itself.
                partitions = random.randrange(2, 20)
                await transport.relayout(ROLE.topic, partitions=partitions)
                [state] = [each for each in await transport.topics() if each.name == ROLE.topic]
                assert (state.partitions, state.order, state.paused) == (
                    partitions,
                    "subject",
                    False,
                )
        assert await site.drain(*workers) == [0, 0]
        outputs = await site.outputs(transport)
        letters = await transport.dead_letters()
    found = site.findings(ROLE.topic)
    print(  # noqa: T201
        f"{half_way} relayouts killed half way under {load.published} events: "
        f"{len(found.missing(load.published))} lost, {found.twice} handled twice, "
        f"{len(found.out_of_order)} order violations; {time.monotonic() - started:.1f} s"
    )
    assert not letters
    assert not found.twice
    assert not found.missing(load.published)
    assert not found.out_of_order
    assert not found.overlaps
    assert len({*outputs}) == load.published


def received(site: Site) -> int:
    return sum(entry.what == "received" for entry in site.ledger.read())


async def nothing_in_hand(transport: IEventTransport) -> bool:
    return not (await transport.depth(ROLE.topic)).in_hand


async def has_begun(process: BaseProcess, transport: IEventTransport) -> bool:
    """Return whether a relayout has begun, or is over already."""
    return not process.is_alive() or await is_paused(transport)


async def is_paused(transport: IEventTransport) -> bool:
    return any(each.paused for each in await transport.topics() if each.name == ROLE.topic)

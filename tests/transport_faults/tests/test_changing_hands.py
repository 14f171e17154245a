"""One partition goes from worker to worker, again and again, under load."""

import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from transport_faults import Role, Site, strength, under_load

pytestmark = [pytest.mark.alone, pytest.mark.scaled, pytest.mark.timeout(300)]
HANDS = strength(quick=10, full=50)
SUBJECTS = 8
ROLE = Role(topic="com.faults.handed", ordered=True, seconds=0.001, prefetch=8, emits=True)


async def test_nothing_is_handled_twice(open_site: Callable[..., Site]) -> None:
    site = open_site(partitions=1, lease=timedelta(seconds=10))
    started = time.monotonic()
    async with site.connect() as transport:
        await site.declare(transport, ROLE)
        leaves = site.here(ROLE)
        await leaves.__aenter__()
        async with under_load(
            site, transport, ROLE, subjects=SUBJECTS, waiting=4 * SUBJECTS
        ) as load:
            for _ in range(HANDS):
                takes = site.here(ROLE)
                await takes.__aenter__()
                await load.until_more(1)
                await leaves.__aexit__(None, None, None)
                await load.until_more(1)
                leaves = takes
        await leaves.__aexit__(None, None, None)
        outputs = await site.outputs(transport)
    found = site.findings(ROLE.topic)
    workers = [entry.worker for entry in site.ledger.read() if entry.what == "begun"]
    hands = sum(one != other for one, other in pairwise(workers))
    print(  # noqa: T201
        f"changed hands {hands} times under {load.published} events: {found.twice} handled twice, "
        f"delivered {max(found.deliveries.values())} time at most, {len(found.out_of_order)} order "
        f"violations; {time.monotonic() - started:.1f} s"
    )
    assert hands >= HANDS
    assert found.handled == dict.fromkeys(range(load.published), 1)
    assert not found.out_of_order
    assert not found.overlaps
    assert len(outputs) == len({*outputs}) == load.published

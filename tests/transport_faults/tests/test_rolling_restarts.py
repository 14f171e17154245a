"""Workers are replaced in good order, one after another, while events keep coming."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from transport_faults import Role, Site, strength, under_load

pytestmark = [pytest.mark.alone, pytest.mark.scaled, pytest.mark.timeout(300)]
RESTARTS = strength(quick=2, full=5)
SUBJECTS = 20


async def test_nothing_is_delivered_again(open_site: Callable[..., Site]) -> None:
    lease = timedelta(seconds=5)  # as nobody dies, nothing waits for its end
    await asyncio.gather(*(restart(open_site(lease=lease), ordered) for ordered in (False, True)))


async def restart(site: Site, ordered: bool) -> None:
    role = Role(topic="com.faults.rolling", ordered=ordered, seconds=0.02, prefetch=8, emits=True)
    statuses: list[int] = []
    started = time.monotonic()
    async with site.connect() as transport:
        await site.declare(transport, role)
        worker = site.start(role)
        async with under_load(
            site, transport, role, subjects=SUBJECTS, waiting=3 * SUBJECTS
        ) as load:
            for _ in range(RESTARTS):
                successor = site.start(role)
                await site.ready(successor)
                await load.until_more(SUBJECTS)
                statuses += await site.drain(worker)
                worker = successor
        statuses += await site.drain(worker)
        outputs = await site.outputs(transport)
        letters = await transport.dead_letters()
    found = site.findings(role.topic)
    print(  # noqa: T201
        f"{'ordered' if ordered else 'unordered'}: {RESTARTS} restarts under {load.published} "
        f"events, statuses {sorted({*statuses})}, {found.twice} handled twice, delivered "
        f"{max(found.deliveries.values())} time at most, {len(letters)} dead; "
        f"{time.monotonic() - started:.1f} s"
    )
    assert statuses == [0] * (RESTARTS + 1)
    assert not letters
    assert found.handled == dict.fromkeys(range(load.published), 1)
    assert {*found.deliveries.values()} == {1}
    assert not found.out_of_order or not ordered, found.out_of_order
    assert len(outputs) == len({*outputs}) == load.published

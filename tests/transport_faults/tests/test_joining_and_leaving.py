"""Workers join, leave and are killed while they share the subjects of an ordered topic."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest

from transport_faults import Role, Site, is_empty, numbered, strength, until

pytestmark = [pytest.mark.alone, pytest.mark.scaled, pytest.mark.timeout(300)]
EVENTS = strength(quick=200, full=600)
SUBJECTS = 40
WORKERS = 4
ROLE = Role(topic="com.faults.shared", ordered=True, seconds=0.01, prefetch=8, emits=True)


async def test_order_holds_and_nothing_overlaps(open_site: Callable[..., Site]) -> None:
    site = open_site(lease=timedelta(seconds=2))  # so that a busy machine takes none away
    count = EVENTS
    random = Random(16)
    started = time.monotonic()
    killed = 0
    leaving: list[asyncio.Task[object]] = []
    async with site.connect() as transport:
        await site.declare(transport, ROLE)
        await transport.publish(numbered(range(count), to=ROLE.topic, subjects=SUBJECTS))
        at_work = [site.start(ROLE, max_deliveries=1_000) for _ in range(WORKERS)]
        while not await is_empty(transport, ROLE.topic):
            # Or it might be that nothing is ever handled.
            await until(progress(site, count), "some more events are handled")
            worker = at_work.pop(random.randrange(WORKERS))
            if len(leaving) > killed:
                worker.process.kill()
                killed += 1
            else:
                leaving.append(asyncio.create_task(site.drain(worker)))
            at_work.append(site.start(ROLE, max_deliveries=1_000))
        statuses = [*await asyncio.gather(*leaving, site.drain(*at_work))]
        outputs = await site.outputs(transport)
    found = site.findings(ROLE.topic)
    print(  # noqa: T201
        f"{count} events of {SUBJECTS} subjects: {killed} workers killed, {len(leaving)} left, "
        f"{len(found.out_of_order)} order violations, {len(found.overlaps)} overlaps, "
        f"{found.twice} handled twice; {time.monotonic() - started:.1f} s"
    )
    assert not found.missing(count)
    assert not found.out_of_order
    assert not found.overlaps
    assert len({*outputs}) == count
    assert statuses == [*[[0]] * len(leaving), [0] * WORKERS]
    assert killed
    assert leaving


def progress(site: Site, count: int) -> Callable[[], bool]:
    """Return whether another part was handled since now, or all."""
    aim = sum(entry.what == "ended" for entry in site.ledger.read()) + max(40, count // 20)

    def made() -> bool:
        ended = sum(entry.what == "ended" for entry in site.ledger.read())
        return ended >= aim or not site.findings(ROLE.topic).missing(count)

    return made

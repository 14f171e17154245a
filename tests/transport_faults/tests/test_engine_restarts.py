"""The engine is killed and started again, while workers and a publisher go on by themselves."""

import asyncio
import os
import time
from functools import partial

import pytest

from transport_faults import Role, Site, insisted, numbered, until

pytestmark = [pytest.mark.alone, pytest.mark.scaled, pytest.mark.timeout(300)]
FULL = os.environ.get("ARVO_FULL") == "1"
SUBJECTS = 7


async def test_all_that_was_published_arrives(mortal_site: Site) -> None:
    site, kills = mortal_site, 5 if FULL else 2
    count = kills * 100
    plain = Role(topic="com.faults.plain", emits=True)
    ordered = Role(topic="com.faults.ordered", ordered=True, emits=True)
    started = time.monotonic()
    published = 0
    async with site.connect() as transport:
        await site.declare(transport, plain, ordered)
        workers = [site.start(plain, ordered, max_deliveries=1_000) for _ in range(2)]
        await site.ready(*workers)

        async def publish() -> None:
            nonlocal published
            for number in range(count):
                for topic in (plain.topic, ordered.topic):
                    some = numbered(range(number, number + 1), to=topic, subjects=SUBJECTS)
                    await insisted(partial(transport.publish, some))
                published += 1

        def enough(aim: int) -> bool:
            return published >= aim or publishing.done()

        publishing = asyncio.create_task(publish())
        for kill in range(kills):
            await until(partial(enough, 50 + 100 * kill), "enough is published")
            await asyncio.to_thread(site.engine.kill)
            await asyncio.to_thread(site.engine.restart)
        await publishing
        empty = partial(site.until_empty, transport, plain.topic, ordered.topic)
        await insisted(empty)
        assert await site.drain(*workers) == [0, 0]
        outputs = await site.outputs(transport)
        letters = await transport.dead_letters()
    found = [site.findings(role.topic) for role in (plain, ordered)]
    print(  # noqa: T201
        f"{kills} kills of the engine under {2 * count} events: "
        f"{sum(len(each.missing(count)) for each in found)} lost, "
        f"{sum(each.twice for each in found)} handled twice, "
        f"{len(outputs) - len({*outputs})} outputs twice, {len(found[1].disorder)} order "
        f"violations, {len(found[1].fell_back)} times back to what was settled; "
        f"{time.monotonic() - started:.1f} s"
    )
    assert not letters
    assert not any(each.missing(count) for each in found)
    assert len({*outputs}) == 2 * count
    assert not found[1].disorder
    assert site.engine.forgets_settlements or not found[1].fell_back

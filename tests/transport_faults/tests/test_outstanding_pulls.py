"""A worker of NATS stops while it waits for events: the next ones are handled elsewhere."""

import asyncio

import pytest

from transport_faults import Engine, Role, Site, numbered

pytestmark = pytest.mark.alone


async def test_the_next_event_is_handled_elsewhere(site: Site, engine: Engine) -> None:
    """It is not sent to who asked for it and is gone, where it would wait for the lease to end."""
    plain = Role(topic="com.faults.plain")
    ordered = Role(topic="com.faults.ordered", ordered=True)
    async with site.connect() as transport:
        await site.declare(transport, plain, ordered)
        staying = site.start(plain, ordered)
        await site.ready(staying)
        for turn in range(3):
            leaving = site.start(plain, ordered)
            await site.ready(leaving)
            publishing = [
                transport.publish(numbered(range(10 * turn, 10 * turn + 10), to=topic, subjects=10))
                for topic in (plain.topic, ordered.topic)
            ]
            statuses, *_ = await asyncio.gather(site.drain(leaving), *publishing)
            assert statuses == [0]
            await site.until_empty(transport, plain.topic, ordered.topic)
        assert not await transport.dead_letters()
        assert await site.drain(staying) == [0]
    found = [site.findings(role.topic) for role in (plain, ordered)]
    print(  # noqa: T201
        f"3 stops of a waiting worker of {engine.name} under 60 events: "
        f"{sum(len(each.missing(30)) for each in found)} lost, "
        f"{sum(each.twice for each in found)} handled twice"
    )
    assert not any(each.missing(30) for each in found)
    assert not any(each.twice for each in found)

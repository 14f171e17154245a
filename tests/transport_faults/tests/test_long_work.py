"""A handler at work for much longer than the engine waits for a word."""

import asyncio
import os
from collections.abc import Callable

import pytest

from transport_faults import Role, Site, numbered

pytestmark = [pytest.mark.alone, pytest.mark.scaled, pytest.mark.timeout(120)]
LEASES = 10 if os.environ.get("ARVO_FULL") == "1" else 2


async def test_it_is_one_delivery(open_site: Callable[..., Site]) -> None:
    await asyncio.gather(*(work_long(open_site(), ordered) for ordered in (False, True)))


async def work_long(site: Site, ordered: bool) -> None:
    seconds = LEASES * site.lease.total_seconds()
    role = Role(topic="com.faults.long", ordered=ordered, seconds=seconds, emits=True)
    count = 4
    async with site.connect() as transport:
        await site.declare(transport, role)
        workers = [site.start(role), site.start(role)]
        await transport.publish(numbered(range(count), to=role.topic))
        await site.until_empty(transport, role.topic)
        assert await site.drain(*workers) == [0, 0]
        outputs = await site.outputs(transport)
    found = site.findings(role.topic)
    print(  # noqa: T201
        f"{'ordered' if ordered else 'unordered'}: {count} events of {LEASES} leases each, delivered "
        f"{max(found.deliveries.values())} time at most, {found.lost} lost"
    )
    assert found.handled == dict.fromkeys(range(count), 1)
    assert found.deliveries == dict.fromkeys(range(count), 1)
    assert sorted(outputs) == [f"{role.topic}-{number}>done" for number in range(count)]

"""Connections are cut after a request was forwarded: it was done, and who asked does not know."""

import asyncio
import time
from contextlib import suppress
from functools import partial
from random import Random

import pytest

from arvo_transport import DeliveryLostError, Done, IEventTransport, Output, TopicSpec
from real_servers import FaultProxy
from transport_faults import DONE, Engine, Role, Site, insisted, numbered, output_of, strength

pytestmark = [pytest.mark.alone, pytest.mark.scaled, pytest.mark.timeout(300)]
CUTS = {"redis": strength(quick=10, full=60), "nats": strength(quick=4, full=12)}
"""So many of each engine: the client of NATS comes back after seconds only."""
SUBJECTS = 7


@pytest.mark.parametrize("ordered", [False, True], ids=["unordered", "ordered"])
async def test_nothing_is_settled_that_was_not_stored(
    site: Site, engine: Engine, *, ordered: bool
) -> None:
    role = Role(topic="com.faults.cut", ordered=ordered)
    spec = TopicSpec(role.topic, order="subject" if ordered else "none")
    cuts = CUTS[engine.name]
    count = 2 * cuts
    random = Random(16)
    started = time.monotonic()

    async def publish(transport: IEventTransport) -> None:
        for each in numbered(range(count), to=role.topic, subjects=SUBJECTS):
            await insisted(partial(transport.publish, [each]))

    async def work(transport: IEventTransport) -> None:
        async with transport.inbox(spec, prefetch=4) as inbox:
            while True:  # also what it has lost comes again
                for each in await insisted(partial(inbox.receive, 4)):
                    done = Done(outputs=[Output(output_of(each.event), topic=DONE)])
                    with suppress(DeliveryLostError):  # or settled, by a call whose reply was lost
                        await insisted(partial(inbox.settle, each, done))

    async with site.connect() as direct, FaultProxy.open(port=engine.port) as proxy:
        await site.declare(direct, role)
        faults = [
            proxy.lose_next_reply(containing=f'"{role.topic}-{number}{suffix}"'.encode())
            for number in random.sample(range(count), cuts // 2)
            for suffix in ("", ">done")
        ]
        async with (
            site.connect(port=proxy.port) as publisher,
            site.connect(port=proxy.port) as worker,
        ):
            working = asyncio.create_task(work(worker))
            await publish(publisher)
            await site.until_empty(direct, role.topic)
            working.cancel()
            await asyncio.wait([working])
            assert working.cancelled()
        outputs = await site.outputs(direct)
    cut = sum(fault.happened.is_set() for fault in faults)
    print(  # noqa: T201
        f"{cut} of {cuts} cuts under {count} events: {count - len({*outputs})} lost, "
        f"{len(outputs) - len({*outputs})} outputs twice; {time.monotonic() - started:.1f} s"
    )
    assert cut == cuts
    assert {*outputs} == {f"{role.topic}-{number}>done" for number in range(count)}

"""A worker is killed between a timer that is due and the end of its step, and an engine has the events."""

from pathlib import Path

import pytest

from arvo_core import ArvoEvent
from arvo_transport import Done, TopicSpec, connect_transport
from timer_faults import CLIENT, FLOW, HOLD, POINTS, Death, Site, Store, flow, init
from transport_faults import until

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("death", POINTS)
async def test_it_fires_once_and_its_completion_arrives(
    sqlite_store: Store, transport_url: str, tmp_path: Path, death: Death
) -> None:
    """What is published waits in the engine: only a timer that is claimed waits for the hold."""
    store, start = sqlite_store, init()
    answers: list[ArvoEvent] = []
    opened = Site.open(memory=store.url, books=tmp_path / "books", transport=transport_url)
    async with store.connect() as memory, connect_transport(transport_url) as transport:
        inbox_of_client = TopicSpec(CLIENT)
        await transport.declare(
            [inbox_of_client, TopicSpec(FLOW.type, order="subject", owner=False)]
        )
        await flow(memory).execute(start)
        with opened as site:
            await site.killed(site.start(death=death))
            held_until = await memory.next_due()
            assert (held_until is None) == (death == "committed")
            if death == "claimed":
                await store.let_pass(HOLD)
            site.start()
            async with transport.inbox(inbox_of_client, prefetch=1) as inbox:
                while not answers:
                    for received in await inbox.receive(1):
                        answers.append(received.event)
                        await inbox.settle(received, Done())

                async def is_empty() -> bool:
                    depths = [await transport.depth(each) for each in (CLIENT, FLOW.type)]
                    return not any(each.waiting + each.in_hand + each.delayed for each in depths)

                await until(is_empty, "nothing is on its way")
            fired = site.fired()
        assert await memory.next_due() is None
    print(  # noqa: T201
        f"{transport_url.partition(':')[0]}: killed when {death}: fired {fired[0]} time, "
        f"{len(answers)} completion"
    )
    assert fired == (1, 0)
    assert [answer.subject for answer in answers] == [start.subject]

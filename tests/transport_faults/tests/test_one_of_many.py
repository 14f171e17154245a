"""One event ends its worker each time, among many that are in hand, with another topic beside."""

import asyncio
import os
import signal
import time
from collections.abc import Callable

import pytest

from transport_faults import Role, Site, WorkerProcess, is_empty, numbered, until

pytestmark = [pytest.mark.alone, pytest.mark.scaled, pytest.mark.timeout(300)]
FULL = os.environ.get("ARVO_FULL") == "1"
KILLER = 7
SUSPECT_AFTER = 3 if FULL else 2
MAX_DELIVERIES = 6 if FULL else 4  # both as a broker has them by default, in the full form


async def test_only_the_one_is_dead(open_site: Callable[..., Site]) -> None:
    await asyncio.gather(*(only_the_one_is_dead(open_site(), ordered) for ordered in (False, True)))


async def only_the_one_is_dead(site: Site, ordered: bool) -> None:
    in_hand, beside = (32, 200) if FULL else (12, 8)
    role = Role(topic="com.faults.mixed", ordered=ordered, killers=frozenset({KILLER}))
    other = Role(topic="com.faults.beside")
    started = time.monotonic()
    async with site.connect() as transport:
        await site.declare(transport, role, other)
        await transport.publish(numbered(range(in_hand), to=role.topic))
        await transport.publish(numbered(range(beside), to=other.topic))

        def start() -> WorkerProcess:
            return site.start(
                role, other, suspect_after=SUSPECT_AFTER, max_deliveries=MAX_DELIVERIES
            )

        worker = start()

        async def over() -> bool:
            nonlocal worker
            if not worker.process.is_alive():
                worker = start()
            return await is_empty(transport, role.topic, other.topic)

        await until(over, "all events are handled or dead")
        letters = await transport.dead_letters()
    deaths = [await worker.ended() for worker in site.workers[:-1]]
    found, side = site.findings(role.topic), site.findings(other.topic)
    innocent = max(count for number, count in found.deliveries.items() if number != KILLER)
    print(  # noqa: T201
        f"{'ordered' if ordered else 'unordered'}: one of {in_hand} kills {len(deaths)} workers: {len(letters)} letter, others delivered "
        f"{innocent} times at most, {beside} beside; {time.monotonic() - started:.1f} s"
    )
    assert [
        (letter.event and letter.event.data["number"], letter.reason) for letter in letters
    ] == [(KILLER, "redelivered too often")]
    assert found.missing(in_hand) == [KILLER]
    assert not side.missing(beside)
    assert innocent <= SUSPECT_AFTER + 1
    assert max(side.deliveries.values()) <= SUSPECT_AFTER + 1
    assert deaths == [-signal.SIGKILL] * MAX_DELIVERIES

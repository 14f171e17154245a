"""A worker stands still for longer than the engine waits, another takes over, the first goes on."""

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from transport_faults import Role, Site, WorkerProcess, numbered, until

pytestmark = [pytest.mark.alone, pytest.mark.scaled, pytest.mark.timeout(300)]
FULL = os.environ.get("ARVO_FULL") == "1"
COUNT = 24
SUBJECTS = 4


async def test_it_acknowledges_nothing_of_others(open_site: Callable[..., Site]) -> None:
    rounds = 3 if FULL else 1
    for _ in range(rounds):
        await asyncio.gather(*(freeze(open_site(partitions=4), order) for order in (False, True)))


async def freeze(site: Site, ordered: bool) -> None:
    role = Role(topic="com.faults.frozen", ordered=ordered, seconds=0.1, prefetch=6, emits=True)
    async with site.connect() as transport:
        await site.declare(transport, role)
        frozen = site.start(role)
        await transport.publish(numbered(range(COUNT), to=role.topic, subjects=SUBJECTS))
        await until(lambda: settled(site), "the first worker settles an event")
        await until(lambda: stands_still_at_work(site, frozen), "it stands still amid its work")
        other = site.start(role)
        # Whether it was begun or not: the engine has missed what the first one has in hand.
        await until(lambda: took_over(site, other), "another worker takes over")
        frozen.signal(signal.SIGCONT)
        await site.until_empty(transport, role.topic)
        assert await site.drain(frozen, other) == [0, 0]
        outputs = await site.outputs(transport)
        letters = await transport.dead_letters()
    found = site.findings(role.topic)
    again = sum(count > 1 for count in found.deliveries.values())
    print(  # noqa: T201
        f"{'ordered' if ordered else 'unordered'}: {again} of {COUNT} delivered again, "
        f"{found.lost} settlements refused, {found.twice} handled twice, "
        f"{len(outputs) - len({*outputs})} outputs twice"
    )
    assert not letters
    assert not found.missing(COUNT)
    assert len({*outputs}) == COUNT
    assert again, "nothing was taken over"
    assert not found.out_of_order or not ordered, found.out_of_order


def settled(site: Site) -> bool:
    return any(entry.what == "settled" for entry in site.ledger.read())


def stands_still_at_work(site: Site, worker: WorkerProcess) -> bool:
    """Stop a worker; let it go on when it had no event begun, as then nothing can be taken over."""
    worker.freeze()
    entries = site.ledger.read()
    begun = {entry.number for entry in entries if entry.what == "begun"}
    if begun - {entry.number for entry in entries if entry.what == "ended"}:
        return True
    worker.signal(signal.SIGCONT)
    return False


def took_over(site: Site, worker: WorkerProcess) -> bool:
    return any(
        entry.worker == worker.number and entry.deliveries > 1 for entry in site.ledger.read()
    )

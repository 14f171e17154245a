"""A worker is killed between a timer that is due and the commit of its step: it fires once."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from timer_faults import HOLD, POINTS, Death, Site, Store, flow, init, is_done
from transport_faults import until

pytestmark = [pytest.mark.alone, pytest.mark.scaled]
ROUNDS = 3 if os.environ.get("ARVO_FULL") == "1" else 1
SHORTLY_BEFORE = timedelta(seconds=15)  # as a worker may take long to start


@pytest.mark.parametrize("death", POINTS)
async def test_it_fires_once_and_at_most_a_hold_late(
    store: Store, tmp_path: Path, death: Death
) -> None:
    """What a process had in hand is gone with it. The claim ends after the hold, and not before."""
    for number in range(ROUNDS):
        await store.empty()
        with Site.open(memory=store.url, books=tmp_path / f"books-{number}") as site:
            late = await late_by(store, site, death)
            assert site.fired() == (1, 0)
        assert late <= HOLD
        print(  # noqa: T201
            f"{store.name}: killed when {death}: fired once, at most {late.total_seconds():.1f} s late"
        )


async def late_by(store: Store, site: Site, death: Death) -> timedelta:
    """Kill a worker and start another; return how long after that the timer fires, by the store's time."""
    start = init()
    async with store.connect() as memory:
        await flow(memory).execute(start)
        await site.killed(site.start(death=death))
        died = await store.now()
        site.start()
        if death == "committed":
            assert await is_done(memory, start.subject)
            return timedelta(0)
        held_until = await memory.next_due()
        await store.let_pass(HOLD - SHORTLY_BEFORE)
        assert await memory.claim_due(limit=1, hold=HOLD) == []
        await store.let_pass(SHORTLY_BEFORE)
        await until(lambda: is_done(memory, start.subject), "the timer fires")
        late: timedelta = held_until - died
        return late

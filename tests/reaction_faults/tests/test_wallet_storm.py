"""Workers of the wallet are killed at random under load: no transfer is lost or doubled."""

import os
import time
from datetime import timedelta

import pytest

from reaction_faults import Database
from wallet.customers import Plan
from wallet.day import Day, Progress, live_through
from wallet.worker import WorkerSettings

pytestmark = [pytest.mark.alone, pytest.mark.scaled]
FULL = os.environ.get("ARVO_FULL") == "1"
WORKERS, TRANSFERS, KILL_EVERY, KILLS = (4, 500, 0.3, None) if FULL else (2, 60, 0.2, 3)
TTL = timedelta(seconds=1)


async def test_every_balance_is_right(database: Database) -> None:
    began = time.monotonic()
    shown: list[Progress] = []
    day = Day(
        plan=Plan.of(accounts=20, transfers=TRANSFERS),
        settings=WorkerSettings(url=database.url, ttl=TTL),
        workers=WORKERS,
        kill_every=timedelta(seconds=KILL_EVERY),
        kills=KILLS,
    )
    found = await live_through(day, show=shown.append)
    print(  # noqa: T201
        f"{database.name}: {shown[-1].kills} kills of {WORKERS} workers under {TRANSFERS} transfers: "
        f"{dict(found.ends)}, {found.events} events, {len(found.problems)} problems; "
        f"{time.monotonic() - began:.1f} s"
    )
    assert not found.problems
    assert sum(found.ends.values()) == TRANSFERS
    assert found.total == found.deposited
    assert shown[-1].kills >= 2, "a storm that hits nobody proves nothing"

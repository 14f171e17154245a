"""The server is killed and started again under load: workers go on by themselves, and nothing is lost."""

import asyncio
import os
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from arvo_event_store import StoreFailure
from reaction_faults import DoomedSettings, PostgresDatabase
from transport_faults import until
from wallet.audit import audit
from wallet.bank import Bank, open_bank
from wallet.customers import Plan, ask_for_transfers, open_accounts
from wallet.day import is_at_rest
from wallet.worker import WorkerSettings

pytestmark = [pytest.mark.alone, pytest.mark.scaled]
KILLS, TRANSFERS = (5, 150) if os.environ.get("ARVO_FULL") == "1" else (1, 40)
NEVER = timedelta(minutes=10)

Start = Callable[[DoomedSettings], BaseProcess]


async def test_workers_go_on(postgres: PostgresDatabase, tmp_path: Path, started: Start) -> None:
    """Some transfers before each kill, some while the server is away and after it has come back."""
    settings = WorkerSettings(url=postgres.url, ttl=timedelta(seconds=1))
    began = time.monotonic()
    async with open_bank(postgres.url, create=True) as bank:
        plans = [
            Plan.of(accounts=6, transfers=TRANSFERS, name=f"{kill}-") for kill in range(KILLS + 1)
        ]
        await open_accounts(bank, plans[0])
        workers = [
            started(DoomedSettings(worker=settings, stats=tmp_path / f"{number}.json"))
            for number in range(2)
        ]
        for plan in plans[1:]:
            position = await bank.store.horizon()
            asking = asyncio.create_task(ask_for_transfers(bank, plan))
            await until(partial(has_moved, bank, position), "transfers are under way")
            await asyncio.to_thread(postgres.server.kill)
            await asyncio.to_thread(postgres.server.restart)
            await asking
        await ask_for_transfers(bank, plans[0])
        await until(lambda: rests(bank), "all is done")
        found = await audit(bank, requested=[each for plan in plans for each in plan.transfers])
        assert all(worker.is_alive() for worker in workers)
    print(  # noqa: T201
        f"{KILLS} kills of the server under {len(plans) * TRANSFERS} transfers: {dict(found.ends)}, "
        f"{len(found.problems)} problems; {time.monotonic() - began:.1f} s"
    )
    assert not found.problems


async def test_wake_ups_return(postgres: PostgresDatabase, tmp_path: Path, started: Start) -> None:
    """A worker that never looks by itself hears of each transfer after the restart."""
    settings = WorkerSettings(url=postgres.url, poll=NEVER)
    plan = Plan.of(accounts=2, transfers=0)
    took = []
    asked: list[str] = []
    async with open_bank(postgres.url, create=True) as bank:
        await open_accounts(bank, plan)
        started(DoomedSettings(worker=settings, stats=tmp_path / "stats.json"))
        for number in range(6):
            if number == 1:
                await asyncio.to_thread(postgres.server.kill)
                await asyncio.to_thread(postgres.server.restart)
            began = time.monotonic()
            one = Plan.of(accounts=2, transfers=1, name=f"{number}-")
            await ask_for_transfers(bank, one)
            asked += one.transfers
            await until(partial(all_ended, bank, asked), "the transfer ends")
            took.append(time.monotonic() - began)
        await until(lambda: rests(bank), "the table is right")
        assert not (await audit(bank, requested=asked)).problems
    shown = ", ".join(f"{seconds * 1000:.0f}" for seconds in took)
    print(f"transfers before the restart of the server and after it took {shown} ms")  # noqa: T201


async def all_ended(bank: Bank, asked: list[str]) -> bool:
    heads = await bank.store.heads([f"transfer-{each}" for each in asked])
    return all(head.version == 1 for head in heads.values())


async def has_moved(bank: Bank, position: int) -> bool:
    return await bank.store.horizon() > position + TRANSFERS


async def rests(bank: Bank) -> bool:
    try:
        return await is_at_rest(bank)
    except StoreFailure:
        return False

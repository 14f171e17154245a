"""A worker is killed between any two statements, or stands still for longer than its lease."""

import asyncio
import os
import signal
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from reaction_faults import Database, Doom, DoomedSettings
from transport_faults import until
from wallet.audit import Audit, audit
from wallet.bank import Bank
from wallet.customers import Plan, ask_for_transfers, open_accounts
from wallet.worker import WorkerSettings, reaction_worker

pytestmark = [pytest.mark.alone, pytest.mark.scaled]
FULL = os.environ.get("ARVO_FULL") == "1"
STRIDE = {"postgres": 2, "sqlite": 5} if FULL else {"postgres": 17, "sqlite": 97}
ROUNDS = 5 if FULL else 1
TTL = timedelta(seconds=1)

Start = Callable[[DoomedSettings], BaseProcess]


class Site:
    """A bank whose customers ask for one transfer after the other."""

    def __init__(self, bank: Bank, url: str, folder: Path) -> None:
        self.bank = bank
        self.settings = WorkerSettings(url=url, ttl=TTL)
        self.stats = folder / "stats.json"
        self._asked: list[str] = []

    async def ask(self) -> str:
        """Ask for one more transfer, and return its id."""
        plan = Plan.of(accounts=2, transfers=1, name=f"t{len(self._asked)}-")
        await open_accounts(self.bank, plan)
        await ask_for_transfers(self.bank, plan)
        self._asked += plan.transfers
        return self._asked[-1]

    def doomed(self, doom: Doom | None) -> DoomedSettings:
        return DoomedSettings(worker=self.settings, doom=doom, stats=self.stats)

    async def settle(self) -> None:
        """Do here what is left."""
        worker = reaction_worker(self.bank, self.settings)
        await asyncio.wait_for(worker.settle(), timeout=60)

    async def audit(self) -> Audit:
        return await audit(self.bank, requested=self._asked)


@pytest.fixture
def site(bank: Bank, database: Database, tmp_path: Path) -> Site:
    return Site(bank, database.url, tmp_path)


async def ended(process: BaseProcess) -> int | None:
    await asyncio.to_thread(process.join)
    return process.exitcode


async def test_nothing_is_lost_or_doubled(site: Site, database: Database, started: Start) -> None:
    """Another worker does what is left, whatever was done before."""
    points = whole = 0
    while not whole:
        await site.ask()
        process = started(site.doomed(Doom(before=points * STRIDE[database.name])))
        assert await ended(process) == -signal.SIGKILL
        points += 1
        whole = not (await site.audit()).problems
        await database.end_leases()
        await site.settle()
        found = await site.audit()
        assert not found.problems, f"killed before statement {(points - 1) * STRIDE[database.name]}"
        assert found.ends == {"completed": points}
    print(  # noqa: T201
        f"{database.name}: killed at {points} points of the first {points * STRIDE[database.name]} "
        f"statements: {points} of {points} transfers once"
    )
    assert points > 2, "it was always killed after its work"


async def test_another_worker_takes_over(site: Site, database: Database, started: Start) -> None:
    """When the lease has run out."""
    late = []
    for _ in range(ROUNDS):
        transfer = await site.ask()
        assert await ended(started(site.doomed(Doom(before="finish")))) == -signal.SIGKILL
        died = time.time()
        async with reaction_worker(site.bank, site.settings):
            await until(partial(is_reserved, site.bank, transfer), "the transfer is taken over")
            position = await reserved_at(site.bank, transfer)
            assert position is not None
            late.append(position - died)
            await until(partial(has_ended, site.bank, transfer), "the transfer ends")
        await site.settle()
    assert not (await site.audit()).problems
    shown = ", ".join(f"{seconds * 1000:.0f}" for seconds in late)
    print(f"{database.name}: taken over {shown} ms after the death, with leases of {TTL}")  # noqa: T201
    assert statistics.median(late) <= TTL.total_seconds() + 1


async def reserved_at(bank: Bank, transfer: str) -> float | None:
    """Return when the money of a transfer was put aside, by the store's clock."""
    async for event in bank.store.read_all():
        if event.name == "Reserved" and event.data["transfer"] == transfer:
            return event.created.timestamp()
    return None


async def is_reserved(bank: Bank, transfer: str) -> bool:
    return await reserved_at(bank, transfer) is not None


async def has_ended(bank: Bank, transfer: str) -> bool:
    return (await bank.store.heads([f"transfer-{transfer}"]))[f"transfer-{transfer}"].version == 1


async def test_a_frozen_holder_stores_nothing(
    site: Site, database: Database, started: Start
) -> None:
    """Its finish comes after another worker did the same: it is refused, and it is told."""
    await site.ask()
    await site.settle()  # so that the next transfer is all that it has in hand
    await site.ask()
    process = started(site.doomed(Doom(before="finish", signal=signal.SIGSTOP)))
    stat = Path(f"/proc/{process.pid}/stat")
    await until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it stands still")
    await database.end_leases()
    await site.settle()
    before = await site.audit()
    assert not before.problems
    assert process.pid is not None
    os.kill(process.pid, signal.SIGCONT)
    process.terminate()
    assert await ended(process) == 0
    stats = site.stats.read_text()
    print(f"{database.name}: a frozen worker was told: {stats}")  # noqa: T201
    assert '"lost": 1' in stats
    assert '"handled": 0' in stats
    assert await site.audit() == before

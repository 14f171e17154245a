"""A day of the bank: customers ask, workers work and are killed, and the books are audited."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final

from arvo_event_store import Query

from .audit import Audit, audit
from .bank import MEMORY, Bank, open_bank
from .customers import Plan, ask_for_transfers, open_accounts
from .reactions import GROUP
from .worker import WorkerSettings, reaction_worker
from .workers import Workers

_LOOK: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a day is."""

    ended: int
    """How many transfers have ended."""
    of: int
    """How many there are."""
    kills: int
    """How many workers were killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What happens on a day.

    With the store in memory, one worker runs in this process, which is not killed.
    """

    plan: Plan
    """What the customers do."""
    settings: WorkerSettings
    """The bank, and its workers."""
    workers: int = 3
    """How many processes work."""
    kill_every: timedelta | None = None
    """The pause between two kills; None kills nobody."""
    kills: int | None = None
    """How many are killed at most; None is no limit."""
    seed: int = 1
    """Of who is killed."""


async def live_through(day: Day, *, show: Callable[[Progress], None] = lambda _: None) -> Audit:
    """Let a day pass, and audit the books at its end.

    Args:
        day: What happens.
        show: Called now and then.

    Raises:
        RuntimeError: A worker ended by itself, or a target is blocked.
        StoreFailure: The database failed.
    """
    async with open_bank(day.settings.url, create=True) as bank:
        await open_accounts(bank, day.plan)
        began = await bank.store.horizon()
        async with _working(bank, day) as workers:
            asking = asyncio.create_task(ask_for_transfers(bank, day.plan))
            killing = asyncio.create_task(_kill(workers, day))
            try:
                await _until_done(bank, day, began=began, workers=workers, asking=asking, show=show)
            finally:
                for task in (asking, killing):
                    task.cancel()
                await asyncio.gather(asking, killing, return_exceptions=True)
        return await audit(bank, requested=day.plan.transfers)


def _working(bank: Bank, day: Day) -> AbstractAsyncContextManager[Workers | None]:
    if day.settings.url == MEMORY:
        return _working_here(bank, day.settings)
    return Workers(day.settings, count=day.workers, random=Random(day.seed))


@asynccontextmanager
async def _working_here(bank: Bank, settings: WorkerSettings) -> AsyncIterator[None]:
    async with reaction_worker(bank, settings):
        yield


async def _kill(workers: Workers | None, day: Day) -> None:
    if workers is None or day.kill_every is None:
        return
    while day.kills is None or workers.kills < day.kills:
        await asyncio.sleep(day.kill_every.total_seconds())
        workers.kill_one()


async def _until_done(
    bank: Bank,
    day: Day,
    *,
    began: int,
    workers: Workers | None,
    asking: asyncio.Task[None],
    show: Callable[[Progress], None],
) -> None:
    """Wait until all transfers have ended, and the table shows it."""
    ended, position, of = 0, began, len(day.plan.transfers)
    query = Query(stream_prefix="transfer-", names=["Completed", "Refused"])
    while True:
        async for event in bank.store.read_all(after=position, where=query):
            ended, position = ended + 1, event.position
        kills = 0 if workers is None else workers.kills
        show(Progress(ended=ended, of=of, kills=kills))
        if asking.done():
            asking.result()
            if ended >= of and await is_at_rest(bank):
                return
        if workers is not None:
            workers.check()
        await asyncio.sleep(_LOOK)


async def is_at_rest(bank: Bank) -> bool:
    """Return whether nothing is left to do but what transfers that have not ended still cause.

    Raises:
        RuntimeError: An event cannot be handled, and waits for an operator.
    """
    lags = {lag.reaction: lag for lag in await bank.store.lag(GROUP)}
    for name, lag in lags.items():
        if lag.blocked or lag.parked:
            raise RuntimeError(f"reaction {name}: {lag.blocked} blocked, {lag.parked} parked")
    table = lags.get("balances")
    if table is None or any(lag.pending or lag.asleep for lag in lags.values()):
        return False
    # Events that do not concern it may be unscanned for a while.
    left = Query(stream_prefix="account-")
    async for _ in bank.store.read_all(after=table.scanned, where=left, limit=1):
        return False
    return True

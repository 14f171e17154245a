"""A worker: runs the reactions of the bank, in a process of its own."""

import asyncio
import signal
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Final

from arvo_event_store import Lane, ReactionWorker

from .bank import Bank, open_bank
from .reactions import GROUP, create_reactions

_LOOK: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a process is started with."""

    url: str
    """The bank, as for `open_bank`."""
    ttl: timedelta = timedelta(seconds=2)
    """How long what it has in hand stays with it when it dies."""
    poll: timedelta = timedelta(seconds=1)
    """How often it looks for work when nobody says that there is some."""


def reaction_worker(bank: Bank, settings: WorkerSettings) -> ReactionWorker:
    """Return a worker, which works for as long as its block lasts."""
    return ReactionWorker(
        bank.store,
        group=GROUP,
        reactions=create_reactions(bank.balances),
        lanes={"default": Lane(ttl=settings.ttl)},
        poll=settings.poll,
    )


def work(settings: WorkerSettings, worked: Connection) -> None:
    """Work until SIGTERM, which lets it end what it has in hand.

    Args:
        settings: What it is started with.
        worked: Where it says that it has stored something.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it
    asyncio.run(_work(settings, worked))


async def _work(settings: WorkerSettings, worked: Connection) -> None:
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    async with open_bank(settings.url) as bank, reaction_worker(bank, settings) as worker:
        telling = asyncio.create_task(_tell(worker, worked))
        await terminated.wait()
        telling.cancel()


async def _tell(worker: ReactionWorker, worked: Connection) -> None:
    while not worker.stats().handled:  # noqa: ASYNC110 - a worker tells nobody what it has stored
        await asyncio.sleep(_LOOK)
    worked.send_bytes(b"!")

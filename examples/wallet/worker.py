"""A worker: runs the reactions of the bank, in a process of its own."""

import asyncio
import signal
from dataclasses import dataclass
from datetime import timedelta

from arvo_event_store import Lane, ReactionWorker

from .bank import Bank, open_bank
from .reactions import GROUP, create_reactions


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


def work(settings: WorkerSettings) -> None:
    """Work until SIGTERM, which lets it end what it has in hand."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it
    asyncio.run(_work(settings))


async def _work(settings: WorkerSettings) -> None:
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    async with open_bank(settings.url) as bank, reaction_worker(bank, settings):
        await terminated.wait()

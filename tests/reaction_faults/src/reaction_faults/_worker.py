"""A worker of the wallet whose end is known beforehand, in a process of its own."""

import asyncio
import json
import signal
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from wallet.bank import open_bank
from wallet.worker import WorkerSettings, reaction_worker

from ._doom import Doom, Fate


@dataclass(frozen=True, slots=True, kw_only=True)
class DoomedSettings:
    """What a process is started with."""

    worker: WorkerSettings
    """What the worker is started with."""
    doom: Doom | None = None
    """What strikes it; None lets it live."""
    stats: Path
    """Where it writes what it did, when it ends in good order."""


def start(settings: DoomedSettings) -> BaseProcess:
    """Start a worker."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__, "arvo_event_store.postgres"])
    process = context.Process(target=doomed, args=(settings,), daemon=True)
    process.start()
    return process


def doomed(settings: DoomedSettings) -> None:
    """Work until SIGTERM, or until the doom strikes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    asyncio.run(_work(settings))


async def _work(settings: DoomedSettings) -> None:
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    fate = None if settings.doom is None else Fate(settings.doom)
    async with open_bank(settings.worker.url) as bank:
        if fate is not None:
            fate.watch(bank.store)
        worker = reaction_worker(bank, settings.worker)
        async with worker:
            await terminated.wait()
    settings.stats.write_text(json.dumps(asdict(worker.stats())))

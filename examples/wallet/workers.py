"""The worker processes: started, killed at random, replaced."""

import asyncio
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from random import Random
from typing import Self

from .worker import WorkerSettings, work


@dataclass(frozen=True, slots=True, eq=False)
class _Worker:
    process: BaseProcess
    worked: Connection
    """Has something to read once it has stored something."""


class Workers:
    """Worker processes, which end with the block.

    Args:
        settings: What each is started with.
        count: How many there are at any time.
        random: Chooses whom to kill.
    """

    def __init__(self, settings: WorkerSettings, *, count: int, random: Random) -> None:
        self._settings = settings
        self._count = count
        self._random = random
        self._context = get_context("forkserver")
        # A process starts quickly when forked from one that has imported everything.
        self._context.set_forkserver_preload([work.__module__, "arvo_event_store.postgres"])
        self._workers: list[_Worker] = []
        self.kills = 0
        """How many were killed."""

    async def __aenter__(self) -> Self:
        """Start all of them."""
        for _ in range(self._count):
            self._workers.append(self._started())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let them end what they have in hand."""
        await asyncio.to_thread(self._end)

    def kill_one(self) -> None:
        """Kill one without a warning, and start another one in its place.

        Those that have stored nothing yet are spared, or nothing might ever be stored.
        """
        grown = [each for each in self._workers if each.worked.poll()]
        if not grown:
            return
        victim = self._random.choice(grown)
        self._workers.remove(victim)
        victim.process.kill()
        victim.process.join()
        victim.worked.close()
        self._workers.append(self._started())
        self.kills += 1

    def check(self) -> None:
        """Check that all of them live.

        Raises:
            RuntimeError: One ended by itself; what it printed says why.
        """
        for each in self._workers:
            if not each.process.is_alive():
                raise RuntimeError(f"a worker ended with status {each.process.exitcode}")

    def _started(self) -> _Worker:
        receiving, sending = self._context.Pipe(duplex=False)
        process = self._context.Process(target=work, args=(self._settings, sending), daemon=True)
        process.start()
        sending.close()  # the process has its own
        return _Worker(process, receiving)

    def _end(self) -> None:
        for each in self._workers:
            each.process.terminate()
        for each in self._workers:
            each.process.join()
            each.worked.close()

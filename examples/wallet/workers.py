"""The worker processes: started, killed at random, replaced."""

import asyncio
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from random import Random
from typing import Any, Self

from .worker import WorkerSettings, work


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
        self._processes: list[BaseProcess] = []
        self.kills = 0
        """How many were killed."""

    async def __aenter__(self) -> Self:
        """Start all of them."""
        for _ in range(self._count):
            self._processes.append(self._started())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let them end what they have in hand."""
        await asyncio.to_thread(self._end)

    def kill_one(self) -> None:
        """Kill one without a warning, and start another one in its place."""
        victim = self._random.randrange(len(self._processes))
        self._processes[victim].kill()
        self._processes[victim].join()
        self._processes[victim] = self._started()
        self.kills += 1

    def check(self) -> None:
        """Check that all of them live.

        Raises:
            RuntimeError: One ended by itself; what it printed says why.
        """
        for process in self._processes:
            if not process.is_alive():
                raise RuntimeError(f"a worker ended with status {process.exitcode}")

    def _started(self) -> BaseProcess:
        target: Callable[[Any], None] = work
        process = self._context.Process(target=target, args=(self._settings,), daemon=True)
        process.start()
        return process

    def _end(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

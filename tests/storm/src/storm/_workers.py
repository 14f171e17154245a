"""The processes that handle events: started, killed at random, frozen for a while, replaced."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from random import Random
from typing import Any, Final

from ._report import Report

_KILLS_PER_FREEZE: Final = 3
_CRASHES: Final = 5  # workers that ended by themselves, before we give up


@dataclass(slots=True, eq=False)
class Worker:
    """One process."""

    number: int
    """Its number; the worker that replaces a killed one has a new number."""
    process: ForkServerProcess
    """The process."""
    channel: Any = None
    """How the storm talks with it; None while it does not."""
    handled: int = field(default=0)
    """How many events it has handled."""
    frozen: bool = False
    """Whether it is stopped."""
    killed: bool = False
    """Whether it was killed, so that its end is no crash."""

    @property
    def pid(self) -> int:
        """Its number in the operating system."""
        pid = self.process.pid
        assert pid is not None
        return pid


class Workers:
    """All processes of a storm.

    Args:
        start: Starts the worker with a number, and returns it.
        ended: Called when a worker has ended, before another one replaces it.
        frozen: Called when a worker was stopped, with it.
        thawed: Called when it goes on.
        give_up: Called when too many have ended by themselves, with what is wrong.
        frozen_for: How long one is stopped: longer than its leases last.
        report: Counts kills and freezes.
        random: Chooses.
    """

    def __init__(
        self,
        *,
        start: Callable[[int], Worker],
        ended: Callable[[Worker], None],
        frozen: Callable[[Worker], None],
        thawed: Callable[[Worker], None],
        give_up: Callable[[str], None],
        frozen_for: timedelta,
        report: Report,
        random: Random,
    ) -> None:
        self._start = start
        self._on_ended = ended
        self._on_frozen = frozen
        self._on_thawed = thawed
        self._give_up = give_up
        self._frozen_for = frozen_for
        self._report = report
        self._random = random
        self._workers: dict[int, Worker] = {}
        self._started = 0
        self._crashes = 0
        self._stopping = False

    def __iter__(self) -> Iterator[Worker]:
        return iter([*self._workers.values()])

    def get(self, number: int) -> Worker | None:
        """Return a worker; None when it has ended."""
        return self._workers.get(number)

    def start(self) -> None:
        """Start one more."""
        self._started += 1
        worker = self._workers[self._started] = self._start(self._started)
        asyncio.get_running_loop().add_reader(worker.process.sentinel, self._ended, worker)

    def strike(self, *, spare_new: bool) -> bool:
        """Kill a worker, and after every few kills also freeze one; return whether one was killed.

        Args:
            spare_new: Whether to spare those that have handled nothing yet: if they are killed while
                there is work, nothing might ever be handled.
        """
        standing = [
            worker
            for worker in self
            if worker.channel is not None and not worker.frozen and not worker.killed
            if worker.handled or not spare_new
        ]
        self._random.shuffle(standing)
        freezes = self._report.kills >= 1 + _KILLS_PER_FREEZE * self._report.freezes
        # One must be left to take over the events of a frozen one.
        if len(standing) < (2 if freezes else 1):
            return False
        if freezes:
            self._freeze(standing.pop())
        worker = standing.pop()
        self._report.kills += 1
        worker.killed = True
        worker.process.kill()
        return True

    def end(self) -> None:
        """Kill all of them for good."""
        self._stopping = True
        loop = asyncio.get_running_loop()
        for worker in self:
            loop.remove_reader(worker.process.sentinel)
            worker.process.kill()
            worker.process.join()

    def _ended(self, worker: Worker) -> None:
        asyncio.get_running_loop().remove_reader(worker.process.sentinel)
        worker.process.join()
        del self._workers[worker.number]
        self._on_ended(worker)
        if not worker.killed:
            self._crashes += 1
            if self._crashes >= _CRASHES:
                self._stopping = True
                self._give_up(f"{self._crashes} workers ended by themselves")
        if not self._stopping:
            self.start()

    def _freeze(self, worker: Worker) -> None:
        self._report.freezes += 1
        worker.frozen = True
        os.kill(worker.pid, signal.SIGSTOP)
        self._on_frozen(worker)
        loop = asyncio.get_running_loop()
        loop.call_later(self._frozen_for.total_seconds(), self._thaw, worker)

    def _thaw(self, worker: Worker) -> None:
        """Let a worker continue, with leases that have expired."""
        worker.frozen = False
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGCONT)
        self._on_thawed(worker)

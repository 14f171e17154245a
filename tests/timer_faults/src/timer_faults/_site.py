"""The processes of a test, and where they book."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final, Self

from storm import Books, read_books
from transport_faults import ENGINES, until

from ._death import Death
from ._worker import WorkerSettings, work

_IMPORTED: Final = [
    "timer_faults._worker",
    "arvo_memory_postgres",
    "arvo_memory_redis",
    "arvo_memory_sqlite",
    *(engine.package for engine in ENGINES),
]


@dataclass(slots=True, kw_only=True)
class Site:
    """Workers over one store; made by `open`."""

    memory: str
    """The store, as a URL."""
    books: Path
    """Where their steps book."""
    transport: str | None = None
    """What carries their events, as a URL; None for each process itself."""
    _workers: list[BaseProcess] = field(default_factory=list)

    @classmethod
    @contextmanager
    def open(cls, *, memory: str, books: Path, transport: str | None = None) -> Iterator[Self]:
        """Open it, and kill all workers at the end."""
        Books(books).close()  # so that the file exists
        site = cls(memory=memory, books=books, transport=transport)
        try:
            yield site
        finally:
            for worker in site._workers:
                worker.kill()
            for worker in site._workers:
                worker.join()

    def start(self, *, death: Death | None = None) -> BaseProcess:
        """Start a worker.

        Args:
            death: When it kills itself; None lets it live.
        """
        context = get_context("forkserver")
        # A process starts quickly when forked from one that has imported everything.
        context.set_forkserver_preload(_IMPORTED)
        settings = WorkerSettings(
            memory=self.memory, transport=self.transport, books=self.books, death=death
        )
        process = context.Process(target=work, args=(settings,), daemon=True)
        process.start()
        self._workers.append(process)
        return process

    async def killed(self, worker: BaseProcess) -> None:
        """Wait until a worker has killed itself."""
        await until(lambda: not worker.is_alive(), "the worker kills itself")
        assert worker.exitcode == -signal.SIGKILL, worker.exitcode

    def fired(self) -> tuple[int, int]:
        """Return how many timers fired, and how many of their steps were run again."""
        sums, again = read_books(self.books)
        return sums["fired"], again

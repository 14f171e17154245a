"""A worker: a distributed broker with handlers that book what they do."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

from arvo_event_handler import ExecutionPolicy
from arvo_event_handler.delivery import HandlerConfig
from arvo_event_handler.memory import LockPolicy
from arvo_transport import DistributedEventBroker, connect_transport
from storm import Books, create_handlers, open_memory

from ._handler import BookingHandler
from ._ledger import Ledger
from ._roles import WorkerSettings
from ._watched import watch


def work(settings: WorkerSettings) -> None:
    """Handle events until SIGTERM, which drains; runs in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    asyncio.run(_work(settings))


async def _work(settings: WorkerSettings) -> None:
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    async with working(settings):
        await terminated.wait()


@asynccontextmanager
async def working(settings: WorkerSettings) -> AsyncIterator[None]:
    """Handle events for as long as the block lasts, then drain."""
    ledger = Ledger(Path(settings.ledger), worker=settings.number)
    async with (
        connect_transport(settings.url) as transport,
        _handlers(settings, ledger) as handlers,
    ):
        watch(transport, ledger=ledger, death=settings.death)
        async with DistributedEventBroker(
            handlers,
            transport=transport,
            suspect_after=settings.suspect_after,
            max_deliveries=settings.max_deliveries,
        ) as broker:
            running = asyncio.create_task(broker.run())
            await broker.wait_ready()
            ledger.book_ready()
            yield
            await broker.drain()
            await running
    ledger.close()


@asynccontextmanager
async def _handlers(
    settings: WorkerSettings, ledger: Ledger
) -> AsyncIterator[Sequence[HandlerConfig]]:
    own = [
        HandlerConfig(BookingHandler(role, ledger=ledger), prefetch=role.prefetch)
        for role in settings.roles
    ]
    if settings.workflows is None:
        yield own
        return
    url, path = settings.workflows
    books = Books(Path(path))
    async with open_memory(url, policy=LockPolicy(ttl=timedelta(seconds=1))) as memory:
        theirs = create_handlers(
            memory,
            ledger=books,
            think=timedelta(milliseconds=20),
            policy=ExecutionPolicy(),
            random=Random(settings.number),
        )
        yield [*own, *(HandlerConfig(handler, prefetch=8) for handler in theirs)]
    books.close()

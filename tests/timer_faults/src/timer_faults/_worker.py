"""A worker: a broker with the workflow, in a process of its own."""

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoEvent
from arvo_event_handler import ArvoResumable, Due
from arvo_event_handler.memory import LockPolicy
from arvo_transport import DistributedEventBroker, connect_transport
from storm import Books, open_memory

from ._death import Death, die_when
from ._flow import Waiting, flow


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a process is started with."""

    memory: str
    """The store, as a URL."""
    transport: str | None
    """What carries its events, as a URL; None for the process itself, which forgets them."""
    books: Path
    """Where its steps book."""
    death: Death | None
    """When it kills itself."""


def work(settings: WorkerSettings) -> None:
    """Fire timers until killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    asyncio.run(_work(settings))


async def _work(settings: WorkerSettings) -> None:
    books = Books(settings.books)

    def fired(call: Due[Waiting]) -> None:
        books.book(call.event, "fired", 1)

    async with open_memory(settings.memory, policy=LockPolicy()) as memory:
        die_when(settings.death, memory)
        await _handle(flow(memory, fired), transport=settings.transport)


async def _handle(handler: ArvoResumable, *, transport: str | None) -> None:
    if transport is None:
        async with ConcurrentEventBroker([handler], on_unclaimed=_forget):
            await asyncio.get_running_loop().create_future()
    else:
        async with (
            connect_transport(transport) as connected,
            DistributedEventBroker([handler], transport=connected) as broker,
        ):
            await broker.run()


async def _forget(answer: ArvoEvent) -> None:
    pass

"""A worker over a transport: the distributed broker with the storm's handlers, until it is killed."""

import asyncio
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from arvo_core import ArvoEvent
from arvo_event_handler import ExecutionPolicy, IArvoEventHandler
from arvo_event_handler.memory import LockPolicy
from arvo_transport import DistributedEventBroker, connect_transport

from ._ledger import Ledger
from ._memory_url import open_memory
from ._settings import WorkerSettings
from ._workloads import workload_of

HANDLED = b"handled"
"""What a worker reports after each event that it has handled."""
HANDLED_AGAIN = b"handled again"
"""What it reports if a workflow may have had the event before."""


def work_over_transport(settings: WorkerSettings, storm: Connection) -> None:
    """Handle events until killed; runs in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the storm handles Ctrl-C
    asyncio.run(_work(settings, storm))


async def _work(own: WorkerSettings, storm: Connection) -> None:
    settings = own.settings
    ledger = Ledger(Path(own.ledger))
    policy = LockPolicy(ttl=settings.ttl, max_hold=max(settings.ttl, LockPolicy().max_hold))
    remembers = own.number % 3 != 1  # what one worker remembers another one reads
    async with (
        open_memory(settings.memory, policy=policy) as memory,
        connect_transport(settings.transport or "") as transport,
    ):
        handlers = workload_of(settings).create_handlers(
            memory,
            ledger=ledger,
            think=settings.think,
            policy=ExecutionPolicy() if remembers else ExecutionPolicy(warm_bytes=0),
            random=Random(settings.seed * 1_000_003 + own.number),
        )
        reporting = [_reporting(handler, storm) for handler in handlers]
        # Workers are killed four times a second, and not by what they have in hand.
        async with DistributedEventBroker(
            reporting, transport=transport, max_deliveries=1_000
        ) as broker:
            await broker.run()


def _reporting(handler: IArvoEventHandler, storm: Connection) -> IArvoEventHandler:
    """Let a handler report each event that it has handled."""
    execute = handler.execute

    async def reporting(event: ArvoEvent, **options: object) -> list[ArvoEvent]:
        outputs = await execute(event, **options)  # type: ignore[arg-type]
        # Brokers say it to workflows alone, and only when it is not so.
        again = handler.stateful and options.get("redelivered", True)
        storm.send_bytes(HANDLED_AGAIN if again else HANDLED)
        return outputs

    handler.execute = reporting  # type: ignore[method-assign]
    return handler

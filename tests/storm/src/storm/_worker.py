"""A worker: takes events from the queue, handles them, answers with what they caused."""

import asyncio
import json
import logging
import signal
import sys
from asyncio import StreamWriter
from pathlib import Path
from random import Random
from typing import Any

from arvo_core import ArvoEvent, ViolationError
from arvo_event_handler import ExecutionPolicy, IArvoEventHandler
from arvo_event_handler.delivery import TimerPump
from arvo_event_handler.memory import DueMachine, LockPolicy
from arvo_time import SYSTEM_CLOCK

from ._ledger import Ledger
from ._memory_url import open_memory
from ._settings import WorkerSettings
from ._workloads import workload_of

LINE_LIMIT = 2**22
"""The longest line on the socket, in bytes."""


def work(settings: WorkerSettings) -> None:
    """Handle events until the queue closes the connection; runs in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the queue handles Ctrl-C
    asyncio.run(_work(settings))


async def _work(own: WorkerSettings) -> None:
    settings = own.settings
    ledger = Ledger(Path(own.ledger))
    policy = LockPolicy(ttl=settings.ttl, max_hold=max(settings.ttl, LockPolicy().max_hold))
    # What one worker remembers another one reads, and tails are closed early and late.
    remembers = own.number % 3 != 1
    chunk_bytes = 0 if own.number % 3 == 2 else None
    async with open_memory(settings.memory, policy=policy, chunk_bytes=chunk_bytes) as memory:
        handlers = {
            handler.source: handler
            for handler in workload_of(settings).create_handlers(
                memory,
                ledger=ledger,
                think=settings.think,
                policy=ExecutionPolicy() if remembers else ExecutionPolicy(warm_bytes=0),
                random=Random(settings.seed * 1_000_003 + own.number),
            )
        }
        reader, writer = await asyncio.open_unix_connection(own.address, limit=LINE_LIMIT)
        _send(writer, {"worker": own.number})
        pump = _pump(writer, own)
        for handler in handlers.values():
            pump.watch(handler)
        pump.start()
        running: set[asyncio.Task[None]] = set()
        while line := await reader.readline():
            task = asyncio.create_task(_handle(handlers, json.loads(line), writer))
            running.add(task)
            task.add_done_callback(running.discard)
        pump.stop()
        await pump.ended()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        writer.close()
    ledger.close()


async def _handle(
    handlers: dict[str, IArvoEventHandler], delivery: dict[str, Any], writer: StreamWriter
) -> None:
    event = ArvoEvent.from_json(delivery["event"])
    try:
        caused = await handlers[event.to or event.type].execute(event)
    except Exception as error:
        retryable = isinstance(error, ViolationError) and error.retryable
        if not retryable:
            print(f"storm: {event.type}: {error!r}", file=sys.stderr)  # noqa: T201
        _send(
            writer,
            {"delivery": delivery["delivery"], "error": repr(error), "retryable": retryable},
        )
        return
    _send(
        writer,
        {"delivery": delivery["delivery"], "events": [event.to_json() for event in caused]},
    )


def _pump(writer: StreamWriter, own: WorkerSettings) -> TimerPump:
    async def publish(due: DueMachine, tick: ArvoEvent) -> None:
        _send(writer, {"tick": tick.to_json()})
        await writer.drain()

    return TimerPump(
        publish,
        clock=SYSTEM_CLOCK,
        random=Random(own.number),
        logger=logging.getLogger(__name__),
        # What a worker had claimed when it was killed comes again while the storm lasts.
        hold=max(own.settings.ttl, own.settings.within / 4),
    )


def _send(writer: StreamWriter, message: dict[str, Any]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")

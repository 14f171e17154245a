"""What a worker that has nothing to do costs. Run: python -m benchmarks.idle_worker."""

import argparse
import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.request import urlopen

from pydantic import BaseModel
from redis.asyncio import Redis

from arvo_core import SimpleArvoContract, SimpleVersion
from arvo_event_handler import ArvoEventHandler, Emit, HandlerInput, IArvoEventHandler
from arvo_memory_redis import RedisMachineMemory
from arvo_transport import DistributedEventBroker
from benchmarks.calculator import thrice, totaller
from benchmarks.servers import nats_server, redis_server
from benchmarks.transports import connected

_SERVICES = 3
_UNTIL_IT_RESTS = 35.0  # seconds; by then it has found that nothing comes
_OF_SCRIPTS = ("evalsha", "eval", "ping", "subscribe", "publish", "script|load", "client|setname")
"""What clients of Arvo send; other commands are called by scripts."""


class Note(BaseModel):
    """What the services take and give."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    transport: str
    memory: str
    calls: Callable[[], Awaitable[int]]
    """Counts the commands, or messages, that the transport's server has had of all clients."""


def main() -> None:
    """Print for each engine what a worker with five handlers sends, and how busy it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long to watch it")
    asyncio.run(_watch(parser.parse_args().seconds))


async def _watch(seconds: float) -> None:
    for name, opened in {"redis": _redis, "nats": _nats}.items():
        async with opened() as place, _worker(place):
            await asyncio.sleep(_UNTIL_IT_RESTS)
            sent, busy = await place.calls(), time.process_time()
            await asyncio.sleep(seconds)
            busy = time.process_time() - busy
            sent = await place.calls() - sent
        print(
            f"idle.{name}: {sent / seconds:.1f} commands/s of a worker with 5 handlers,"
            f" {busy / seconds:.2%} of a core",
            flush=True,
        )


@asynccontextmanager
async def _worker(place: _Place) -> AsyncIterator[None]:
    async with (
        connected(place.transport) as transport,
        RedisMachineMemory.connect(place.memory) as memory,
    ):
        handlers: list[IArvoEventHandler] = [totaller(memory), thrice(memory)]
        handlers += [_service(number) for number in range(_SERVICES)]
        async with DistributedEventBroker(handlers, transport=transport) as broker:
            working = asyncio.create_task(broker.run())
            await broker.wait_ready()
            yield
            await broker.drain()
            await working


def _service(number: int) -> ArvoEventHandler:
    version = SimpleVersion("1.0.0", accepts=Note, emits=Note)
    contract = SimpleArvoContract(
        uri=f"#/benchmarks/idle{number}", type=f"idle.service{number}", versions=[version]
    )

    async def answer(call: HandlerInput[Note]) -> Emit:
        return Emit(f"evt.idle.service{number}.success", call.data)

    return ArvoEventHandler(contract=contract, handler={"1.0.0": answer})


@asynccontextmanager
async def _redis() -> AsyncIterator[_Place]:
    with redis_server() as server:
        async with Redis.from_url(server.url) as client:

            async def calls() -> int:
                statistics = await client.info("commandstats")
                return sum(
                    entry["calls"]
                    for command, entry in statistics.items()
                    if command.removeprefix("cmdstat_") in _OF_SCRIPTS
                )

            yield _Place(transport=server.url, memory=server.url, calls=calls)


@asynccontextmanager
async def _nats() -> AsyncIterator[_Place]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with nats_server(config=f"http: 127.0.0.1:{port}") as server, redis_server() as memory:

        def looked() -> int:
            with urlopen(f"http://127.0.0.1:{port}/varz") as answer:
                return int(json.load(answer)["in_msgs"])

        async def calls() -> int:
            return await asyncio.to_thread(looked)

        yield _Place(transport=server.url, memory=memory.url, calls=calls)


if __name__ == "__main__":
    main()

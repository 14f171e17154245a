"""The hop of FastStream. It is in no environment of ours: `uv run --with 'faststream[redis,nats]'` brings it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from faststream import AckPolicy  # type: ignore[import-not-found]
from faststream.nats import JStream, NatsBroker, PullSub  # type: ignore[import-not-found]
from faststream.redis import RedisBroker, StreamSub  # type: ignore[import-not-found]
from nats.js.api import RetentionPolicy

_RING: Final = "ring"
_Body = dict[str, Any]
_Publish = Callable[[_Body], Awaitable[object]]

Hop = Callable[[int], Awaitable[bool]]
"""Takes an event and puts another; whether that worked."""


class _Ring:
    """A handler that puts each event at the end of its own stream, as often as it is asked to."""

    def __init__(self, publish: _Publish) -> None:
        self._publish = publish
        self._wanted: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()

    async def handle(self, body: _Body) -> None:
        done = await self._wanted.get()
        await self._publish(body)
        done.set_result(None)

    async def hop(self, _: int) -> bool:
        done = asyncio.get_running_loop().create_future()
        self._wanted.put_nowait(done)
        await done
        return True


@asynccontextmanager
async def redis_hop(url: str, *, tasks: int, events: list[_Body]) -> AsyncIterator[Hop]:
    """Yield the hop over Redis Streams, with a group, and so many handlers at a time.

    Args:
        url: The server.
        tasks: How many events are read at a time, and handled at a time.
        events: What is in the ring.
    """
    broker = RedisBroker(url, logger=None)

    async def publish(body: _Body) -> object:
        return await broker.publish(body, stream=_RING)

    ring = _Ring(publish)
    subscribed = StreamSub(_RING, group="bench", consumer="bench", max_records=tasks)
    options = {"max_workers": tasks, "ack_policy": AckPolicy.NACK_ON_ERROR}
    broker.subscriber(stream=subscribed, **options)(ring.handle)
    async with _filled(broker, publish, events):
        yield ring.hop


@asynccontextmanager
async def nats_hop(url: str, *, tasks: int, events: list[_Body]) -> AsyncIterator[Hop]:
    """Yield the hop over JetStream, with a durable pull consumer, and so many handlers at a time.

    Args:
        url: The server.
        tasks: How many events are fetched at a time, and handled at a time.
        events: What is in the ring.
    """
    broker = NatsBroker(url, logger=None)

    async def publish(body: _Body) -> object:
        return await broker.publish(body, _RING, stream=_RING)

    ring = _Ring(publish)
    broker.subscriber(
        _RING,
        stream=JStream(_RING, retention=RetentionPolicy.WORK_QUEUE),
        durable="bench",
        pull_sub=PullSub(batch_size=tasks),
        max_workers=tasks,
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )(ring.handle)
    async with _filled(broker, publish, events):
        yield ring.hop


@asynccontextmanager
async def _filled(broker: Any, publish: _Publish, events: list[_Body]) -> AsyncIterator[None]:
    async with broker:
        await broker.start()
        for event in events:
            await publish(event)
        yield

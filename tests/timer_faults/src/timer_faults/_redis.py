"""Redis."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Self

from redis.asyncio import Redis
from typing_extensions import override

from real_servers import RedisServer, redis_flavours

from ._store import Store

_INDEX = "{arvo:*}due"
_MACHINES = "{arvo:*}m:*"


class RedisStore(Store):
    """The last Redis or Valkey of this machine."""

    name: ClassVar[str] = "redis"

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    @classmethod
    @override
    @contextmanager
    def start(cls, folder: Path) -> Iterator[Self]:
        flavours = redis_flavours()
        with RedisServer.start(flavours[-1] if flavours else None) as server:
            yield cls(server)

    @property
    @override
    def url(self) -> str:
        return self._server.url

    @override
    async def empty(self) -> None:
        async with Redis.from_url(self.url) as client:
            await client.flushall()

    @override
    async def now(self) -> datetime:
        async with Redis.from_url(self.url) as client:
            seconds, microseconds = await client.time()
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)

    @override
    async def let_pass(self, by: timedelta) -> None:
        microseconds = by // timedelta(microseconds=1)
        async with Redis.from_url(self.url) as client:
            pipeline = client.pipeline(transaction=True)
            async for key in client.scan_iter(match=_INDEX, count=1000):
                members: Any = await client.zrange(key, 0, -1)
                for member in members:
                    pipeline.zincrby(key, -microseconds, member)
            async for key in client.scan_iter(match=_MACHINES, count=1000):
                if await client.hexists(key, "due_at"):
                    pipeline.hincrby(key, "due_at", -microseconds)
                left = await client.pttl(key)
                if left > 0:
                    pipeline.pexpire(key, max(1, left - microseconds // 1000))
            await pipeline.execute()

    @override
    async def entries(self) -> int:
        async with Redis.from_url(self.url) as client:
            return sum(
                [
                    await client.zcard(key)
                    async for key in client.scan_iter(match=_INDEX, count=1000)
                ]
            )

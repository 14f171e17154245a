"""Redis Streams."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import ClassVar, Self

from typing_extensions import override

from real_servers import RedisServer, redis_flavours

from ._engine import Engine


class RedisEngine(Engine):
    """A Redis; where it is durable, a Valkey. Each is also the other where only one is there."""

    name: ClassVar[str] = "redis"
    package: ClassVar[str] = "arvo_transport_redis"
    forgets_settlements: ClassVar[bool] = False

    def __init__(self, server: RedisServer) -> None:
        self.server = server

    @classmethod
    @override
    @contextmanager
    def start(cls, *, durable: bool = False) -> Iterator[Self]:
        flavours = redis_flavours() or [None]  # which says what is missing
        starting = (
            RedisServer.start(flavours[-1], appendfsync="always")
            if durable
            else RedisServer.start(flavours[0])
        )
        with starting as server:
            yield cls(server)

    @override
    def url(
        self, *, namespace: str, lease: timedelta, partitions: int, port: int | None = None
    ) -> str:
        place = f"redis://{self.server.host}:{port or self.server.port}"
        options = f"lease={lease.total_seconds()}s&partitions={partitions}"
        return f"{place}?namespace={namespace}&{options}"

    @property
    @override
    def port(self) -> int:
        return self.server.port

    @override
    def kill(self) -> None:
        self.server.kill()

    @override
    def restart(self) -> None:
        self.server.restart()

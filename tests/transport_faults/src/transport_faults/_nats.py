"""NATS JetStream."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import ClassVar, Self

from typing_extensions import override

from real_servers import NatsServer, nats_flavours

from ._engine import Engine


class NatsEngine(Engine):
    """The newest NATS server, which is that of the wheel."""

    name: ClassVar[str] = "nats"
    package: ClassVar[str] = "arvo_transport_nats"
    forgets_settlements: ClassVar[bool] = True  # they are on disk a little later than confirmed

    def __init__(self, server: NatsServer) -> None:
        self.server = server

    @classmethod
    @override
    @contextmanager
    def start(cls, *, durable: bool = False) -> Iterator[Self]:
        # Durable in any case: what it has written outlives its process.
        flavours = nats_flavours()
        with NatsServer.start(flavours[-1] if flavours else None) as server:
            yield cls(server)

    @override
    def url(
        self, *, namespace: str, lease: timedelta, partitions: int, port: int | None = None
    ) -> str:
        place = f"nats://{self.server.host}:{port or self.server.port}"
        options = f"patience={lease.total_seconds()}s&partitions={partitions}"
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

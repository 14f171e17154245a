"""Where a server is, and how to log in to it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from ssl import SSLContext
from typing import Any, Self

from redis.asyncio import Redis
from redis.exceptions import RedisError


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One server, over TCP, TLS or a unix socket."""

    host: str
    """The server's name or address; empty for a unix socket."""
    port: int
    """The server's port; 0 for a unix socket."""
    path: str | None
    """The path of the unix socket; None for TCP and TLS."""
    ssl: SSLContext | None
    """The TLS settings; None means no TLS."""
    db: int
    """The number of the database, 0 by default."""
    username: str | None
    """The user; None means the user `default`, who needs no login without a password."""
    password: str | None = field(repr=False)
    """The password; None means an empty one."""
    client_name: str | None
    """Client name, as shown by CLIENT LIST."""
    connect_timeout: timedelta
    """How long to wait for a connection and the login together."""
    reply_timeout: timedelta
    """How long a server may send nothing while a reply is outstanding."""

    @classmethod
    def of(cls, client: Redis, *, timeout: timedelta) -> Self:
        """Read the endpoint from a client of redis-py, without connecting.

        So a URL means the same to both transports, including every option that redis-py understands.

        Args:
            client: A client with the settings to read; it need not be connected.
            timeout: The timeout that is used where the client sets none.

        Raises:
            ValueError: A timeout of the client is not above 0, or redis-py does not know one of its
                settings, or cannot use it.
        """
        pool: Any = client.connection_pool
        try:
            found = pool.make_connection()
            context = getattr(found, "ssl_context", None)
            ssl = None if context is None else context.get()
        except (TypeError, OSError, RedisError) as error:
            raise ValueError(f"redis-py cannot use these settings: {error}") from error
        path = getattr(found, "path", None)
        return cls(
            host="" if path else found.host,
            port=0 if path else found.port,
            path=path,
            ssl=ssl,
            db=int(found.db or 0),
            username=found.username,
            password=found.password,
            client_name=found.client_name,
            connect_timeout=_duration(found.socket_connect_timeout, timeout),
            reply_timeout=_duration(found.socket_timeout, timeout),
        )

    @property
    def name(self) -> str:
        """The server's name for messages: its unix socket, or host and port."""
        return self.path or f"{self.host}:{self.port}"

    @property
    def attributes(self) -> dict[str, str | int]:
        """OpenTelemetry attributes that say where the server is, without the password."""
        return server_attributes(
            address=self.path or self.host, port=None if self.path else self.port, db=self.db
        )

    def login(self) -> Iterator[tuple[str | int, ...]]:
        """Yield the commands with which a connection begins."""
        if self.username is not None or self.password is not None:
            user = () if self.username is None else (self.username,)
            yield ("AUTH", *user, self.password or "")
        if self.client_name is not None:
            yield ("CLIENT", "SETNAME", self.client_name)
        if self.db:
            yield ("SELECT", self.db)


def server_attributes(*, address: str, port: int | None, db: int) -> dict[str, str | int]:
    """Return the OpenTelemetry attributes that say where a server is.

    Args:
        address: The host or the unix socket.
        port: None for a unix socket.
        db: The number of the database.
    """
    found: dict[str, str | int] = {"server.address": address, "db.namespace": str(db)}
    if port is not None:
        found["server.port"] = port
    return found


def _duration(seconds: float | None, default: timedelta) -> timedelta:
    if seconds is None:
        return default
    if seconds <= 0:
        raise ValueError(
            f"socket_timeout and socket_connect_timeout must be above 0, got {seconds}"
        )
    return timedelta(seconds=seconds)

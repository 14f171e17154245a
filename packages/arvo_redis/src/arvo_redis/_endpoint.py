"""Where a server is, and how to log in there."""

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
    """Its name or address; empty for a unix socket."""
    port: int
    """Its port; 0 for a unix socket."""
    path: str | None
    """The unix socket; None for TCP and TLS."""
    ssl: SSLContext | None
    """How to speak TLS; None without it."""
    db: int
    """The number of the database, which is 0 unless the server was told otherwise."""
    username: str | None
    """Who logs in; None is the user `default`, who needs no login without a password."""
    password: str | None = field(repr=False)
    """None is an empty one."""
    client_name: str | None
    """Client name, as shown by CLIENT LIST."""
    connect_timeout: timedelta
    """How long to wait for a connection, and the login."""
    reply_timeout: timedelta
    """How long a server may send nothing while it owes a reply."""

    @classmethod
    def of(cls, client: Redis, *, timeout: timedelta) -> Self:
        """Read it off a client of redis-py, which connects nothing and need not be connected.

        So a URL means the same to both, with all that redis-py understands in one.

        Args:
            client: Where to and as whom.
            timeout: For what the client says nothing about.

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
            raise ValueError(f"redis-py cannot make a connection of it: {error}") from error
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
        """What people call it."""
        return self.path or f"{self.host}:{self.port}"

    @property
    def attributes(self) -> dict[str, str | int]:
        """Where it is, as OpenTelemetry names it; no password."""
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
    """Return where a server is, as OpenTelemetry names it.

    Args:
        address: Its host or its unix socket.
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

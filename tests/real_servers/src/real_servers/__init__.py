"""Redis, Valkey, NATS and PostgreSQL servers, and a faulty network, for tests and benchmarks.

Servers are real: `redis-server`, `valkey-server`, `nats-server` or `postgres`, from the PATH or from a wheel of the
development group, started in a temporary folder. They end with the process that started them, however
that one ends. `FaultProxy` stands between a client and any of them.

`real_servers.fixtures` has the pytest fixtures. A benchmark uses the classes themselves:

    with RedisServer.start(redis_flavours()[0], appendfsync="always") as server:
        connect(server.url)
"""

from ._cancellation import cancelled
from ._discovery import (
    NatsFlavour,
    PostgresFlavour,
    RedisFlavour,
    ServerNotFoundError,
    nats_flavours,
    postgres_flavours,
    redis_flavours,
)
from ._fault_proxy import Fault, FaultProxy
from ._nats import NatsServer
from ._postgres import PostgresServer
from ._redis import RedisServer
from ._redis_cluster import RedisCluster
from ._redis_sentinel import RedisSentinel
from ._resp import RedisReplyError, redis_command
from ._server_process import ServerStartError

__all__ = [
    "Fault",
    "FaultProxy",
    "NatsFlavour",
    "NatsServer",
    "PostgresFlavour",
    "PostgresServer",
    "RedisCluster",
    "RedisFlavour",
    "RedisReplyError",
    "RedisSentinel",
    "RedisServer",
    "ServerNotFoundError",
    "ServerStartError",
    "cancelled",
    "nats_flavours",
    "postgres_flavours",
    "redis_command",
    "redis_flavours",
]

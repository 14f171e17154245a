"""Redis, Valkey and PostgreSQL servers, and a faulty network, for tests and benchmarks.

Servers are real: `redis-server`, `valkey-server` or `postgres`, from the PATH or from a wheel of the
development group, started in a temporary folder. They end with the process that started them, however
that one ends. `FaultProxy` stands between a client and any of them.

`real_servers.fixtures` has the pytest fixtures. A benchmark uses the classes themselves:

    with RedisServer.start(redis_flavours()[0], appendfsync="always") as server:
        connect(server.url)
"""

from ._discovery import (
    PostgresFlavour,
    RedisFlavour,
    ServerNotFoundError,
    postgres_flavours,
    redis_flavours,
)
from ._fault_proxy import Fault, FaultProxy
from ._postgres import PostgresServer
from ._redis import RedisServer
from ._redis_cluster import RedisCluster
from ._redis_sentinel import RedisSentinel
from ._resp import RedisReplyError, redis_command
from ._server_process import ServerStartError

__all__ = [
    "Fault",
    "FaultProxy",
    "PostgresFlavour",
    "PostgresServer",
    "RedisCluster",
    "RedisFlavour",
    "RedisReplyError",
    "RedisSentinel",
    "RedisServer",
    "ServerNotFoundError",
    "ServerStartError",
    "postgres_flavours",
    "redis_command",
    "redis_flavours",
]

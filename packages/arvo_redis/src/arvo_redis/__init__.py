"""The client of Redis and Valkey that the packages of Arvo share; not for direct use.

`connect(url)` owns a `Transport`, which carries the calls. A `Server` borrows one and makes the calls:
it repeats them where that is safe, traces them, and raises a `BackendError` when they fail.
"""

from ._connect import TransportName, connect
from ._failure import RedisBackendError
from ._redis_py import RedisClient, RedisPyTransport
from ._server import Server
from ._transport import Script, Transport, Word
from ._url import URL_OPTIONS, check_place

__all__ = [
    "URL_OPTIONS",
    "RedisBackendError",
    "RedisClient",
    "RedisPyTransport",
    "Script",
    "Server",
    "Transport",
    "TransportName",
    "Word",
    "check_place",
    "connect",
]

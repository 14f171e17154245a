"""The client of Redis and Valkey that the packages of Arvo share; not for direct use.

`Server.connect(url)` owns a `Transport`, which carries the calls; `Server(client)` borrows one. A `Server`
makes the calls: it repeats them where that is safe, traces them, and raises a `BackendError` when they
fail.
"""

from ._connect import TransportName
from ._failure import RedisBackendError
from ._redis_py import RedisClient
from ._server import Server
from ._subscription import OnMessage, Subscription
from ._transport import Script, Transport, Word
from ._url import URL_OPTIONS, check_place

__all__ = [
    "URL_OPTIONS",
    "OnMessage",
    "RedisBackendError",
    "RedisClient",
    "Script",
    "Server",
    "Subscription",
    "Transport",
    "TransportName",
    "Word",
    "check_place",
]

"""Client of Redis and Valkey that the packages of Arvo share. Not for direct use.

`Server.connect(url)` owns what carries the calls; `Server(client)` borrows it. It makes the calls:
repeated where that is safe, traced, and failing with a `BackendError`.
"""

from ._connect import TransportName
from ._failure import RedisBackendError
from ._redis_py import RedisClient
from ._server import Server
from ._transport import Script, Transport
from ._url import URL_OPTIONS, check_place

__all__ = [
    "URL_OPTIONS",
    "RedisBackendError",
    "RedisClient",
    "Script",
    "Server",
    "Transport",
    "TransportName",
    "check_place",
]

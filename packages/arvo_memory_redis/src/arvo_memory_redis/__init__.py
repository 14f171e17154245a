"""Machine memory of Arvo on Redis or Valkey, shared by many processes.

`RedisMachineMemory.connect(url)` gives the memory; `arvo run --memory redis://...` uses it.
"""

from ._memory import RedisMachineMemory
from ._open_server import TransportName
from ._redis_py import RedisClient
from ._stored_machine import StoredMachine

__all__ = ["RedisClient", "RedisMachineMemory", "StoredMachine", "TransportName"]

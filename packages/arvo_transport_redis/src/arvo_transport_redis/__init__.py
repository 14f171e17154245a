"""Events of Arvo between processes, over the streams of Redis or Valkey.

`RedisTransport.connect(url)` opens the transport; `arvo worker --transport redis://...` uses it.
"""

from ._transport import RedisTransport

__all__ = ["RedisTransport"]

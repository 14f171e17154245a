"""Events of Arvo between processes, over NATS JetStream.

`NatsTransport.connect(url)` opens a transport. A topic is a stream, and the server itself keeps the
order of those that have one.
"""

from ._transport import NatsTransport

__all__ = ["NatsTransport"]

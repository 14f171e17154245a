"""The reference transport: an engine in the process, and its clients."""

from ._engine import InMemoryEngine
from ._transport import InMemoryTransport

__all__ = ["InMemoryEngine", "InMemoryTransport"]

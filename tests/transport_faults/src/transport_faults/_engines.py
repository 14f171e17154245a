"""The engines on which each test runs."""

from collections.abc import Sequence
from typing import Final

from ._engine import Engine
from ._nats import NatsEngine
from ._redis import RedisEngine

ENGINES: Final[Sequence[type[Engine]]] = (RedisEngine, NatsEngine)
"""In the order in which the tests run."""

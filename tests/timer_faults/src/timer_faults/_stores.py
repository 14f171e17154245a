"""The stores that the tests run on."""

from collections.abc import Sequence
from typing import Final

from ._in_process import InProcessStore
from ._postgres import PostgresStore
from ._redis import RedisStore
from ._sqlite import SqliteStore
from ._store import Store

SHARED: Final[Sequence[type[Store]]] = (SqliteStore, PostgresStore, RedisStore)
"""One of each kind that several processes can share."""
STORES: Final[Sequence[type[Store]]] = (InProcessStore, *SHARED)
"""All of them."""

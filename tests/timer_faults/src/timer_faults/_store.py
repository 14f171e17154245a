"""What the tests need of a place where workflows are kept."""

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

from arvo_event_handler.memory import LockPolicy
from storm import open_memory

_POLICY: Final = LockPolicy(ttl=timedelta(seconds=1), max_wait=timedelta(seconds=20))


class Store(ABC):
    """A server or a file of our own; made by `start`."""

    name: ClassVar[str]
    """Its id in the names of tests."""

    @classmethod
    @abstractmethod
    def start(cls, folder: Path) -> "AbstractContextManager[Store]":
        """Start it for as long as the block lasts.

        Args:
            folder: Where it may keep files.

        Raises:
            ServerNotFoundError: This machine has none.
        """

    @property
    @abstractmethod
    def url(self) -> str:
        """What `storm.open_memory` opens."""

    def connect(self) -> AbstractAsyncContextManager[Any]:
        """Open one more memory on it, as one more process would."""
        return open_memory(self.url, policy=_POLICY)

    @abstractmethod
    async def empty(self) -> None:
        """Forget all workflows; no memory may be open."""

    @abstractmethod
    async def now(self) -> datetime:
        """Return the time by which the store decides what is due."""

    @abstractmethod
    async def let_pass(self, by: timedelta) -> None:
        """Let timers, the holds of claims and the lives of records end so much sooner."""

    @abstractmethod
    async def entries(self) -> int:
        """Return how many workflows the index of timers has."""

"""What the tests need of an engine."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import ClassVar


class Engine(ABC):
    """A server of our own, which a test may kill; made by `start`."""

    name: ClassVar[str]
    """The id of the engine in the names of tests."""
    package: ClassVar[str]
    """The package of its transport."""
    forgets_settlements: ClassVar[bool]
    """Whether `kill` may undo settlements of the moments before, so that their events come again."""

    @classmethod
    @abstractmethod
    def start(cls, *, durable: bool = False) -> "AbstractContextManager[Engine]":
        """Start a server for as long as the block lasts.

        Args:
            durable: Whether it has on disk what it has confirmed, so that `kill` loses nothing.

        Raises:
            ServerNotFoundError: This machine has none.
        """

    @abstractmethod
    def url(
        self, *, namespace: str, lease: timedelta, partitions: int, port: int | None = None
    ) -> str:
        """Return what `connect_transport` opens.

        Args:
            namespace: The prefix of all names.
            lease: How long the engine waits for a word from a worker before others get its events.
            partitions: How many parts an ordered topic gets.
            port: Another port than its own, that of a proxy before it.
        """

    @property
    @abstractmethod
    def port(self) -> int:
        """Where it listens on loopback; the same after `restart`."""

    @abstractmethod
    def kill(self) -> None:
        """End it as a crash would."""

    @abstractmethod
    def restart(self) -> None:
        """Start it again, with the data that it had."""

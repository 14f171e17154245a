"""The names of keys and channels."""

import re
from dataclasses import dataclass
from typing import Final

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9-]{1,100}")


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of what one namespace has.

    Raises:
        TypeError: The namespace is not a string.
        ValueError: It has other characters than letters, digits and `-`, or more than 100.
    """

    namespace: str
    """What all names begin with."""

    def __post_init__(self) -> None:
        if not isinstance(self.namespace, str):
            raise TypeError(f"namespace must be a str, got {type(self.namespace).__name__}")
        if not _NAMESPACE.fullmatch(self.namespace):
            raise ValueError(
                "namespace must be 1 to 100 letters, digits and -, as in shop-2, got "
                f"{self.namespace!r:.120}"
            )

    @property
    def registry(self) -> str:
        """A hash: the topics and how they are laid out."""
        return f"{self.namespace}:topics"

    @property
    def layout(self) -> str:
        """Counts the changes of how topics are laid out."""
        return f"{self.namespace}:layout"

    @property
    def paused(self) -> str:
        """A set: the topics that are paused."""
        return f"{self.namespace}:paused"

    @property
    def letters(self) -> str:
        """A set: the topics that have had dead letters."""
        return f"{self.namespace}:letters"

    def partition(self, topic: str, number: int) -> str:
        """Return what the keys of a partition begin with; they have suffixes.

        `:s` the stream of events; of an ordered topic `:o` the token of the owner, which ends with
        the lease; `:b` the channel of readers that found nothing. Partition 0 has for its topic: `:d`
        what is delayed, by time; `:x` the stream of dead letters; `:w` the workers, by the time of
        their last sign of life.
        """
        return f"{self.partitions(topic)}{number}}}"

    def partitions(self, topic: str) -> str:
        """Return what the keys of all partitions of a topic begin with, before the number."""
        return f"{{{self.namespace}:{topic}:"

    def bell(self, topic: str) -> str:
        """Return the channel that wakes the workers of a topic."""
        return f"{self.namespace}:bell:{topic}"

    def duplicate(self, delivery_id: str) -> str:
        """Return the key that says that something was published."""
        return f"{self.namespace}:id:{delivery_id}"

    def answers(self, address: str) -> str:
        """Return what the keys of the answers to an address begin with, and their channel."""
        return f"{self.partition(address, 0)}:a:"

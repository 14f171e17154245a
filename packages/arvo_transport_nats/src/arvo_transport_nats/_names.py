"""What streams, subjects, consumers and buckets are called."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9-]{1,40}")
_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")
_LONGEST: Final = 200
DELAYED: Final = "later"
"""The last token of the subject on which events of a topic wait for their time."""


@lru_cache(maxsize=4096)
def token(name: str) -> str:
    """Return a name as one token of a subject: other bytes than letters, digits and - as `_2E`.

    Example:
        >>> token("com.order")
        'com_2Eorder'
    """
    return "".join(chr(byte) if byte in _PLAIN else f"_{byte:02X}" for byte in name.encode())


def can_be_topic(name: str) -> bool:
    """Return whether a topic can have a name, which is a part of that of its stream."""
    return 0 < len(token(name)) <= _LONGEST


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one namespace.

    What it makes up beside the tokens of topics begins with `_` and a small letter, which no token
    has; and `_` ends the namespace, which has none.

    Raises:
        ValueError: The namespace has other characters, none, or more than 40.
    """

    namespace: str

    def __post_init__(self) -> None:
        if _NAMESPACE.fullmatch(self.namespace) is None:
            raise ValueError(
                f"namespace must be 1 to 40 letters, digits and -, got {self.namespace!r}"
            )

    @property
    def registry(self) -> str:
        """The bucket of the topics."""
        return f"{self.namespace}_topics"

    @property
    def answers(self) -> str:
        """The bucket of the answers."""
        return f"{self.namespace}_answers"

    @property
    def letters(self) -> str:
        """The stream of the dead letters."""
        return f"{self.namespace}__dead"

    @property
    def returns(self) -> str:
        """The stream of how often events were given back."""
        return f"{self.namespace}__returned"

    def returns_of(self, stream: str, place: str) -> str:
        """Return the subject of the count of a message, or of all (`*`)."""
        return f"{self.namespace}._returned.{stream}.{place}"

    def letters_of(self, topic: str | None) -> str:
        """Return the subject of the dead letters of a topic, or of all."""
        return f"{self.namespace}._dead.{'*' if topic is None else token(topic)}"

    def stream(self, topic: str, *, generation: int) -> str:
        """Return the stream of a topic.

        Raises:
            ValueError: The topic is too long for the name of a stream.
        """
        written = token(topic)
        if len(written) > _LONGEST:
            raise ValueError(
                f"the topic {topic[:40]!r}... is too long for NATS: it takes {len(written)} bytes, "
                f"other characters than letters, digits and - three each; {_LONGEST} is the most"
            )
        later = f"_g{generation}" if generation else ""
        return f"{self.namespace}_{written}{later}"

    def subject(self, topic: str, part: int | str) -> str:
        """Return the subject of a partition of a topic, of its delayed events, or of all (`*`)."""
        return f"{self.namespace}.{token(topic)}.{part}"

    def parked(self, topic: str, *, generation: int) -> str:
        """Return the subject that a stream keeps whose topic is being laid out anew."""
        return f"{self.namespace}._parked.{token(topic)}.{generation}"

    def presence(self, topic: str) -> str:
        """Return the subject on which the inboxes of a topic say that they are there."""
        return f"{self.namespace}._present.{token(topic)}"

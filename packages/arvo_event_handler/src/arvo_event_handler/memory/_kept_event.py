"""An event of an earlier step: what it is known by at hand, the rest read when it is looked at."""

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import TypeAlias

from pydantic import JsonValue
from pydantic_core import to_json

WireEvent: TypeAlias = dict[str, JsonValue]
"""An event as on the wire."""


# An event is hashed to be looked up, and again to be noted.
@lru_cache(maxsize=256)
def event_hash(source: str, event_id: str) -> str:
    """Return the short hash by which an event is remembered."""
    return blake2b(to_json([source, event_id]), digest_size=8).hexdigest()


class KeptEvent:
    """An event of an earlier step: what it is known by, and the rest when it is looked at.

    Args:
        id: The event's id.
        type: The event's type; "" for an output to no service where a codec does not say it.
        read: Returns the event as on the wire.
        asks: Whether it is an output that awaits an answer.
        notifies: Whether it is an output to a service that never answers, except by failing.
        hash: The short hash by which it is remembered; None has it made when it is asked for.
        size: How many bytes its JSON has as stored; None has it measured when it is asked for.
    """

    __slots__ = ("_hash", "_read", "_size", "asks", "id", "notifies", "type")

    def __init__(
        self,
        *,
        id: str,
        type: str,
        read: Callable[[], WireEvent],
        asks: bool = False,
        notifies: bool = False,
        hash: str | None = None,  # noqa: A002
        size: int | None = None,
    ) -> None:
        self.id: str = id
        self.type: str = type
        self.asks: bool = asks
        self.notifies: bool = notifies
        self._read = read
        self._hash = hash
        self._size = size

    @classmethod
    def of(
        cls,
        wire: WireEvent,
        *,
        asks: bool = False,
        notifies: bool = False,
        size: int | None = None,
    ) -> "KeptEvent":
        """Return an event that is at hand as on the wire."""
        return cls(
            id=str(wire["id"]),
            type=str(wire.get("type")),
            read=lambda: wire,
            asks=asks,
            notifies=notifies,
            size=size,
        )

    @property
    def hash(self) -> str:
        """The short hash by which it is remembered.

        Raises:
            UnreadableRecordError: It has to be made of what is stored, and that is damaged.
        """
        if self._hash is None:
            self._hash = event_hash(str(self.wire().get("source")), self.id)
        return self._hash

    @property
    def size(self) -> int:
        """How many bytes its JSON has as stored.

        Raises:
            UnreadableRecordError: It has to be measured, and what is stored is damaged.
        """
        if self._size is None:
            self._size = len(to_json(self.wire()))
        return self._size

    def wire(self) -> WireEvent:
        """Return it as on the wire; do not change it.

        Raises:
            UnreadableRecordError: What is stored is damaged.
        """
        return self._read()

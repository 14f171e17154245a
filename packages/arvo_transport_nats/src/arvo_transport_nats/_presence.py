"""What an inbox says of itself to who looks at its topic."""

from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """An inbox that is there."""

    receiving: bool
    """Whether it takes events, or only finishes what it has."""
    in_hand: list[int]
    """Where what it has in hand is in the stream."""
    arrived: int = 0
    """How many more it was given, for which nobody has asked it yet."""

    def to_json(self) -> bytes:
        """Write it as JSON."""
        return _PRESENCE.dump_json(self)

    @classmethod
    def from_json(cls, text: bytes) -> "Presence":
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is not a presence.
        """
        return _PRESENCE.validate_json(text)


_PRESENCE: Final = TypeAdapter(Presence)

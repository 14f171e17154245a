"""What a publisher in another language may want of an entry, by fields of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

_LONGEST_ID: Final = 256
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MS: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The optional fields of an entry."""

    entry: str
    """The field `was`, which a topic that was laid out anew has: the id that the entry had before."""

    id: str | None
    """The field `id`: another entry with the same is a repetition."""
    due: int | None
    """The field `at`: when the event may be handed out, in milliseconds since 1970."""

    @classmethod
    def of(cls, fields: Mapping[bytes, bytes]) -> Self | None:
        """Read the fields; None where there are none of these.

        Raises:
            ValueError: One has no value that it may have.
        """
        id_, at = fields.get(b"id"), fields.get(b"at")
        if id_ is None and at is None:
            return None
        return cls(
            entry=fields.get(b"was", b"").decode(),
            id=None if id_ is None else _read_id(id_),
            due=None if at is None else _read_time(at),
        )


def _read_id(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the field `id` is not UTF-8: {value[:_LONGEST_ID]!r}") from None
    if not 0 < len(text) <= _LONGEST_ID:
        raise ValueError(
            f"the field `id` must have 1 to {_LONGEST_ID} characters, and has {len(text)}"
        )
    return text


def _read_time(value: bytes) -> int:
    try:
        at = datetime.fromisoformat(value.decode())
    except ValueError:
        raise ValueError(
            f"the field `at` must be a time as 2030-01-31T12:00:00Z, and is {value[:40]!r}"
        ) from None
    if at.tzinfo is None:
        raise ValueError(
            f"the field `at` must have a time zone, as in 2030-01-31T12:00:00Z: {value[:40]!r}"
        )
    return -(-(at - _EPOCH) // _MS)

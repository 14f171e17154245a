"""The dead letters of an engine."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from itertools import count
from typing import Final

from arvo_event_handler import ConfigViolation
from arvo_event_handler.delivery import DeadLetter, DeadLetterReason, StoredLetter
from arvo_time.settings import check_count

from ._engine_clock import EngineClock

_LETTER_BYTES: Final = 64 * 1024
"""What a letter takes beside its event, at most."""


class Letters:
    """Keeps letters until they are redriven or dropped.

    Args:
        clock: The engine's.
        max_event_bytes: The longest event.
    """

    def __init__(self, *, clock: EngineClock, max_event_bytes: int) -> None:
        self._clock = clock
        self._max_bytes = max_event_bytes + _LETTER_BYTES
        self._count = count(1)
        self._letters: dict[str, StoredLetter] = {}

    def keep(self, letter: DeadLetter, *, topic: str) -> None:
        """Keep a letter of a topic, as JSON would keep it, so that it holds values only."""
        key = f"{next(self._count):016d}"
        stored = StoredLetter.of(
            replace(letter, handler=topic), key=key, at=self._clock.utc_now(), worker=_release()
        )
        written = stored.to_json(max_bytes=self._max_bytes)
        self._letters[key] = StoredLetter.from_json(written, key=key)

    def keep_unparsable(self, raw: bytes, *, topic: str, error: Exception) -> None:
        """Keep bytes that are not an event."""
        key = f"{next(self._count):016d}"
        self._letters[key] = StoredLetter.unparsable(
            raw, key=key, at=self._clock.utc_now(), topic=topic, error=error, worker=_release()
        )

    def find(
        self,
        topic: str | None,
        *,
        reason: DeadLetterReason | str | None,
        type: str | None,
        after: str | None,
        limit: int,
    ) -> list[StoredLetter]:
        """Return letters, oldest first, as `IDeadLetters.dead_letters` says."""
        check_count(limit, name="limit", least=1)
        found: list[StoredLetter] = []
        for letter in self._letters.values():
            if (
                (after is None or letter.key > after)
                and topic in (None, letter.topic)
                and reason in (None, letter.reason)
                and type in (None, None if letter.event is None else letter.event.type)
            ):
                found.append(letter)
                if len(found) == limit:
                    break
        return found

    def publishable(self, keys: Iterable[str], *, force: bool) -> list[StoredLetter]:
        """Return those of the letters that are there, all of which may be published again."""
        wanted = [self._letters[key] for key in dict.fromkeys(keys) if key in self._letters]
        replied = [each for each in wanted if each.replied]
        if replied and not force:
            raise ValueError(
                f"{len(replied)} of the letters were answered by a system error, such as "
                f"{replied[0].key}; to publish their events nevertheless, pass force=True"
            )
        short = [each for each in wanted if not each.publishable]
        if short:
            raise ConfigViolation(
                f"{len(short)} of the letters do not have all of their event, such as "
                f"{short[0].key}; drop them"
            )
        return wanted

    def drop(self, keys: Iterable[str]) -> int:
        """Forget letters, and return how many there were."""
        return sum(self._letters.pop(key, None) is not None for key in dict.fromkeys(keys))

    def count(self, topic: str) -> int:
        """Return how many letters a topic has."""
        return sum(each.topic == topic for each in self._letters.values())


@cache
def _release() -> str:
    return version("arvo-transport")

"""Dead letters that a command is about: by their keys, or by what they have in common."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from arvo_cli._errors import CommandError, RefusedError
from arvo_event_handler.delivery import DeadLetterReason, IDeadLetters, StoredLetter
from arvo_time import Clock

_PAGE: Final = 100
"""How many letters are read at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """What letters have in common; None means any.

    Raises:
        CommandError: There is no such reason.
    """

    topic: str | None = None
    """The topic whose event it is."""
    reason: str | None = None
    """Why the event is dead."""
    type: str | None = None
    """The type of the event."""
    older: timedelta | None = None
    """For how long the letter has been kept, at least."""

    def __post_init__(self) -> None:
        reasons = [each.value for each in DeadLetterReason]
        if self.reason is not None and self.reason not in reasons:
            raise CommandError(
                f"--reason {self.reason!r} is none; choose one of: {', '.join(reasons)}"
            )

    @property
    def names_something(self) -> bool:
        """Whether it leaves out any letters."""
        return any((self.topic, self.reason, self.type, self.older is not None))


async def letters(
    box: IDeadLetters, wanted: LetterFilter, *, clock: Clock
) -> AsyncGenerator[StoredLetter, None]:
    """Go through the letters, oldest first.

    Args:
        box: Keeps them.
        wanted: Which ones.
        clock: For their age.

    Raises:
        TransportError: The engine failed.
    """
    latest = None if wanted.older is None else clock.now() - wanted.older
    after: str | None = None
    while True:
        page = await box.dead_letters(
            wanted.topic, reason=wanted.reason, type=wanted.type, after=after, limit=_PAGE
        )
        for letter in page:
            if latest is None or letter.at <= latest:
                yield letter
        if len(page) < _PAGE:
            return
        after = page[-1].key


async def letters_of(box: IDeadLetters, keys: Sequence[str], *, clock: Clock) -> list[StoredLetter]:
    """Return the letters of some keys, in the order of the keys.

    Raises:
        RefusedError: There is no letter of one of the keys.
        TransportError: The engine failed.
    """
    found: dict[str, StoredLetter] = {}
    async for letter in letters(box, LetterFilter(), clock=clock):
        if letter.key in keys:
            found[letter.key] = letter
            if len(found) == len(set(keys)):
                break
    missing = [key for key in keys if key not in found]
    if missing:
        raise RefusedError(
            f"there is no dead letter {', '.join(missing)}: it was redriven or dropped, or its key "
            "is another; `arvo dead list` shows the keys"
        )
    return [found[key] for key in dict.fromkeys(keys)]

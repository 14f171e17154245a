"""`arvo dead redrive` and `drop`: publishes the events of dead letters again, or forgets letters."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from arvo_cli._backend._transport_url import transport_for
from arvo_cli._errors import INTERRUPTED, CommandError, RefusedError, one_line
from arvo_cli._terminal._confirm import confirm
from arvo_cli._terminal._listing import print_json, print_table
from arvo_cli._terminal._printable import say
from arvo_cli._terminal._report import counted
from arvo_core import ArvoError
from arvo_event_handler import UnroutableError
from arvo_event_handler.delivery import IDeadLetters, StoredLetter
from arvo_time import SYSTEM_CLOCK
from arvo_transport import TransportError, UnknownTopicError

from ._letters import LetterFilter, letters, letters_of
from ._look import COLUMNS, as_json, as_row

_AT_ONCE: Final = 100
_DONE: Final = {"redrive": "redriven", "drop": "dropped"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadChangeJob:
    """The options of `arvo dead redrive` and `arvo dead drop`."""

    action: Literal["redrive", "drop"]
    """What to do with the letters."""
    transport: str
    """The transport's URL."""
    keys: list[str]
    """Of the letters; empty for those that the filter finds."""
    wanted: LetterFilter
    """Which letters."""
    all: bool
    """Whether all letters are meant, where neither keys nor filters are given."""
    force: bool
    """Whether to redrive letters whose senders were sent a system error."""
    dry_run: bool
    """Whether only to show the letters."""
    yes: bool
    """Whether not to ask."""
    json: bool
    """Whether to show them as JSON."""

    def run(self) -> int:
        """Change the letters, and return the exit status.

        Raises:
            CommandError: The transport cannot be used, a letter that the user named is not there or
                cannot be redriven, or the user does not want it.
        """
        if self.keys and (self.wanted.names_something or self.all):
            raise CommandError("give KEYs, or filters such as --topic, but not both")
        if not (self.keys or self.wanted.names_something or self.all):
            raise CommandError(
                f"which letters? Give KEYs, filters such as --topic, or --all to {self.action} all"
            )
        changed = _Changed()
        try:
            return asyncio.run(self._run(changed))
        except KeyboardInterrupt:
            say(f"interrupted; {self._done(changed)}, the others are kept")
            return INTERRUPTED

    async def _run(self, changed: "_Changed") -> int:
        async with transport_for("use", self.transport) as transport:
            chosen = await self._chosen(transport)
            left = self._left_out(chosen)
            meant = [letter for letter in chosen if letter.key not in left]
            if self.dry_run:
                self._show(meant)
                say(f"would {self.action} {counted(len(meant), 'dead letter')}")
            elif meant:
                question = f"{self.action} {counted(len(meant), 'dead letter')}?"
                confirm(question.capitalize(), yes=self.yes)
                try:
                    await self._change(transport, meant, changed)
                except TransportError:
                    say(self._done(changed))
                    raise
                say(self._done(changed))
            else:
                say("no dead letter to " + self.action)
        for reason in dict.fromkeys(left.values()):
            count = sum(each == reason for each in left.values())
            say(f"{counted(count, 'dead letter')} left: {reason}")
        return 1 if left or changed.refused else 0

    async def _chosen(self, box: IDeadLetters) -> list[StoredLetter]:
        if self.keys:
            return await letters_of(box, self.keys, clock=SYSTEM_CLOCK)
        return [each async for each in letters(box, self.wanted, clock=SYSTEM_CLOCK)]

    def _left_out(self, chosen: Sequence[StoredLetter]) -> dict[str, str]:
        """Return the keys of the letters that cannot be redriven, with the reasons.

        Raises:
            RefusedError: The user has named one of them.
        """
        if self.action == "drop":
            return {}
        left = {letter.key: why for letter in chosen if (why := self._obstacle(letter)) is not None}
        if left and self.keys:
            refused = "; ".join(f"{key}: {why}" for key, why in left.items())
            raise RefusedError(f"nothing was redriven, as of {refused}")
        return left

    def _obstacle(self, letter: StoredLetter) -> str | None:
        if not letter.publishable:
            return "the event was not kept as a whole, so it cannot be published again"
        if letter.replied and not self.force:
            return "the sender was sent a system error; --force redrives all the same"
        return None

    async def _change(
        self, box: IDeadLetters, meant: Sequence[StoredLetter], changed: "_Changed"
    ) -> None:
        if self.action == "redrive":
            for letter in meant:
                await self._redrive(box, letter, changed)
            return
        for first in range(0, len(meant), _AT_ONCE):
            keys = [letter.key for letter in meant[first : first + _AT_ONCE]]
            changed.count += await box.drop(keys)

    async def _redrive(self, box: IDeadLetters, letter: StoredLetter, changed: "_Changed") -> None:
        """Redrive one letter by itself, so that those of others are not refused with it."""
        try:
            changed.count += await box.redrive([letter.key], force=self.force)
        except TransportError:
            raise
        except (ArvoError, ValueError) as error:
            if isinstance(error, UnroutableError) and letter.topic is not None:
                error = UnknownTopicError(letter.topic)
            changed.refused += 1
            say(f"{letter.key} left: {one_line(error)}")

    def _done(self, changed: "_Changed") -> str:
        return f"{counted(changed.count, 'dead letter')} {_DONE[self.action]}"

    def _show(self, chosen: Sequence[StoredLetter]) -> None:
        if self.json:
            print_json(map(as_json, chosen))
        elif chosen:
            print_table(COLUMNS, map(as_row, chosen))


@dataclass(slots=True)
class _Changed:
    count: int = 0
    refused: int = 0

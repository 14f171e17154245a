"""`arvo dead list` and `show`: looks at dead letters."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic_core import from_json, to_json
from rich.text import Text

from arvo_cli._backend._transport_url import transport_for
from arvo_cli._terminal._listing import (
    Column,
    console,
    first_of,
    local_time,
    print_json,
    print_table,
)
from arvo_cli._terminal._printable import printable, say
from arvo_cli._terminal._report import counted
from arvo_event_handler.delivery import StoredLetter
from arvo_time import SYSTEM_CLOCK

from ._letters import LetterFilter, letters, letters_of

COLUMNS = (
    Column("key", whole=True),
    Column("kept"),
    Column("topic"),
    Column("type"),
    Column("reason"),
    Column("tries", justify="right"),
    Column("error"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadListJob:
    """The options of `arvo dead list`."""

    transport: str
    """The transport's URL."""
    wanted: LetterFilter
    """Which letters."""
    limit: int
    """How many at most."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Print the letters, and return the exit status.

        Raises:
            CommandError: The transport cannot be used.
        """
        found, more = asyncio.run(self._found())
        if self.json:
            print_json(map(as_json, found))
        elif found:
            print_table(COLUMNS, map(as_row, found))
        say(f"{counted(len(found), 'dead letter')}{'; --limit shows more' if more else ''}")
        return 0

    async def _found(self) -> tuple[list[StoredLetter], bool]:
        async with transport_for("use", self.transport) as transport:
            return await first_of(letters(transport, self.wanted, clock=SYSTEM_CLOCK), self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadShowJob:
    """The options of `arvo dead show`."""

    transport: str
    """The transport's URL."""
    keys: list[str]
    """Of the letters."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Print the letters, and return the exit status.

        Raises:
            CommandError: The transport cannot be used, or there is no such letter.
        """
        found = asyncio.run(self._found())
        if self.json:
            print_json(map(as_json, found))
            return 0
        for number, letter in enumerate(found):
            if number:
                console().print()
            for line in _shown(letter):
                console().print(line, soft_wrap=True)
        return 0

    async def _found(self) -> list[StoredLetter]:
        async with transport_for("use", self.transport) as transport:
            return await letters_of(transport, self.keys, clock=SYSTEM_CLOCK)


def as_json(letter: StoredLetter) -> dict[str, object]:
    """Return a letter as `--json` shows it."""
    members: dict[str, object] = from_json(letter.to_json())
    return {"key": letter.key, **members}


def as_row(letter: StoredLetter) -> tuple[str, ...]:
    """Return the cells of a letter in a table of `COLUMNS`."""
    return (
        letter.key,
        local_time(letter.at),
        letter.topic or "-",
        "-" if letter.event is None else letter.event.type,
        letter.reason.value,
        str(letter.attempts),
        f"{letter.error.name}: {letter.error.message}",
    )


def _shown(letter: StoredLetter) -> Iterator[Text]:
    facts = {
        "key": letter.key,
        "kept": local_time(letter.at),
        "topic": letter.topic or "none",
        "reason": letter.reason.value,
        "tries": f"{letter.attempts} failed, delivered {letter.deliveries} times",
        "sender": "was sent a system error" if letter.replied else "was told nothing",
        "worker": letter.worker or "unknown",
        "error": f"{letter.error.name}: {letter.error.message}",
    }
    for name, value in facts.items():
        yield Text.assemble((f"{name:<8}", "bold"), printable(value))
    if letter.error.stack is not None:
        yield from (Text(f"  {printable(line)}") for line in letter.error.stack.splitlines())
    if letter.event is not None:
        yield Text("event", "bold")
        event = to_json(letter.event.to_dict(), indent=2).decode()
        yield from (Text(f"  {printable(line)}") for line in event.splitlines())
    if letter.data_excerpt is not None:
        yield Text("data, cut: too large to keep, so it cannot be redriven", "bold")
        yield Text(f"  {printable(letter.data_excerpt)}")
    if letter.raw is not None:
        yield Text("bytes, cut: not an event, so it cannot be redriven", "bold")
        yield Text(f"  {printable(letter.raw.decode(errors='backslashreplace'))}")

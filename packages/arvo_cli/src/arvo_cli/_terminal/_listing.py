"""Listings: a table for people, or one JSON object per line for programs."""

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeVar

from pydantic_core import to_json
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ._printable import printable

EntryT = TypeVar("EntryT")

_WIDE: Final = 10_000
"""The width of a table that no terminal shows, so that nothing is cut."""
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    """Its heading."""
    justify: Literal["left", "right"] = "left"
    """On which side its cells are aligned."""
    whole: bool = False
    """Whether a narrow terminal folds its cells; those of others are cut."""


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on standard output.

    Args:
        columns: The columns.
        rows: The cells of each row, as data: neither control characters nor markup count.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        overflow: Literal["fold", "ellipsis"] = "fold" if column.whole else "ellipsis"
        table.add_column(
            column.name, justify=column.justify, overflow=overflow, no_wrap=not column.whole
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console().print(table)


def console() -> Console:
    """Return the console of standard output, as wide as its terminal, or else as it takes."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def print_json(entries: Iterable[object]) -> None:
    """Print each entry as one line of JSON on standard output."""
    for entry in entries:
        sys.stdout.write(f"{to_json(entry).decode()}\n")


async def first_of(entries: AsyncIterator[EntryT], limit: int) -> tuple[list[EntryT], bool]:
    """Return the first entries, and whether there are more.

    Args:
        entries: The entries; closed when they are not read to the end.
        limit: How many at most.
    """
    found: list[EntryT] = []
    async for entry in entries:
        if len(found) == limit:
            if isinstance(entries, AsyncGenerator):
                await entries.aclose()
            return found, True
        found.append(entry)
    return found, False


def local_time(at: datetime) -> str:
    """Return a time to the second, in the zone of this machine, which it names."""
    return at.astimezone().isoformat(sep=" ", timespec="seconds")


def age(passed: timedelta) -> str:
    """Return a duration in its largest unit, which has passed that often.

    Example:
        >>> age(timedelta(minutes=90)), age(timedelta(0))
        ('1 h', '0 s')
    """
    seconds = max(0.0, passed.total_seconds())
    unit, size = _largest_unit(seconds)
    return f"{int(seconds // size)} {unit}"


def about(ahead: timedelta) -> str:
    """Return a duration in its largest unit, to the nearest number of it.

    Example:
        >>> about(timedelta(days=2, hours=23)), about(timedelta(0))
        ('3 d', '0 s')
    """
    seconds = max(0.0, ahead.total_seconds())
    unit, size = _largest_unit(seconds)
    return f"{round(seconds / size)} {unit}"


def until(at: datetime, *, now: datetime) -> str:
    """Return how far ahead a time is, or how long ago it was."""
    ahead = at - now
    return f"in {about(ahead)}" if ahead > timedelta(0) else f"{age(-ahead)} late"


def _largest_unit(seconds: float) -> tuple[str, int]:
    return next((each for each in _UNITS if seconds >= each[1]), _UNITS[-1])

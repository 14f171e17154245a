"""Which part of a stream or of the log is read, page by page."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

from arvo_event_store._event import Event
from arvo_time.settings import check_count, check_flag

MAX_POSITION: Final = 2**63 - 1
"""The largest version and position that every store can hold."""
PAGE_EVENTS: Final = 500
"""How many events a page has at most."""
PAGE_BYTES: Final = 4 * 1024 * 1024
"""How many bytes of JSON the events of a page have at most, unless it has only one."""

T = TypeVar("T")

Place: TypeAlias = Literal["version", "position"]
"""What orders the events: their versions in a stream, or their positions in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRange:
    """A range of versions or positions."""

    after: int
    """Where to begin: at the next one."""
    upto: int | None
    """The last one; None if only the end of the stream, or the horizon, is a bound."""
    backward: bool
    """Whether the highest come first."""
    limit: int | None
    """How many events at most; None is all."""


class PageRange(NamedTuple):
    """The part of a range that one page is read from.

    A store returns its first `limit` events, or fewer, but at least one, as soon as their JSON has
    `max_bytes`.
    """

    after: int
    """Where to begin: at the next one."""
    upto: int | None
    """The last one; None only if `is_first`."""
    backward: bool
    """Whether the highest come first."""
    limit: int
    """How many events at most, from 1."""
    max_bytes: int
    """How long the data, meta and private data of all events may be together, roughly: as stored, in
    bytes or characters, compressed or not."""
    is_first: bool
    """Whether no page was read yet, so that the end, or the horizon, must be looked at. Afterwards
    `upto` is not above it."""


class Page(NamedTuple):
    """Events of one page, from one snapshot of the database."""

    events: Sequence[Event]
    """The events, in the order of reading."""
    end: int | None
    """Where the stream, or the horizon, was in the same snapshot. May be None if the page is not
    full or not the first: then nobody asks."""
    is_cut: bool = False
    """Whether it has fewer events than asked for because of `max_bytes`, so that there may be more."""


def page_rows(
    rows: Iterable[T], *, max_bytes: int, size: Callable[[T], int]
) -> tuple[list[T], bool]:
    """Return the first rows that fit into a page, at least one, and whether any were left out.

    Args:
        rows: The rows of a page, in the order of reading; not read further than needed.
        max_bytes: See `PageRange`.
        size: How long the JSON of a row is.
    """
    found: list[T] = []
    total = 0
    for row in rows:
        total += size(row)
        if found and total > max_bytes:
            return found, True
        found.append(row)
    return found, False


def read_range(
    *, after: int, upto: int | None, backward: bool, limit: int | None, least: int
) -> ReadRange:
    """Check the arguments of a read.

    Args:
        after: See `IStreamAccess.read` and `IEventLog.read_all`, as the others.
        upto: The last one.
        backward: Whether to begin at the end.
        limit: How many at most.
        least: The least value of `after`: -1 for versions, 0 for positions.

    Raises:
        TypeError: One is of another type.
        ValueError: One is out of its bounds.
    """
    if after != -1 or least != -1 or isinstance(after, bool):
        check_count(after, name="after", most=MAX_POSITION)
    if upto is not None:
        check_count(upto, name="upto", most=MAX_POSITION)
    if limit is not None:
        check_count(limit, name="limit")
    check_flag(backward, name="backward")
    return ReadRange(after=after, upto=upto, backward=backward, limit=limit)


def page_ranges(asked: ReadRange, *, by: Place) -> Generator[PageRange, Page, None]:
    """Yield which pages to read, one after the other; send it each page to get the next.

    It is for stores that do not await: the others have `read_pages`.

    Args:
        asked: What to read.
        by: What orders the events.
    """
    left, first = asked, True
    while left.limit != 0:
        if left.upto is not None and left.upto <= left.after:
            return
        limit = PAGE_EVENTS if left.limit is None else min(left.limit, PAGE_EVENTS)
        page = yield PageRange(
            after=left.after,
            upto=left.upto,
            backward=left.backward,
            limit=limit,
            max_bytes=PAGE_BYTES,
            is_first=first,
        )
        if len(page.events) < limit and not page.is_cut:
            return
        left = _after_page(left, page, last=getattr(page.events[-1], by))
        first = False


async def read_pages(
    asked: ReadRange, *, by: Place, fetch: Callable[[PageRange], Awaitable[Page]]
) -> AsyncGenerator[Event, None]:
    """Read a range page by page; nothing is held between pages.

    What is appended after the first page was read is not seen.

    Args:
        asked: What to read.
        by: What orders the events.
        fetch: Reads one page.
    """
    ranges = page_ranges(asked, by=by)
    wanted = next(ranges, None)
    while wanted is not None:
        page = await fetch(wanted)
        for event in page.events:
            yield event
        try:
            wanted = ranges.send(page)
        except StopIteration:
            return


def _after_page(left: ReadRange, page: Page, *, last: int) -> ReadRange:
    limit = None if left.limit is None else left.limit - len(page.events)
    if left.backward:
        return replace(left, upto=last - 1, limit=limit)
    ends = [end for end in (left.upto, page.end) if end is not None]
    return replace(left, after=last, upto=min(ends), limit=limit)

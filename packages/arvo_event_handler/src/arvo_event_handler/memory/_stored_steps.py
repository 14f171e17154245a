"""Reads a workflow's steps from its record, tail and chunks, newest pieces first."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias

from pydantic_core import from_json

from arvo_event_handler._errors import UnreadableRecordError

from ._journal import named_segments, read_segment_head, split_segment
from ._journal_entry import START, Mark, damaged, read_entry_mark, read_line, whole_event
from ._journaled_record import has_journal, last_entry, stands_alone, taken_apart
from ._kept_state import read_kept_state, shown_state
from ._memory import Record
from ._record import read_head
from ._state import WorkflowState
from ._step_history import MOST_TIMES, StoredStep, check_page

CHUNKS_TOGETHER: Final = 64
"""How many chunks a memory returns together for `read_steps`."""
_AT: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJournal:
    """A workflow as it is stored, with the latest part of its journal."""

    record: Record
    """The record."""
    version: int
    """The version of the record."""
    updated_at: datetime
    """When the record was last written."""
    tail: bytes = b""
    """The tail."""
    chunks: Sequence[tuple[int, bytes]] = ()
    """The 64 newest chunks below the number that was asked for, freed ones that are kept too, as
    (number, bytes), in order of their numbers."""


FetchJournal: TypeAlias = Callable[[int | None], Awaitable[StoredJournal | None]]
"""Fetches a workflow with the chunks below a number, or with the newest for None; None if there is no
record."""


async def read_steps(
    subject: str, *, fetch: FetchJournal, after: int, limit: int
) -> list[StoredStep]:
    """Answer `IStepHistory.steps`, for authors of memories.

    Args:
        subject: The workflow's.
        fetch: Fetches what is stored, each time in one snapshot; see `StoredJournal`. It is called
            again where the steps that are asked for are further back.
        after: See there.
        limit: See there.

    Raises:
        TypeError: See there.
        ValueError: See there.
        UnreadableRecordError: What is stored is damaged.
    """
    check_page(after, limit=limit)
    stored = await fetch(None)
    if stored is None:
        return []
    end = _End.of(stored, subject)
    pieces = end.pieces(stored.chunks)
    page = _Page(after if after >= 0 else max(0, end.last_number(pieces) + after), limit=limit)
    page.put(pieces)
    while not page.is_full and len(stored.chunks) == CHUNKS_TOGETHER:
        first = stored.chunks[0][0]
        earlier = await fetch(first)
        if earlier is None or not earlier.chunks:
            break  # forgotten meanwhile
        stored = earlier
        pieces = _pieces(stored.chunks, b"")
        if not page.follows(pieces[-1]):
            break  # and begun again
        page.put(pieces)
    return page.steps(end, subject)


def read_step_times(
    tail: bytes, *, chunk: Callable[[], bytes | None], failed_at: datetime | None
) -> list[datetime]:
    """Return the times of the newest steps, at most 64, oldest first, for authors of memories.

    Args:
        tail: The tail; may be empty.
        chunk: Returns the last chunk, freed or not, if it is still there; an `UnreadableRecordError`
            means that it is damaged.
        failed_at: When the record was last written, if the workflow has failed; otherwise None.

    Returns:
        The times; none if something is damaged.

    Example:
        >>> read_step_times(b"", chunk=lambda: None, failed_at=None)
        []
    """
    times: list[datetime] = []
    try:
        for where, data in (("the last chunk", chunk()), ("the tail", tail)):
            if data:
                _, lines = split_segment(data, where=where)
                indexes = [from_json(line.partition(b"\t")[0]) for line in lines[-MOST_TIMES:]]
                times += [_time(index[_AT]) for index in indexes if index[_AT]]
    except (UnreadableRecordError, ValueError, TypeError, LookupError, OverflowError, OSError):
        return []
    if failed_at is not None:
        times.append(failed_at)
    return times[-MOST_TIMES:]


class _Piece(NamedTuple):
    """A chunk or a tail, of which nothing is parsed yet but its beginning."""

    after: Mark
    lines: Sequence[bytes]
    where: str

    @property
    def last(self) -> Mark:
        return read_entry_mark(self.lines[-1], where=self.where) if self.lines else self.after


class _Line(NamedTuple):
    number: int
    line: bytes
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """What a record says of the end of its journal."""

    state: WorkflowState
    last: Mark | None
    """The last entry; None where the record does not name it."""
    tail: bytes
    version: int
    updated_at: datetime

    @classmethod
    def of(cls, stored: StoredJournal, subject: str) -> "_End":
        record, tail = stored.record, stored.tail
        if stands_alone(record):
            try:
                record, tail = taken_apart(record, subject, answering=(), version=stored.version)
            except (KeyError, TypeError, ValueError) as error:
                raise UnreadableRecordError(f"its last event is damaged: {error}") from error
            if stored.chunks:
                # Only what tells late events is left of a record that has completed.
                tail, record = b"", stored.record
        return cls(
            state=read_head(record, subject),
            last=last_entry(record) if has_journal(record) else None,
            tail=tail,
            version=stored.version,
            updated_at=stored.updated_at,
        )

    def pieces(self, chunks: Sequence[tuple[int, bytes]]) -> list[_Piece]:
        """Return the pieces of a journal that ends here.

        Raises:
            UnreadableRecordError: One is damaged, or they do not follow each other.
        """
        pieces = _pieces(chunks, self.tail)
        found = pieces[-1].last if pieces else START
        if self.last is not None and found != self.last:
            raise UnreadableRecordError(
                f"the stored journal ends with entry {found.number} where the record says "
                f"{self.last.number}"
            )
        return pieces

    def last_number(self, pieces: Sequence[_Piece]) -> int:
        """Return the number of the last step, also where it failed."""
        number = pieces[-1].last.number if pieces else 0
        return number + (self.state.failure is not None)


class _Page:
    """The oldest steps above a number, found from the newest pieces backwards.

    Args:
        after: The number.
        limit: How many there may be.
    """

    def __init__(self, after: int, *, limit: int) -> None:
        self._after = after
        self._limit = limit
        self._lines: deque[_Line] = deque()
        self._first: Mark | None = None
        self._newest = 0

    @property
    def is_full(self) -> bool:
        """Whether earlier pieces have nothing for it."""
        return self._first is None or self._first.number <= self._after

    def put(self, pieces: Sequence[_Piece]) -> None:
        """Look through pieces that are before those that were looked at."""
        for piece in reversed(pieces):
            self._newest = max(self._newest, piece.after.number + len(piece.lines))
            self._first = piece.after
            wanted = [each for each in _numbered(piece) if each.number > self._after]
            self._lines.extendleft(reversed(wanted))
            while len(self._lines) > self._limit:
                self._lines.pop()

    def follows(self, piece: _Piece) -> bool:
        """Return whether what it has seen follows a piece."""
        return piece.last == self._first

    def steps(self, end: _End, subject: str) -> list[StoredStep]:
        steps = [_step(each, end, subject) for each in self._lines]
        number = self._newest + 1
        fits = number > self._after and len(steps) < self._limit
        # Where the page ends earlier, the failure is on a later one.
        if fits and (not steps or steps[-1].number == self._newest):
            steps += _failed_step(end, number)
        return steps


def _pieces(chunks: Sequence[tuple[int, bytes]], tail: bytes) -> list[_Piece]:
    pieces: list[_Piece] = []
    for where, data in named_segments(chunks, tail):
        head, lines = split_segment(data, where=where)
        piece = _Piece(read_segment_head(head, where)[0], lines, where)
        if pieces and piece.after != pieces[-1].last:
            raise damaged(where, f"it follows entry {piece.after.number}, which is not before it")
        pieces.append(piece)
    return pieces


def _numbered(piece: _Piece) -> Iterator[_Line]:
    for number, line in enumerate(piece.lines, piece.after.number + 1):
        yield _Line(number, line, piece.where)


def _step(found: _Line, end: _End, subject: str) -> StoredStep:
    where = found.where
    entry = read_line(found.line, where=where)
    try:
        if entry["n"] != found.number:
            raise ValueError(f"entry {entry['n']} in the place of entry {found.number}")
        kept = read_kept_state(entry)
        shown = kept.shown
        is_last = end.last is not None and end.last.number == found.number
        if shown is None and is_last:
            shown = shown_state(end.state.members)
        return StoredStep(
            number=found.number,
            version=entry["v"],
            at=_time(entry["at"]) if entry["at"] else None,
            took=kept.took,
            consumed=whole_event(entry["in"], subject),
            produced=tuple(whole_event(output, subject) for output in entry["out"]),
            error=None,
            state_bytes=kept.size if shown is None else None,
            **_state(shown),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError) as error:
        raise damaged(where, error) from error


def _failed_step(end: _End, number: int) -> Iterator[StoredStep]:
    failure = end.state.failure
    if failure is not None:
        yield StoredStep(
            number=number,
            version=end.version,
            at=end.updated_at,
            took=None,
            consumed=failure.consumed.wire(),
            produced=tuple(output.wire() for output in failure.outputs),
            error=end.state.error,
            state_bytes=None,
            **_state(shown_state(end.state.members)),
        )


def _state(shown: Mapping[str, Any] | None) -> dict[str, Any]:
    said = shown or {}
    return {
        "state": said.get("value"),
        "context": said.get("context"),
        "has_state": bool(shown),
    }


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)

"""A workflow's journal as bytes: what a step adds is appended, what is rewritten is small.

Entries stand in *segments*: the chunks, which are written once, and the tail, the last and open one.
A segment begins with a line of its own that names the entry before its first, and may hold a *base*:
the state after one of its entries, so that nothing before that is needed any more.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arvo_event_handler._errors import UnreadableRecordError

from ._collection import Collection
from ._journal_entry import (
    START,
    JournalEntry,
    Mark,
    damaged,
    read_entries,
    read_line,
    read_mark,
    trimmed,
    whole_event,
)
from ._kept_event import KeptEvent
from ._open_requests import OpenRequests
from ._owed_outputs import OwedOutputs, OwedStep
from ._record import written_answers
from ._record_codec import decode_json, encode_json
from ._seen_events import SeenEvents
from ._state import WorkflowState


@dataclass(frozen=True, slots=True)
class Segment:
    """A chunk or a tail."""

    after: Mark
    """The entry before the first."""
    base: Mapping[str, Any] | None
    """The state after the entry that it names, one of the segment's; None in most."""
    entries: Sequence[JournalEntry]
    where: str
    """What an error calls it."""

    @property
    def last(self) -> Mark:
        """The last entry, or the one before when there is none."""
        return self.entries[-1].mark if self.entries else self.after


def open_segment(after: Mark, *, base: Mapping[str, Any] | None = None) -> bytes:
    """Return the line that begins a segment."""
    head: dict[str, Any] = {"after": [*after]}
    if base is not None:
        head["base"] = base
    return encode_json(head, what="a base") + b"\n"


def with_base(segment: bytes, base: Mapping[str, Any], *, where: str) -> bytes:
    """Return a segment with a base, in place of any that it had.

    Raises:
        UnreadableRecordError: It is damaged.
    """
    head, _, lines = segment.partition(b"\n")
    return open_segment(read_segment_head(head, where)[0], base=base) + lines


def split_segment(data: bytes, *, where: str) -> tuple[bytes, list[bytes]]:
    """Return the line that begins a segment, and those of its entries, without their ends.

    Raises:
        UnreadableRecordError: Its end is missing: what is appended would become a part of its last
            entry.
    """
    head, *lines = data.split(b"\n")
    if not lines or lines.pop():
        raise damaged(where, "its end is missing")
    return head, lines


def read_segment(data: bytes, *, subject: str, collects: bool, where: str) -> Segment:
    """Read a chunk or a tail; of its entries the indexes, while their events stay as they are.

    Args:
        data: The segment.
        subject: The workflow's.
        collects: Whether outputs begin a new collection of answers.
        where: What an error calls the place.

    Raises:
        UnreadableRecordError: It is damaged.
    """
    head, lines = split_segment(data, where=where)
    after, base = read_segment_head(head, where)
    entries = read_entries(lines, subject=subject, collects=collects, where=where)
    numbers = [entry.mark.number for entry in entries]
    if numbers != list(range(after.number + 1, after.number + 1 + len(numbers))):
        raise damaged(where, f"entries {numbers[:3]}... after entry {after.number}")
    based = None if base is None else base["last"]
    if based is not None and based not in (after, *(entry.mark for entry in entries)):
        raise damaged(where, "its base is the state after an entry that it does not hold")
    return Segment(after, base, entries, where)


def read_segment_head(head: bytes, where: str) -> tuple[Mark, dict[str, Any] | None]:
    """Return what the line says that begins a segment: the entry before its first, and its base.

    Raises:
        UnreadableRecordError: It is damaged.
    """
    try:
        begun = decode_json(head)
        base = begun.get("base")
        if base is not None:
            base["last"] = read_mark(base["last"])
        return read_mark(begun["after"]), base
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged(where, error) from error


def read_lines(
    data: bytes, *, where: str
) -> tuple[Mark, dict[str, Any] | None, list[dict[str, Any]]]:
    """Return what a segment says as JSON: the entry before its first, its base, and its entries.

    Raises:
        UnreadableRecordError: It is damaged.
    """
    head, lines = split_segment(data, where=where)
    after, base = read_segment_head(head, where)
    return after, base, [read_line(line, where=where) for line in lines]


def read_segments(
    chunks: Iterable[tuple[int, bytes]], tail: bytes, *, subject: str, collects: bool
) -> list[Segment]:
    """Read chunks, with their numbers, and the tail that follows them.

    Raises:
        UnreadableRecordError: One is damaged, or does not begin where the one before it ends.
    """
    segments: list[Segment] = []
    for where, data in named_segments(chunks, tail):
        segment = read_segment(data, subject=subject, collects=collects, where=where)
        if segments and segment.after != segments[-1].last:
            raise damaged(where, f"it follows entry {segment.after.number}, which is not before it")
        segments.append(segment)
    return segments


def named_segments(chunks: Iterable[tuple[int, bytes]], tail: bytes) -> list[tuple[str, bytes]]:
    """Return chunks and the tail that follows them, each with what an error calls it."""
    named = [(f"chunk {number}", data) for number, data in chunks]
    return [*named, ("the tail", tail)] if tail else named


def write_base(state: WorkflowState, last: Mark) -> dict[str, Any]:
    """Return the base that says a state after its last entry.

    Raises:
        UnreadableRecordError: An event of an earlier step is damaged.
    """
    subject = state.subject
    return {
        "last": [*last],
        "expected": written_answers(
            state.collection, lambda answer: trimmed(answer.wire(), subject)
        ),
        "seen": list(state.seen),
        "owed": [
            [
                step.event,
                step.at,
                output.type if output.asks else None,
                trimmed(output.wire(), subject),
            ]
            for step in state.owed
            for output in step.outputs.values()
        ],
        "open": None if state.open is None else state.open.member(),
    }


def apply_base(
    state: WorkflowState, base: Mapping[str, Any], *, answering: Iterable[str], where: str
) -> None:
    """Give a state what a base says.

    Args:
        state: The state.
        base: The base.
        answering: The types of requests that services answer, not only by failing.
        where: What an error calls the segment that holds it.

    Raises:
        UnreadableRecordError: The base is damaged.
    """
    subject = state.subject
    try:
        expected, requests = base["expected"], base["open"]
        state.collection = None
        if expected is not None:
            state.collection = Collection(
                {
                    request: [KeptEvent.of(whole_event(answer, subject)) for answer in answers]
                    for request, answers in expected.items()
                },
                size=len(encode_json(expected, what="a base")),
            )
        state.seen = SeenEvents(base["seen"])
        steps: list[OwedStep] = []
        for event, at, asked, output in base["owed"]:
            kept = KeptEvent.of(
                whole_event(output, subject),
                asks=asked is not None,
                size=len(encode_json(output, what="a base")),
            )
            if not isinstance(at, int | None):
                raise TypeError(f"{at!r:.40} is not a time")
            if not steps or steps[-1].event != event:
                steps.append(OwedStep(event, (), at=at))
            steps[-1].outputs[kept.id] = kept
        state.owed = OwedOutputs(steps)
        if state.open is not None:
            # A base of a workflow that accepted any answer does not say which requests are open.
            state.open = (
                None if requests is None else OpenRequests.of(requests, answering=[*answering])
            )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged(where, error) from error


def replay(
    state: WorkflowState,
    segments: Sequence[Segment],
    *,
    last: Mark,
    window: int,
    answering: Iterable[str] = (),
) -> bool:
    """Give a state what the entries of a journal lead to.

    Args:
        state: What a record says beside them.
        segments: From the newest base on, or from the first; what is before a base is left out.
        last: The last entry, as the record names it.
        window: How many steps' outputs are kept at most.
        answering: See `apply_base`.

    Returns:
        False, with the state as it was, when the segments lack the beginning.

    Raises:
        UnreadableRecordError: Entries are missing, or there are others than the record says.
    """
    begin = max((at for at, segment in enumerate(segments) if segment.base is not None), default=0)
    if not segments:
        # A workflow whose init failed has a record, and no entry yet.
        return last == START
    if segments[begin].base is None and segments[begin].after != START:
        return False
    done = START
    for segment in segments[begin:]:
        if segment.base is not None:
            apply_base(state, segment.base, answering=answering, where=segment.where)
            done = segment.base["last"]
        for entry in segment.entries:
            if entry.mark.number > done.number:
                state.post(entry.step, window=window)
                done = entry.mark
            elif entry.mark == done:
                state.latest = entry.step
    _check_end(done, last)
    return True


def follow(
    state: WorkflowState, known: Mark, segments: Sequence[Segment], *, last: Mark, window: int
) -> bool:
    """Give a state what came after an entry that it already says.

    Args:
        state: A state.
        known: The last entry that it says.
        segments: The latest ones.
        last: The last entry, as the record names it.
        window: How many steps' outputs are kept at most.

    Returns:
        False, with the state as it was, when the entry is not among those that the segments name:
        the state is of another history, or too old.

    Raises:
        UnreadableRecordError: Entries are missing, or there are others than the record says.
    """
    entries = [entry for segment in segments for entry in segment.entries]
    named = {segment.after for segment in segments} | {entry.mark for entry in entries}
    if known not in named:
        return False
    done = known
    for entry in entries:
        if entry.mark.number > known.number:
            state.post(entry.step, window=window)
            done = entry.mark
    _check_end(done, last)
    return True


def lacks_beginning(last: Mark) -> UnreadableRecordError:
    """Return the error for a journal of which `replay` has not found the beginning."""
    return UnreadableRecordError(
        f"the stored journal lacks its beginning; the record says entry {last.number}"
    )


def _check_end(done: Mark, last: Mark) -> None:
    if done != last:
        raise UnreadableRecordError(
            f"the stored journal ends with entry {done.number} where the record says {last.number}, "
            "or its beginning is missing"
        )

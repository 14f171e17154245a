"""A workflow's entries as bytes: what a step adds is appended, what is rewritten is small.

An entry is one line: its index, a tab, its body, both JSON. A reader that rebuilds the state parses
indexes only; events stay bytes until they are looked at. Lines stand in *segments*: the chunks,
which are written once, and the tail, the last and open one. A segment begins with a line of its own
that names the entry before its first, and may hold a *base*: the state after one of its entries, so
that nothing before that is needed any more.

An entry is named by its number and by who stored it. A number alone would not do: what was lost, or
forgotten and begun anew, comes to the same numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from arvo_event_handler._errors import UnreadableRecordError

from ._state import (
    KeptEvent,
    OwedOutputs,
    OwedStep,
    SeenEvents,
    WireEvent,
    WorkflowEntry,
    WorkflowState,
)


class Mark(NamedTuple):
    """The name of one entry, and of no other."""

    number: int
    """Counted from 1; 0 for what is before the first entry."""
    by: str
    """The first 12 digits of the owner of the lease that stored it."""


START: Final = Mark(0, "")
"""What stands before the first entry."""

_BY_DIGITS: Final = 12
_OUT: Final = b'"out":['
# What an event's members are when they are left out.
_NULLABLE: Final = (
    "dataschema", "accesscontrol", "redirectto", "executionunits", "traceparent", "tracestate",
    "parentid", "domain",
)  # fmt: skip


def mark_after(last: Mark, *, owner: str) -> Mark:
    """Return the name of the entry that the owner of a lease stores next."""
    return Mark(last.number + 1, owner[:_BY_DIGITS])


class JournalEntry(NamedTuple):
    """An entry and its name."""

    mark: Mark
    version: int
    """The version of the record that it was stored with."""
    at: int
    """When it was stored, in milliseconds since 1970."""
    step: WorkflowEntry
    line: bytes
    """The entry as stored, without the end of the line."""


def write_entry(
    mark: Mark,
    *,
    version: int,
    at: int,
    consumed: WireEvent,
    outputs: Sequence[WireEvent],
    asked: Sequence[bool],
    members: Mapping[str, JsonValue] | None = None,
) -> bytes:
    """Return an entry's line, without its end.

    Args:
        mark: Its name.
        version: The version of the record that it is stored with.
        at: When, in milliseconds since 1970.
        consumed: The event that the step consumed.
        outputs: The events that it emitted, of the same subject unless they say another.
        asked: Of each output, whether it awaits an answer.
        members: Further members of the body.
    """
    subject = consumed["subject"]
    written = [to_json(_trimmed(output, subject)) for output in outputs]
    awaiting = [position for position, asks in enumerate(asked) if asks]
    index = [
        mark.number,
        version,
        mark.by,
        at,
        consumed["type"],
        consumed["source"],
        consumed["id"],
        consumed["parentid"],
        [output["id"] for output in outputs],
        [len(each) for each in written],
        [output["type"] if asks else None for output, asks in zip(outputs, asked, strict=True)],
    ]
    body = {
        "n": mark.number,
        "v": version,
        "by": mark.by,
        "at": at,
        "in": _trimmed(consumed, subject),
        **(members or {}),
        "ask": awaiting,
    }
    # The outputs come last, so that their lengths say where each begins.
    return b"%b\t%b,%b%b]}" % (to_json(index), to_json(body)[:-1], _OUT, b",".join(written))


def read_entry(line: bytes, *, subject: str, collects: bool, where: str) -> JournalEntry:
    """Read an entry's index; its events stay as they are.

    Args:
        line: The entry as stored, without the end of the line.
        subject: The workflow's.
        collects: Whether outputs begin a new collection of answers.
        where: What an error calls the place.

    Raises:
        UnreadableRecordError: It is not an entry.
    """
    written, tab, body = line.partition(b"\t")
    try:
        number, version, by, at, kind, source, name, request, ids, sizes, asked = from_json(written)
        consumed = KeptEvent(
            id=name,
            source=source,
            type=kind,
            read=partial(_read_consumed, body, sizes, subject, where),
        )
        ends = _ends(body, sizes)
        outputs = [
            KeptEvent(
                id=output,
                source="",
                type=type_ or "",
                asks=type_ is not None,
                read=partial(_read_output, body, end - size, end, subject, where),
                size=size,
            )
            for output, size, end, type_ in zip(ids, sizes, ends, asked, strict=True)
        ]
        mark = _mark([number, by])
        # Raises for what is not a string, much faster than a look at each.
        "".join([kind, source, name, request or "", *ids, *filter(None, asked)])
    except (ValueError, TypeError) as error:
        raise _damaged(where, error) from error
    if not tab or not isinstance(version, int) or not isinstance(at, int):
        raise _damaged(where, "an entry without a body, a version or a time")
    step = WorkflowEntry(consumed=consumed, request=request, outputs=outputs, collects=collects)
    return JournalEntry(mark=mark, version=version, at=at, step=step, line=line)


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
    head: dict[str, Any] = {"after": after}
    if base is not None:
        head["base"] = base
    return to_json(head) + b"\n"


def read_segment(data: bytes, *, subject: str, collects: bool, where: str) -> Segment:
    """Read a chunk or a tail; see `read_entry`.

    Raises:
        UnreadableRecordError: It is damaged.
    """
    head, *lines = data.removesuffix(b"\n").split(b"\n")
    try:
        begun = from_json(head)
        after, base = _mark(begun["after"]), begun.get("base")
        based = None if base is None else _mark(base["last"])
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(where, error) from error
    entries = [read_entry(line, subject=subject, collects=collects, where=where) for line in lines]
    numbers = [entry.mark.number for entry in entries]
    if numbers != list(range(after.number + 1, after.number + 1 + len(numbers))):
        raise _damaged(where, f"entries {numbers[:3]}... after entry {after.number}")
    if based not in (None, after, *(entry.mark for entry in entries)):
        raise _damaged(where, "its base is the state after an entry that it does not hold")
    return Segment(after, base, entries, where)


def read_segments(
    chunks: Iterable[tuple[int, bytes]], tail: bytes, *, subject: str, collects: bool
) -> list[Segment]:
    """Read chunks, with their numbers, and the tail that follows them.

    Raises:
        UnreadableRecordError: One is damaged, or does not begin where the one before it ends.
    """
    named = [(f"chunk {number}", data) for number, data in chunks]
    if tail:
        named.append(("the tail", tail))
    segments: list[Segment] = []
    for where, data in named:
        segment = read_segment(data, subject=subject, collects=collects, where=where)
        if segments and segment.after != segments[-1].last:
            raise _damaged(
                where, f"it follows entry {segment.after.number}, which is not before it"
            )
        segments.append(segment)
    return segments


def write_base(state: WorkflowState, last: Mark) -> dict[str, Any]:
    """Return the base that says a state after its last entry."""
    answers = state.answers
    return {
        "last": last,
        "expected": answers
        and {
            request: [_trimmed(answer.wire(), state.subject) for answer in collected]
            for request, collected in answers.items()
        },
        "seen": list(state.seen),
        "owed": [
            [
                step.event,
                output.type if output.asks else None,
                _trimmed(output.wire(), state.subject),
            ]
            for step in state.owed
            for output in step.outputs.values()
        ],
    }


def apply_base(state: WorkflowState, base: Mapping[str, Any], *, where: str) -> None:
    """Give a state what a base says.

    Raises:
        UnreadableRecordError: The base is damaged.
    """
    subject = state.subject
    try:
        expected = base["expected"]
        state.answers = expected and {
            request: [KeptEvent.of(_whole(answer, subject)) for answer in collected]
            for request, collected in expected.items()
        }
        state.seen = SeenEvents(base["seen"])
        steps: dict[str, OwedStep] = {}
        for event, asked, output in base["owed"]:
            kept = KeptEvent.of(
                _whole(output, subject), asks=asked is not None, size=len(to_json(output))
            )
            steps.setdefault(event, OwedStep(event, {})).outputs[kept.id] = kept
        state.owed = OwedOutputs(steps.values())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(where, error) from error


def replay(state: WorkflowState, segments: Sequence[Segment], *, last: Mark, window: int) -> None:
    """Give a state what the entries of a journal lead to.

    Args:
        state: What a record says beside them.
        segments: From the newest base on, or from the first; what is before a base is left out.
        last: The last entry, as the record names it.
        window: How many steps' outputs are kept at most.

    Raises:
        UnreadableRecordError: Entries are missing, or there are others than the record says.
    """
    begin = max((at for at, segment in enumerate(segments) if segment.base is not None), default=0)
    done = START
    for segment in segments[begin:]:
        if segment.base is not None:
            apply_base(state, segment.base, where=segment.where)
            done = _mark(segment.base["last"])
        for entry in segment.entries:
            if entry.mark.number > done.number:
                state.post(entry.step, window=window)
                done = entry.mark
            elif entry.mark == done:
                state.latest = entry.step
    # A workflow whose init failed has a record, and no entry yet.
    begins = not segments or segments[begin].base is not None or segments[begin].after == START
    if done != last or not begins:
        raise UnreadableRecordError(
            f"the stored journal ends with entry {done.number} where the record says {last.number}, "
            "or its beginning is missing"
        )


def _mark(stored: Any) -> Mark:
    number, by = stored
    if not isinstance(number, int) or not isinstance(by, str):
        raise TypeError(f"{stored!r:.40} is not the name of an entry")
    return Mark(number, by)


def _begin_of_outputs(body: bytes, sizes: Sequence[int]) -> int:
    commas = max(0, len(sizes) - 1)
    return len(body) - len(b"]}") - sum(sizes) - commas


def _ends(body: bytes, sizes: Sequence[int]) -> list[int]:
    """Return where each output ends in a body, which they are the end of."""
    ends: list[int] = []
    end = _begin_of_outputs(body, sizes)
    for size in sizes:
        end += size
        ends.append(end)
        end += 1  # the comma
    return ends


def _read_consumed(body: bytes, sizes: Sequence[int], subject: str, where: str) -> WireEvent:
    begin = _begin_of_outputs(body, sizes)
    try:
        return _whole(from_json(body[:begin] + b"]}")["in"], subject)
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(where, error) from error


def _read_output(body: bytes, begin: int, end: int, subject: str, where: str) -> WireEvent:
    try:
        return _whole(from_json(body[begin:end]), subject)
    except (ValueError, TypeError) as error:
        raise _damaged(where, error) from error


def _trimmed(event: WireEvent, subject: JsonValue) -> WireEvent:
    kept = {name: v for name, v in event.items() if v is not None or name not in _NULLABLE}
    if kept.get("subject") == subject:
        del kept["subject"]
    return kept


def _whole(event: WireEvent, subject: str) -> WireEvent:
    return {"subject": subject, **dict.fromkeys(_NULLABLE), **event}


def _damaged(where: str, why: object) -> UnreadableRecordError:
    return UnreadableRecordError(f"{where} of the stored journal is damaged: {why}")

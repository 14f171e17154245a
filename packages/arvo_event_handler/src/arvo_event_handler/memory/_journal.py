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
from typing import Any, Final, NamedTuple

from pydantic_core import from_json, to_json
from typing_extensions import override

from arvo_event_handler._errors import UnreadableRecordError, UnwritableRecordError

from ._collection import Collection
from ._kept_event import KeptEvent, WireEvent, event_hash
from ._open_requests import OpenRequests
from ._owed_outputs import OwedOutputs, OwedStep
from ._record import written_answers
from ._record_codec import decode_json, encode_json
from ._seen_events import SeenEvents
from ._state import WorkflowEntry, WorkflowState


class Mark(NamedTuple):
    """The name of one entry, and of no other."""

    number: int
    """Counted from 1; 0 for what is before the first entry."""
    by: str
    """The first 12 digits of the owner of the lease that stored it."""


START: Final = Mark(0, "")
"""What stands before the first entry."""

_BY_DIGITS: Final = 12
# The outputs come last, so that their lengths say where each begins.
_IN: Final = b'{"in":'
_OUT: Final = b',"out":['
# What an event's members are when they are left out.
_NULLS: Final = dict.fromkeys(
    ("dataschema", "accesscontrol", "redirectto", "executionunits", "traceparent", "tracestate",
    "parentid", "domain")
)  # fmt: skip


def mark_after(last: Mark, *, owner: str) -> Mark:
    """Return the name of the entry that the owner of a lease stores next."""
    return Mark(last.number + 1, owner[:_BY_DIGITS])


def read_mark(stored: Any) -> Mark:
    """Return the name of an entry from its JSON.

    Raises:
        TypeError: It is not the name of an entry.
        ValueError: The same.
    """
    number, by = stored
    if not isinstance(number, int) or not isinstance(by, str):
        raise TypeError(f"{stored!r:.40} is not the name of an entry")
    return Mark(number, by)


class JournalEntry(NamedTuple):
    """An entry and its name."""

    mark: Mark
    version: int
    """The version of the record that it was stored with."""
    step: WorkflowEntry


class _Index(NamedTuple):
    """What is known of an entry without a look at its body."""

    number: int
    version: int
    by: str
    at: int
    type: str
    hash: str
    """Of the event's source and id."""
    id: str
    parentid: str | None
    outputs: Sequence[str]
    """Their ids."""
    sizes: Sequence[int]
    """Their lengths in bytes."""
    asked: Sequence[str | None]
    """The type of each output that goes to a service of the workflow; None of others."""
    asks: Sequence[int]
    """The positions of the outputs that await an answer."""


def write_entry(
    mark: Mark,
    *,
    version: int,
    at: int,
    consumed: WireEvent,
    outputs: Sequence[WireEvent],
    asks: Sequence[int],
    notifies: Sequence[int] = (),
    collects: bool,
) -> tuple[JournalEntry, bytes]:
    """Return an entry and its line, with the end of the line.

    Args:
        mark: Its name.
        version: The version of the record that it is stored with.
        at: When, in milliseconds since 1970.
        consumed: The event that the step consumed.
        outputs: The events that it emitted, of the same subject unless they say another.
        asks: The positions of the outputs that await an answer.
        notifies: The positions of those that go to a service which never answers, except by
            failing.
        collects: Whether outputs begin a new collection of answers.

    Raises:
        UnwritableRecordError: An event can never be stored.
    """
    subject = consumed["subject"]
    try:
        received = to_json(trimmed(consumed, subject))
        written = [to_json(trimmed(output, subject)) for output in outputs]
    except ValueError as error:
        raise UnwritableRecordError(f"an event cannot be written as JSON: {error}") from error
    to_services = {*asks, *notifies}
    request = consumed.get("parentid")
    index = _Index(
        mark.number,
        version,
        mark.by,
        at,
        str(consumed["type"]),
        event_hash(str(consumed["source"]), str(consumed["id"])),
        str(consumed["id"]),
        request if isinstance(request, str) else None,
        [str(output["id"]) for output in outputs],
        [*map(len, written)],
        [
            str(output["type"]) if position in to_services else None
            for position, output in enumerate(outputs)
        ],
        asks,
    )
    body = b"%b%b%b%b]}" % (_IN, received, _OUT, b",".join(written))
    step = _step(index, body, subject=str(subject), collects=collects, where="a new entry")
    line = b"%b\t%b\n" % (encode_json(index, what="the index of an entry"), body)
    return JournalEntry(mark, version, step), line


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
    return encode_json(head, what="a base") + b"\n"


def with_base(segment: bytes, base: Mapping[str, Any], *, where: str) -> bytes:
    """Return a segment with a base, in place of any that it had.

    Raises:
        UnreadableRecordError: It is damaged.
    """
    head, _, lines = segment.partition(b"\n")
    return open_segment(_read_head(head, where)[0], base=base) + lines


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
    head, *lines = data.removesuffix(b"\n").split(b"\n")
    after, base = _read_head(head, where)
    written = [line.partition(b"\t") for line in lines]
    entries: list[JournalEntry] = []
    try:
        # All at once: to begin parsing takes longer than an index.
        indexes = from_json(b"[%b]" % b",".join([index for index, _, _ in written]))
        for (_, tab, body), stored in zip(written, indexes, strict=True):
            index = _Index(*stored)
            # Raises for what is not a string, much faster than a look at each.
            request = () if index.parentid is None else (index.parentid,)
            "".join((index.by, index.type, index.hash, index.id, *request, *index.outputs))
            "".join(filter(None, index.asked))
            if not (tab and type(index.number) is type(index.version) is type(index.at) is int):
                raise TypeError("an entry without a body, a number, a version or a time")
            step = _step(index, body, subject=subject, collects=collects, where=where)
            mark = Mark(index.number, index.by)
            entries.append(JournalEntry(mark, index.version, step))
    except (ValueError, TypeError) as error:
        raise _damaged(where, error) from error
    numbers = [entry.mark.number for entry in entries]
    if numbers != list(range(after.number + 1, after.number + 1 + len(numbers))):
        raise _damaged(where, f"entries {numbers[:3]}... after entry {after.number}")
    based = None if base is None else base["last"]
    if based not in (None, after, *(entry.mark for entry in entries)):
        raise _damaged(where, "its base is the state after an entry that it does not hold")
    return Segment(after, base, entries, where)


def read_lines(data: bytes, *, where: str) -> tuple[Mark, dict[str, Any] | None, list[Any]]:
    """Return what a segment says as JSON: the entry before its first, its base, and its entries.

    Raises:
        UnreadableRecordError: It is damaged.
    """
    head, *lines = data.removesuffix(b"\n").split(b"\n")
    after, base = _read_head(head, where)
    entries: list[Any] = []
    try:
        for line in lines:
            written, _, body = line.partition(b"\t")
            index = _Index(*from_json(written))
            to_services = [at for at, kind in enumerate(index.asked) if kind is not None]
            entries.append(
                {
                    "n": index.number,
                    "v": index.version,
                    "by": index.by,
                    "at": index.at,
                    "ask": index.asks,
                    "notify": [at for at in to_services if at not in index.asks],
                    **decode_json(body),
                }
            )
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged(where, error) from error
    return after, base, entries


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
            raise _damaged(
                where, f"it follows entry {segment.after.number}, which is not before it"
            )
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
        "last": last,
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
                }
            )
            state.collection.size = len(encode_json(expected, what="a base"))
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
        state.arrived_known = True
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(where, error) from error


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


def _check_end(done: Mark, last: Mark) -> None:
    if done != last:
        raise UnreadableRecordError(
            f"the stored journal ends with entry {done.number} where the record says {last.number}, "
            "or its beginning is missing"
        )


def _read_head(head: bytes, where: str) -> tuple[Mark, dict[str, Any] | None]:
    try:
        begun = decode_json(head)
        base = begun.get("base")
        if base is not None:
            base["last"] = read_mark(base["last"])
        return read_mark(begun["after"]), base
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(where, error) from error


class _EntryEvent(KeptEvent):
    """An event of a stored entry, which is read when it is looked at.

    Args:
        place: The arguments of `read_event`.
    """

    __slots__ = ("_place",)

    # Not by way of `super`: one is made for each event of a journal that is read.
    def __init__(
        self,
        *,
        id: str,
        type: str,
        asks: bool = False,
        notifies: bool = False,
        hash: str | None = None,  # noqa: A002
        size: int,
        place: tuple[bytes, int, int, str, str],
    ) -> None:
        self.id = id
        self.type = type
        self.asks = asks
        self.notifies = notifies
        self._hash = hash
        self._size = size
        self._place = place

    @override
    def wire(self) -> WireEvent:
        return read_event(*self._place)


def _step(index: _Index, body: bytes, *, subject: str, collects: bool, where: str) -> WorkflowEntry:
    sizes = index.sizes
    begin = len(body) - len(b"]}") - sum(sizes) - max(0, len(sizes) - 1)  # and the commas
    end = begin - len(_OUT)
    consumed = _EntryEvent(
        id=index.id,
        type=index.type,
        hash=index.hash,
        size=end - len(_IN),
        place=(body, len(_IN), end, subject, where),
    )
    outputs: Sequence[KeptEvent] = ()
    if sizes or index.outputs:
        outputs = _outputs(index, body, begin, subject=subject, where=where)
    return WorkflowEntry(
        consumed=consumed,
        request=index.parentid,
        outputs=outputs,
        collects=collects,
        at=index.at,
    )


def _outputs(
    index: _Index, body: bytes, begin: int, *, subject: str, where: str
) -> list[KeptEvent]:
    asks = frozenset(index.asks)
    outputs: list[KeptEvent] = []
    end = begin
    for position, (output, size, asked) in enumerate(
        zip(index.outputs, index.sizes, index.asked, strict=True)
    ):
        end += size
        outputs.append(
            _EntryEvent(
                id=output,
                type=asked or "",
                asks=position in asks,
                notifies=asked is not None and position not in asks,
                size=size,
                place=(body, end - size, end, subject, where),
            )
        )
        end += 1  # the comma
    return outputs


def read_event(body: bytes, begin: int, end: int, subject: str, where: str) -> WireEvent:
    """Return the event that stands in an entry from `begin` to `end`, as on the wire.

    Raises:
        UnreadableRecordError: It is damaged.
    """
    try:
        return whole_event(decode_json(body[begin:end]), subject)
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged(where, error) from error


def trimmed(event: WireEvent, subject: object) -> WireEvent:
    """Return an event as an entry has it: without what is null or the workflow's subject."""
    kept = {name: v for name, v in event.items() if v is not None or name not in _NULLS}
    if kept.get("subject") == subject:
        del kept["subject"]
    return kept


def whole_event(event: WireEvent, subject: str) -> WireEvent:
    """Return an event as on the wire from how an entry has it."""
    return {"subject": subject, **_NULLS, **event}


def _damaged(where: str, why: object) -> UnreadableRecordError:
    return UnreadableRecordError(f"{where} of the stored journal is damaged: {why}")

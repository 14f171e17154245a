"""An entry of a workflow's journal as a line of bytes: its index, a tab, its body, both JSON.

A reader that rebuilds the state parses indexes only; events stay bytes until they are looked at.

An entry is named by its number and by who stored it. A number alone would not do: what was lost, or
forgotten and begun anew, comes to the same numbers.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from pydantic_core import from_json, to_json
from typing_extensions import override

from arvo_event_handler._errors import UnreadableRecordError, UnwritableRecordError

from ._kept_event import KeptEvent, WireEvent, event_hash
from ._record_codec import decode_json, encode_json
from ._state import WorkflowEntry


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
    extra: int = 0
    """How many bytes between the event and the outputs are for people alone; see `_kept_state`."""
    delays: Sequence[Sequence[str]] = ((), ())
    """The ids of requests that leave later, and of earlier ones that never will."""


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
    extra: bytes = b"",
    delayed: Sequence[str] = (),
    dropped: Sequence[str] = (),
) -> tuple[WorkflowEntry, bytes]:
    """Return a step as a state keeps it, and the line of its entry, with the end of the line.

    Args:
        mark: The name of the entry.
        version: The version of the record that it is stored with.
        at: When, in milliseconds since 1970.
        consumed: The event that the step consumed.
        outputs: The events that it emitted, of the same subject unless they say another.
        asks: The positions of the outputs that await an answer.
        notifies: The positions of those that go to a service which never answers, except by
            failing.
        collects: Whether outputs begin a new collection of answers.
        extra: Further members of its JSON, which a comma begins; none by default.
        delayed: The ids of requests that leave later.
        dropped: The ids of earlier such requests that were cancelled.

    Raises:
        UnwritableRecordError: An event can never be stored.
    """
    subject = str(consumed["subject"])
    try:
        received = to_json(trimmed(consumed, subject))
        written = [to_json(trimmed(output, subject)) for output in outputs]
    except ValueError as error:
        raise UnwritableRecordError(f"an event cannot be written as JSON: {error}") from error
    kept = [_new_event(*each, subject) for each in zip(outputs, written, strict=True)]
    asked: list[str | None] = [None] * len(outputs)
    for position in asks:
        kept[position].asks = True
        asked[position] = kept[position].type
    for position in notifies:
        kept[position].notifies = True
        asked[position] = kept[position].type
    hashed = event_hash(str(consumed["source"]), str(consumed["id"]))
    event = _new_event(consumed, received, subject, hashed)
    request = consumed.get("parentid")
    parentid = request if isinstance(request, str) else None
    # A list, which is made and encoded in a third of the time that an `_Index` takes.
    index: list[Any] = [
        *(mark.number, version, mark.by, at, event.type, hashed, event.id, parentid),
        [output.id for output in kept],
        [*map(len, written)],
        asked,
        asks,
    ]
    if delayed or dropped:
        index += (len(extra), [delayed, dropped])
    elif extra:
        index.append(len(extra))
    indexed = encode_json(index, what="the index of an entry")
    line = b"%b\t%b%b%b%b%b]}\n" % (indexed, _IN, received, extra, _OUT, b",".join(written))
    step = WorkflowEntry(
        consumed=event,
        request=parentid,
        outputs=kept,
        collects=collects,
        at=at,
        delayed=delayed,
        dropped=dropped,
    )
    return step, line


def read_line(line: bytes, *, where: str) -> dict[str, Any]:
    """Return an entry as one JSON object, with what its index says.

    Raises:
        UnreadableRecordError: It is damaged.
    """
    written, _, body = line.partition(b"\t")
    try:
        index = _Index(*from_json(written))
        to_services = [at for at, kind in enumerate(index.asked) if kind is not None]
        return {
            "n": index.number,
            "v": index.version,
            "by": index.by,
            "at": index.at,
            "ask": index.asks,
            "notify": [at for at in to_services if at not in index.asks],
            **_said_of_delays(*index.delays),
            **decode_json(body),
        }
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(where, error) from error


def _said_of_delays(delayed: Sequence[str], dropped: Sequence[str]) -> dict[str, Any]:
    return {"delayed": delayed, "dropped": dropped} if delayed or dropped else {}


def read_entry_mark(line: bytes, *, where: str) -> Mark:
    """Return the name of an entry from its line.

    Raises:
        UnreadableRecordError: It is damaged.
    """
    try:
        index = _Index(*from_json(line.partition(b"\t")[0]))
        return read_mark([index.number, index.by])
    except (ValueError, TypeError) as error:
        raise damaged(where, error) from error


def read_entries(
    lines: Iterable[bytes], *, subject: str, collects: bool, where: str
) -> list[JournalEntry]:
    """Read the lines of entries; of each its index, while its events stay as they are.

    Args:
        lines: As of `write_entry`, without their ends.
        subject: The workflow's.
        collects: Whether outputs begin a new collection of answers.
        where: What an error calls the place.

    Raises:
        UnreadableRecordError: One is damaged.
    """
    written = [line.partition(b"\t") for line in lines]
    entries: list[JournalEntry] = []
    try:
        # All at once: to begin parsing takes longer than an index.
        indexes = from_json(b"[%b]" % b",".join([index for index, _, _ in written]))
        for (_, tab, body), index in zip(written, indexes, strict=True):
            # As `_Index` names them, which takes five times as long to make.
            number, version, by, at, kind, hashed, event, parentid, outputs, _, asked, *_ = index
            # Raises for what is not a string, much faster than a look at each.
            "".join((by, kind, hashed, event, "" if parentid is None else parentid, *outputs))
            if outputs:
                "".join(filter(None, asked))
            if not (tab and type(number) is type(version) is type(at) is int):
                raise TypeError("an entry without a body, a number, a version or a time")
            step = _step(index, body, subject=subject, collects=collects, where=where)
            entries.append(JournalEntry(Mark(number, by), version, step))
    except (ValueError, TypeError) as error:
        raise damaged(where, error) from error
    return entries


class _EntryEvent(KeptEvent):
    """An event of a stored entry, which is read when it is looked at.

    Args:
        place: The arguments of `_read_event`.
    """

    __slots__ = ("_place",)

    # Neither by way of `super` nor by keywords: one is made for each event of a journal.
    def __init__(
        self,
        event_id: str,
        kind: str,
        hashed: str | None,
        size: int,
        place: tuple[bytes, int, int, str, str],
        asks: bool = False,
        notifies: bool = False,
    ) -> None:
        self.id = event_id
        self.type = kind
        self.asks = asks
        self.notifies = notifies
        self._hash = hashed
        self._size = size
        self._place = place

    @override
    def wire(self) -> WireEvent:
        return _read_event(*self._place)


def _new_event(
    event: WireEvent, written: bytes, subject: str, hashed: str | None = None
) -> _EntryEvent:
    size = len(written)
    place = (written, 0, size, subject, "a new entry")
    return _EntryEvent(str(event["id"]), str(event["type"]), hashed, size, place)


def _step(
    index: Sequence[Any], body: bytes, *, subject: str, collects: bool, where: str
) -> WorkflowEntry:
    _, _, _, at, kind, hashed, event, parentid, ids, sizes, asked, asks, *extra = index
    begin = len(body) - len(b"]}")
    if sizes:
        begin -= sum(sizes) + len(sizes) - 1  # and the commas
    end = begin - len(_OUT)
    if extra:
        end -= extra[0]
    size = end - len(_IN)
    consumed = _EntryEvent(event, kind, hashed, size, (body, len(_IN), end, subject, where))
    outputs: list[KeptEvent] = []
    if sizes or ids:
        end = begin
        asking = frozenset(asks)
        for position, (output, size, to) in enumerate(zip(ids, sizes, asked, strict=True)):
            begin, end = end, end + size
            place = (body, begin, end, subject, where)
            waits = position in asking
            outputs.append(
                _EntryEvent(
                    output, to or "", None, size, place, waits, to is not None and not waits
                )
            )
            end += 1  # the comma
    step = WorkflowEntry(
        consumed=consumed, request=parentid, outputs=outputs, collects=collects, at=at
    )
    if len(extra) > 1:
        step.delayed, step.dropped = extra[1]
        "".join((*step.delayed, *step.dropped))  # raises for what is not a string
    return step


def _read_event(body: bytes, begin: int, end: int, subject: str, where: str) -> WireEvent:
    try:
        return whole_event(decode_json(body[begin:end]), subject)
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(where, error) from error


def trimmed(event: WireEvent, subject: object) -> WireEvent:
    """Return an event as an entry has it: without what is null or the workflow's subject."""
    kept = dict(event)
    for name in _NULLS:
        if name in kept and kept[name] is None:
            del kept[name]
    if kept.get("subject") == subject:
        del kept["subject"]
    return kept


def whole_event(event: WireEvent, subject: str) -> WireEvent:
    """Return an event as on the wire from how an entry has it."""
    return {"subject": subject, **_NULLS, **event}


def damaged(where: str, why: object) -> UnreadableRecordError:
    """Return the error for a place of the journal that cannot be read."""
    return UnreadableRecordError(f"{where} of the stored journal is damaged: {why}")

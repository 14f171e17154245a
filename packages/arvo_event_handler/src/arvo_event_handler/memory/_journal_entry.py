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
            **decode_json(body),
        }
    except (ValueError, TypeError, RecursionError) as error:
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
        raise damaged(where, error) from error
    return entries


class _EntryEvent(KeptEvent):
    """An event of a stored entry, which is read when it is looked at.

    Args:
        place: The arguments of `_read_event`.
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
        return _read_event(*self._place)


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


def _read_event(body: bytes, begin: int, end: int, subject: str, where: str) -> WireEvent:
    try:
        return whole_event(decode_json(body[begin:end]), subject)
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(where, error) from error


def trimmed(event: WireEvent, subject: object) -> WireEvent:
    """Return an event as an entry has it: without what is null or the workflow's subject."""
    kept = {name: v for name, v in event.items() if v is not None or name not in _NULLS}
    if kept.get("subject") == subject:
        del kept["subject"]
    return kept


def whole_event(event: WireEvent, subject: str) -> WireEvent:
    """Return an event as on the wire from how an entry has it."""
    return {"subject": subject, **_NULLS, **event}


def damaged(where: str, why: object) -> UnreadableRecordError:
    """Return the error for a place of the journal that cannot be read."""
    return UnreadableRecordError(f"{where} of the stored journal is damaged: {why}")

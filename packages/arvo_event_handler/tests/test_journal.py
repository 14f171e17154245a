"""Entries as bytes lead to the state that the entries themselves lead to."""

import copy
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.strategies import DrawFn
from pydantic_core import from_json, to_json

from arvo_event_handler import MachineMemoryError, UnreadableRecordError
from arvo_event_handler.memory._journal import (
    open_segment,
    read_segments,
    replay,
    write_base,
)
from arvo_event_handler.memory._journal_entry import (
    START,
    Mark,
    mark_after,
    write_entry,
)
from arvo_event_handler.memory._kept_event import KeptEvent, WireEvent
from arvo_event_handler.memory._record import write_state
from arvo_event_handler.memory._state import WorkflowEntry, WorkflowState

SUBJECT = "order-7"
WINDOW = 5
ASKED = "com.stock.reserve"


def event(name: str, *, kind: str = ASKED, request: str | None = None, **data: Any) -> WireEvent:
    return {
        "id": name,
        "source": "com.shop",
        "specversion": "1.0",
        "type": kind,
        "subject": SUBJECT,
        "datacontenttype": "application/json",
        "dataschema": None,
        "data": data,
        "time": "2026-11-29T12:00:00.000+00:00",
        "to": kind,
        "accesscontrol": None,
        "redirectto": None,
        "executionunits": None,
        "traceparent": None,
        "tracestate": None,
        "parentid": request,
        "domain": None,
    }


class Journaled:
    """A workflow whose entries are posted to a state, and written as bytes beside it.

    Args:
        collects: Whether it collects answers.
    """

    def __init__(self, *, collects: bool) -> None:
        self.collects = collects
        self.state = self.head()
        self.last = START
        self.chunks: list[tuple[int, bytes]] = []
        self.tail = b""

    def head(self) -> WorkflowState:
        """Return what the record says, without what follows from the entries."""
        return WorkflowState(subject=SUBJECT, init_event_id="e1", parent_subject=None)

    def step(self, consumed: WireEvent, outputs: list[WireEvent], *, owner: str = "0" * 32) -> None:
        """Let one event come."""
        asked = [output["type"] == ASKED for output in outputs]
        mark = mark_after(self.last, owner=owner)
        _, line = write_entry(
            mark,
            version=mark.number,
            at=1,
            consumed=consumed,
            outputs=outputs,
            asks=[position for position, asks in enumerate(asked) if asks],
            collects=self.collects,
        )
        kept = [KeptEvent.of(out, asks=asks) for out, asks in zip(outputs, asked, strict=True)]
        request = consumed["parentid"]
        assert isinstance(request, str | None)
        entry = WorkflowEntry(
            consumed=KeptEvent.of(consumed), request=request, outputs=kept, collects=self.collects
        )
        self.state.post(entry, window=WINDOW)
        self.tail = (self.tail or open_segment(self.last)) + line
        self.last = mark

    def close(self) -> None:
        """Make a chunk of the tail."""
        if self.tail:
            self.chunks.append((len(self.chunks) + 1, self.tail))
            self.tail = b""

    def compact(self) -> None:
        """Make a chunk of the tail with a base, so that nothing before it is needed."""
        if self.tail:
            _, _, lines = self.tail.partition(b"\n")
            first = read_segments([], self.tail, subject=SUBJECT, collects=True)[0].after
            base = write_base(self.state, self.last)
            self.tail = open_segment(first, base=base) + lines
            self.close()
            self.chunks = self.chunks[-1:]

    def reread(self) -> WorkflowState:
        """Return the state that the bytes lead to."""
        state = self.head()
        segments = read_segments(self.chunks, self.tail, subject=SUBJECT, collects=self.collects)
        if not replay(state, segments, last=self.last, window=WINDOW):
            raise UnreadableRecordError("the journal lacks its beginning")
        return state


@st.composite
def journals(draw: DrawFn) -> Journaled:
    journaled = Journaled(collects=draw(st.booleans()))
    requests: list[str] = []
    for number in range(1, draw(st.integers(1, 30)) + 1):
        request = draw(st.none() | st.sampled_from(requests)) if requests else None
        kinds = draw(st.lists(st.sampled_from([ASKED, "com.audit.note"]), max_size=3))
        outputs = [
            event(
                f"o{number}.{position}",
                kind=kind,
                request=f"e{number}",
                text=draw(st.text(max_size=3)),
            )
            for position, kind in enumerate(kinds)
        ]
        consumed = event(f"e{number}", kind="evt.answer", request=request, n=number)
        journaled.step(consumed, outputs, owner=draw(st.sampled_from(["a" * 32, "b" * 32])))
        requests += [str(output["id"]) for output in outputs]
        match draw(st.integers(0, 5)):
            case 0:
                journaled.close()
            case 1:
                journaled.compact()
    return journaled


@given(journals())
@settings(deadline=None)
def test_the_bytes_lead_to_the_state_that_the_entries_lead_to(journaled: Journaled) -> None:
    assert write_state(journaled.reread()) == write_state(journaled.state)


def two_steps(*, collects: bool = True) -> Journaled:
    journaled = Journaled(collects=collects)
    journaled.step(event("e1", kind="evt.start"), [event("o1", request="e1"), event("o2")])
    journaled.close()
    journaled.step(event("e2", kind="evt.answer", request="o1"), [])
    return journaled


def test_members_that_say_nothing_and_the_subject_are_not_stored_twice() -> None:
    [(_, chunk)] = two_steps().chunks
    assert b"null" not in chunk.split(b"\t")[1]
    assert SUBJECT.encode() not in chunk


def test_a_base_keeps_which_outputs_ask() -> None:
    journaled = Journaled(collects=False)
    journaled.step(event("e1"), [event("o1"), event("o2", kind="com.audit.note")])
    journaled.compact()
    owed = journaled.reread().owed
    assert [(output.id, output.asks) for output in owed.all()] == [("o1", True), ("o2", False)]


def test_a_null_that_no_reader_would_put_back_is_stored() -> None:
    journaled = Journaled(collects=False)
    note = {**event("o1"), "tenant": None}
    journaled.step(event("e1"), [note])
    [owed] = journaled.reread().owed.all()
    assert owed.wire() == note


def test_an_output_of_another_subject_keeps_it() -> None:
    journaled = Journaled(collects=False)
    child = {**event("o1", request="e1"), "subject": "child-3"}
    journaled.step(event("e1", kind="evt.start"), [child])
    latest = journaled.reread().latest
    assert latest is not None
    assert [output.wire() for output in latest.outputs] == [child]


def test_reading_a_journal_looks_at_no_event() -> None:
    journaled = two_steps()
    # Of the same length, so that nothing else changes.
    damaged = [(1, journaled.chunks[0][1].replace(b'"specversion"', b'"specversion '))]
    segments = read_segments(damaged, journaled.tail, subject=SUBJECT, collects=True)
    state = journaled.head()
    replay(state, segments, last=journaled.last, window=WINDOW)
    assert state.collection is not None
    answers = {request: len(collected) for request, collected in state.collection.items()}
    assert answers == {"o1": 1, "o2": 0}
    [owed] = state.owed.all()
    with pytest.raises(MachineMemoryError, match="chunk 1 of the stored journal is damaged"):
        owed.wire()


def test_bytes_of_owed_outputs_are_counted_without_looking_at_them() -> None:
    journaled = Journaled(collects=False)
    for name in ("e1", "e2", "e3"):
        journaled.step(event(name), [event(f"{name}.out", text="x" * 30_000)])
        journaled.tail = journaled.tail.replace(b'"specversion"', b'"specversion ')
    state = journaled.head()
    segments = read_segments([], journaled.tail, subject=SUBJECT, collects=False)
    replay(state, segments, last=journaled.last, window=WINDOW)
    assert [output.id for output in state.owed.all()] == ["e2.out", "e3.out"]


@pytest.mark.parametrize("collects", [True, False])
def test_a_base_keeps_the_sizes_that_its_events_had(collects: bool) -> None:
    journaled = two_steps(collects=collects)
    sizes = [output.size for output in journaled.reread().owed.all()]
    journaled.compact()
    assert [output.size for output in journaled.reread().owed.all()] == sizes != []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda j: j.chunks.clear(), "lacks its beginning"),
        (lambda j: setattr(j, "tail", b""), "ends with entry 1 where the record says 2"),
        (lambda j: setattr(j, "tail", b"{"), "the tail of the stored journal is damaged"),
        (lambda j: setattr(j, "tail", j.tail.replace(b"\t", b" ")), "the tail of the stored"),
        (
            lambda j: j.chunks.append((2, j.chunks[0][1])),
            "chunk 2 of the stored journal is damaged: it follows entry 0",
        ),
        (lambda j: setattr(j, "last", Mark(2, "somebody")), "where the record says 2"),
        (
            lambda j: setattr(j, "tail", j.tail.replace(b'"after":[1,"000', b'"after":[1,"fff')),
            "the tail of the stored journal is damaged: it follows entry 1",
        ),
        (
            lambda j: setattr(j, "tail", j.tail + j.tail.split(b"\n")[1] + b"\n"),
            r"the tail of the stored journal is damaged: entries \[2, 2\]",
        ),
        (
            lambda j: setattr(j, "tail", j.tail.split(b"\t")[0] + b"\n"),
            "the tail of the stored journal is damaged: an entry without a body",
        ),
    ],
    ids=[
        "no chunk",
        "no tail",
        "no head",
        "no tab",
        "a chunk twice",
        "stored by another",
        "after another",
        "an entry twice",
        "no body",
    ],
)
def test_a_damaged_journal_is_refused_and_names_the_place(damage: Any, message: str) -> None:
    journaled = two_steps()
    damage(journaled)
    with pytest.raises(MachineMemoryError, match=message):
        journaled.reread()


def test_a_journal_without_entries_leads_to_the_record_alone() -> None:
    """As that of a workflow whose init failed."""
    journaled = Journaled(collects=True)
    assert write_state(journaled.reread()) == write_state(journaled.head())


def test_a_base_that_is_damaged_names_its_chunk() -> None:
    journaled = two_steps()
    journaled.compact()
    [(number, chunk)] = journaled.chunks
    journaled.chunks = [(number, chunk.replace(b'"seen":[', b'"seen":[[],'))]
    with pytest.raises(MachineMemoryError, match="chunk 2 of the stored journal is damaged"):
        journaled.reread()


def test_a_base_after_an_entry_of_somebody_else_is_refused() -> None:
    journaled = two_steps()
    journaled.compact()
    [(number, chunk)] = journaled.chunks
    journaled.chunks = [(number, chunk.replace(b'"last":[2,"000', b'"last":[2,"fff'))]
    with pytest.raises(MachineMemoryError, match=r"chunk 2 .* an entry that it does not hold"):
        journaled.reread()


ODD: Final[list[Any]] = [None, True, 7, 1.5, "x", [], {}, [[]], [7], [None], {"a": 1}]


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything inside a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for name, below in inside:
        yield (*above, name)
        if isinstance(below, dict | list):
            yield from places(below, (*above, name))


def odd_lines(line: bytes) -> Iterator[bytes]:
    """Yield a line with each of its values replaced by each odd one."""
    written, tab, body = line.partition(b"\t")
    content = from_json(written)
    for place in places(content):
        for odd in ODD:
            damaged = inner = copy.deepcopy(content)
            for name in place[:-1]:
                inner = inner[name]
            inner[place[-1]] = odd
            yield to_json(damaged) + tab + body


@pytest.mark.parametrize("line", [0, 1, 2])
def test_no_damage_of_one_value_is_anything_but_an_error_of_the_memory(line: int) -> None:
    journaled = two_steps()
    journaled.step(event("e3", kind="evt.answer", request="o2"), [event("o3"), event("o4")])
    journaled.compact()
    [(number, chunk)] = journaled.chunks
    lines = chunk.split(b"\n")
    for damaged in odd_lines(lines[line]):
        journaled.chunks = [(number, b"\n".join([*lines[:line], damaged, *lines[line + 1 :]]))]
        with suppress(MachineMemoryError):
            state = journaled.reread()
            write_state(state)
            state.post(
                WorkflowEntry(consumed=KeptEvent.of(event("e4")), request="o3", collects=True),
                window=1,
            )


def test_an_entry_is_named_by_number_and_owner() -> None:
    assert mark_after(START, owner="0123456789abcdef") == Mark(1, "0123456789ab")
    assert mark_after(Mark(1, "0123456789ab"), owner="f" * 32) == Mark(2, "f" * 12)

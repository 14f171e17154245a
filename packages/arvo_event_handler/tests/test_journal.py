"""Entries as bytes lead to the state that the entries themselves lead to."""

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.strategies import DrawFn

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory._journal import (
    START,
    Mark,
    mark_after,
    open_segment,
    read_segments,
    replay,
    write_base,
    write_entry,
)
from arvo_event_handler.memory._record import write_state
from arvo_event_handler.memory._state import KeptEvent, WireEvent, WorkflowEntry, WorkflowState

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
        line = write_entry(
            mark, version=mark.number, at=1, consumed=consumed, outputs=outputs, asked=asked
        )
        kept = [KeptEvent.of(out, asks=asks) for out, asks in zip(outputs, asked, strict=True)]
        request = consumed["parentid"]
        assert isinstance(request, str | None)
        entry = WorkflowEntry(
            consumed=KeptEvent.of(consumed), request=request, outputs=kept, collects=self.collects
        )
        self.state.post(entry, window=WINDOW)
        self.tail = (self.tail or open_segment(self.last)) + line + b"\n"
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
        replay(state, segments, last=self.last, window=WINDOW)
        return state


@st.composite
def journals(draw: DrawFn) -> Journaled:
    journaled = Journaled(collects=draw(st.booleans()))
    requests: list[str] = []
    for number in range(1, draw(st.integers(1, 60)) + 1):
        request = draw(st.none() | st.sampled_from(requests)) if requests else None
        kinds = draw(st.lists(st.sampled_from([ASKED, "com.audit.note"]), max_size=3))
        outputs = [
            event(f"o{number}.{position}", kind=kind, request=f"e{number}", text=draw(st.text()))
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


def two_steps() -> Journaled:
    journaled = Journaled(collects=True)
    journaled.step(event("e1", kind="evt.start"), [event("o1", request="e1"), event("o2")])
    journaled.close()
    journaled.step(event("e2", kind="evt.answer", request="o1"), [])
    return journaled


def test_members_that_say_nothing_and_the_subject_are_not_stored_twice() -> None:
    [(_, chunk)] = two_steps().chunks
    assert b"null" not in chunk.split(b"\t")[1]
    assert SUBJECT.encode() not in chunk


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
    assert state.answers is not None
    assert [list(map(str, state.answers)), len(state.answers["o1"])] == [["o1", "o2"], 1]
    [owed] = state.owed.all()
    with pytest.raises(MachineMemoryError, match="chunk 1 of the stored journal is damaged"):
        owed.wire()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda j: j.chunks.clear(), "its begin is missing"),
        (lambda j: setattr(j, "tail", b""), "ends with entry 1 where the record says 2"),
        (lambda j: setattr(j, "tail", b"{"), "the tail of the stored journal is damaged"),
        (lambda j: setattr(j, "tail", j.tail.replace(b"\t", b" ")), "the tail of the stored"),
        (
            lambda j: j.chunks.append((2, j.chunks[0][1])),
            "chunk 2 of the stored journal is damaged: it follows entry 0",
        ),
        (lambda j: setattr(j, "last", Mark(2, "somebody")), "where the record says 2"),
    ],
    ids=["no chunk", "no tail", "no head", "no tab", "a chunk twice", "stored by another"],
)
def test_a_damaged_journal_is_refused_and_names_the_place(damage: Any, message: str) -> None:
    journaled = two_steps()
    damage(journaled)
    with pytest.raises(MachineMemoryError, match=message):
        journaled.reread()


def test_an_entry_is_named_by_number_and_owner() -> None:
    assert mark_after(START, owner="0123456789abcdef") == Mark(1, "0123456789ab")
    assert mark_after(Mark(1, "0123456789ab"), owner="f" * 32) == Mark(2, "f" * 12)

"""What follows from a workflow's steps, whatever it is stored in."""

from copy import deepcopy
from typing import Any

import pytest

from arvo_event_handler.memory import Record
from arvo_event_handler.memory._kept_event import KeptEvent, WireEvent
from arvo_event_handler.memory._owed_outputs import OWED_BYTES, OwedOutputs
from arvo_event_handler.memory._record import read_state, write_state
from arvo_event_handler.memory._seen_events import SEEN_LIMIT, SeenEvents
from arvo_event_handler.memory._state import WorkflowEntry, WorkflowState


def kept(name: str, *, asks: bool = False, **members: Any) -> KeptEvent:
    wire: WireEvent = {"id": name, "source": "com.shop", "type": "com.stock.reserve", **members}
    return KeptEvent.of(wire, asks=asks)


def entry(
    consumed: str, *outputs: KeptEvent, request: str | None = None, collects: bool = True
) -> WorkflowEntry:
    return WorkflowEntry(
        consumed=kept(consumed), request=request, outputs=outputs, collects=collects
    )


def started(*outputs: KeptEvent, collects: bool = True) -> WorkflowState:
    state = WorkflowState(subject="s", init_event_id="e1", parent_subject=None)
    state.post(entry("e1", *outputs, collects=collects), window=64)
    return state


def owed(state: WorkflowState) -> list[str]:
    return [output.id for output in state.owed.all()]


class TestSeenEvents:
    def test_the_init_and_the_latest_are_known_and_no_others(self) -> None:
        seen = SeenEvents()
        for number in range(SEEN_LIMIT + 2):
            seen.add(f"h{number}")
        assert len(list(seen)) == SEEN_LIMIT
        assert [f"h{number}" in seen for number in range(4)] == [True, False, False, True]
        assert seen.init == "h0"

    def test_a_known_one_keeps_its_place(self) -> None:
        seen = SeenEvents(["a", "b"])
        seen.add("a")
        assert list(seen) == ["a", "b"]


class TestOwedOutputs:
    def test_an_answer_answers_all_outputs_of_its_id(self) -> None:
        """An id may be used again once its request is no longer awaited."""
        again = kept("again", asks=True)
        state = started(again)
        state.post(entry("e2", kept("other", asks=True)), window=64)
        state.post(entry("e3", again), window=64)
        assert owed(state) == ["again", "other", "again"]
        state.post(entry("e4", request="again"), window=64)
        assert owed(state) == ["other"]

    @pytest.mark.parametrize(
        ("more", "names"), [(0, ["o1", "o2"]), (1, ["o2"])], ids=["64 KiB", "a byte more"]
    )
    def test_the_oldest_beyond_64_kib_are_dropped(self, more: int, names: list[str]) -> None:
        outputs = OwedOutputs()
        for number, size in [(1, OWED_BYTES - 100), (2, 100 + more)]:
            wire: WireEvent = {"id": f"o{number}"}
            outputs.add(f"h{number}", [KeptEvent.of(wire, size=size)])
        assert outputs.fit(64) == bool(more)
        assert [output.id for output in outputs.all()] == names

    def test_the_newest_step_is_kept_whatever_the_window(self) -> None:
        outputs = OwedOutputs()
        outputs.add("h1", [kept("o1")])
        outputs.add("h2", [kept("o2"), kept("o3")])
        assert outputs.fit(1)
        assert [output.id for output in outputs.all()] == ["o2", "o3"]
        assert not outputs.fit(1)


def test_a_step_leaves_the_record_that_was_read_as_it_was() -> None:
    """The memory compares it, and a step that cannot be stored is read again from it."""
    record = write_state(started(kept("o1", asks=True)))
    before = deepcopy(record)
    state = read_state(record, "order-7")
    state.post(entry("e2", kept("o2"), request="o1"), window=64)
    state.members["tag"] = "new"
    assert write_state(state) != before
    assert record == before


def test_a_machine_keeps_as_many_steps_as_the_window_although_they_ask() -> None:
    """Its requests make no collection, so that nothing else would end their number."""
    state = started(kept("o1", asks=True), collects=False)
    assert not state.post(entry("e2", kept("o2", asks=True), collects=False), window=2)
    assert state.post(entry("e3", kept("o3", asks=True), collects=False), window=2)
    assert owed(state) == ["o2", "o3"]


def test_a_machine_keeps_a_request_whatever_comes_between() -> None:
    state = started(kept("asks", asks=True), kept("notifies"), collects=False)
    for number in range(40):
        state.post(entry(f"n{number}", collects=False), window=64)
    assert owed(state) == ["asks"]


def test_members_of_a_record_without_events_stay() -> None:
    record: Record = {
        "executionStatus": "normal",
        "status": "active",
        "initEventId": "e1",
        "parentSubject": None,
        "subject": "s",
        "state$$": {"n": 1},
        "tag": "x",
    }
    written = write_state(read_state(record, "s"))
    assert {name: written[name] for name in record} == record
    assert "events" not in written

"""What follows from a workflow's steps, whatever it is stored in."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from arvo_event_handler.memory import Record, _state
from arvo_event_handler.memory._collection import Collection
from arvo_event_handler.memory._kept_event import KeptEvent, WireEvent
from arvo_event_handler.memory._open_requests import OpenRequests
from arvo_event_handler.memory._owed_outputs import OWED_BYTES, OwedOutputs
from arvo_event_handler.memory._record import apply_head, read_state, write_head, write_state
from arvo_event_handler.memory._seen_events import SEEN_LIMIT, SeenEvents
from arvo_event_handler.memory._state import RetriedStep, WorkflowEntry, WorkflowState


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


class TestOpenRequests:
    """Of a type that only fails the latest 64 are kept."""

    def notification(self, name: str) -> KeptEvent:
        wire: WireEvent = {"id": name, "source": "com.shop", "type": "com.audit.note"}
        return KeptEvent.of(wire, notifies=True)

    def test_one_that_was_answered_is_none_of_them(self) -> None:
        requests = OpenRequests()
        requests.add([self.notification(f"n{number}") for number in range(64)])
        requests.answer("n0")
        requests.add([self.notification("n64")])
        assert list(requests) == [f"n{number}" for number in range(1, 65)]
        requests.add([self.notification("n65")])
        assert list(requests) == [f"n{number}" for number in range(2, 66)]

    def test_an_id_used_again_counts_as_what_it_is_now(self) -> None:
        requests = OpenRequests()
        requests.add([self.notification("n0"), self.notification("n1")])
        requests.add([kept("n0", asks=True), self.notification("n1")])
        requests.add([self.notification(f"n{number}") for number in range(2, 66)])
        assert list(requests) == ["n0", *(f"n{number}" for number in range(2, 66))]


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
    state = started(kept("o1", asks=True, type="first"), collects=False)
    assert not state.post(entry("e2", kept("o2", asks=True), collects=False), window=2)
    assert state.post(entry("e3", kept("o3", asks=True), collects=False), window=2)
    assert owed(state) == ["o2", "o3"]
    assert list(state.owed.asked) == ["com.stock.reserve"]


def test_a_state_takes_all_that_a_record_says_and_keeps_its_entries() -> None:
    """So that nothing that follows from entries is built again."""
    state = started(kept("o1", asks=True))
    entries = [state.collection, state.latest, state.seen, state.owed]
    said = WorkflowState(
        subject="s", init_event_id="e7", parent_subject="p", members={"value": "paid"}
    )
    said.retried = RetriedStep(attempt=2, event="h1")
    said.fail({"name": "E"}, consumed=kept("e8"), outputs=[kept("o8")])
    apply_head(state, write_head(said))
    assert write_head(state) == write_head(said)
    said.reopen()
    said.status, said.members = "done", {}
    apply_head(state, write_head(said))
    assert write_head(state) == write_head(said)
    assert [state.collection, state.latest, state.seen, state.owed] == entries


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


ANSWERS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("xyz")), max_size=12)


@given(ANSWERS, st.integers(0, 6), st.sampled_from("xyz"))
def test_answers_are_grouped_in_the_order_of_their_requests(
    answers: list[tuple[int, str]], request_now: int, type_now: str
) -> None:
    """However they come; the last one is not taken in yet, and may answer no request."""
    collection = Collection({f"r{number}": () for number in range(6)})
    came: list[tuple[int, str, str]] = []
    for number, (request, kind) in enumerate(answers):
        wire: WireEvent = {"id": f"a{number}", "source": "com.stock", "type": kind}
        collection.add(f"r{request}", KeptEvent.of(wire))
        came.append((request, kind, f"a{number}"))
    grouped = collection.grouped(f"r{request_now}", type_now, "now")
    if request_now < 6:
        came.append((request_now, type_now, "now"))
    in_order = sorted(came, key=lambda each: each[0])
    expected: dict[str, list[str]] = {kind: [] for _, kind, _ in sorted(came)}
    for _, kind, name in in_order:
        expected[kind].append(name)
    names = {
        kind: [each if isinstance(each, str) else each.id for each in events]
        for kind, events in grouped.items()
    }
    assert list(names.items()) == list(expected.items())
    assert list(collection.unanswered) == [
        f"r{number}" for number in range(6) if all(number != each for each, _ in answers)
    ]


STEPS = st.lists(
    st.tuples(
        st.none() | st.integers(0, 9),
        st.just([]) | st.just([]) | st.lists(st.booleans(), max_size=3),
    ),
    max_size=14,
)


@pytest.mark.parametrize("collects", [True, False])
@given(steps=STEPS)
@example(steps=[(None, [True]), *[(None, [])] * 4, (None, [True])])
def test_of_early_steps_only_what_is_awaited_is_owed(
    collects: bool, steps: list[tuple[int | None, list[bool]]]
) -> None:
    state = WorkflowState(subject="s", init_event_id="e0", parent_subject=None)
    owes: dict[str, tuple[int, bool, bool]] = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_state, "ARRIVED_AFTER", 3)
        for number, (answered, asks) in enumerate(steps):
            request = None if answered is None else [*owes, "none"][answered % (len(owes) + 1)]
            outputs = [kept(f"o{number}.{at}", asks=each) for at, each in enumerate(asks)]
            state.post(entry(f"e{number}", *outputs, request=request, collects=collects), window=64)
            if request is not None:
                owes.pop(request, None)
            if collects and outputs:
                owes = {name: (came, each, False) for name, (came, each, _) in owes.items()}
            owes |= {output.id: (number, output.asks, True) for output in outputs}
            # Of the step itself and the three before it, nothing need have arrived.
            owes = {
                name: (came, each, current)
                for name, (came, each, current) in owes.items()
                if came > number - 3 or (each and current)
            }
            assert owed(state) == list(owes)
            asked = [output for output in state.owed.all() if output.asks]
            assert set(state.owed.asked) == {output.type for output in asked}
            assert state.owed.size == sum(output.size for output in state.owed.all())

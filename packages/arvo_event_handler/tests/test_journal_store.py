"""What is remembered beside a journal; the law that it must not show is in `journal_law`."""

import asyncio
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from hypothesis import given
from typing_extensions import override

from arvo_event_handler import ExecutionViolation, SimpleMachineMemory, Start, Step
from arvo_event_handler._workflow._warm_states import WarmState, WarmStates
from arvo_event_handler.memory import MachineLease
from arvo_event_handler.memory._journal_entry import START
from arvo_event_handler.memory._state import WorkflowState
from arvo_time.testing import FakeClock
from journal_law import ENDS, PLAYS, Play, check_play, flow, reserved, resumable, start

from .intercepted_memory import InterceptedLeasedMemory
from .leased_memory import LeasedMemory


@given(play=PLAYS)
def test_journals_of_the_reference_keep_the_law(play: Play) -> None:
    clock = FakeClock()
    memory = LeasedMemory(clock=clock, chunk_bytes=play.chunk_bytes)
    asyncio.run(check_play(play, nullcontext(memory), clock=clock))


async def test_a_state_of_an_earlier_life_is_not_taken_for_this_one() -> None:
    """Although the workflow was begun anew under its id and has come as far."""
    memory = LeasedMemory(clock=FakeClock())
    remembers, other = resumable(memory), resumable(memory)
    first = start("tea")
    [asked, _] = await remembers.execute(first)
    await remembers.execute(reserved(asked, price=50, id="of the earlier life"))
    await memory.cleanup(first.subject)
    await other.execute(first)
    await other.execute(reserved(asked, price=60, id="of this life"))
    [done] = await remembers.execute(reserved(asked, price=ENDS))
    assert done.data == {"total": 60 + ENDS}


class Watched(LeasedMemory):
    """Notes above which chunk each lease was asked for."""

    def __init__(self) -> None:
        super().__init__(clock=FakeClock())
        self.asked_above: list[int] = []

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        self.asked_above.append(after)
        return await super().acquire(machine_id, after=after)


@pytest.mark.parametrize("event", ["seen", "refused", "a violation", "cancelled", "owed"])
async def test_an_event_that_changes_nothing_forgets_nothing(event: str) -> None:
    async def fickle(call: Any) -> Step[dict[str, Any]]:
        if isinstance(call, Start) or call.data.price == 1:
            return await flow(call)
        if event == "cancelled":
            raise asyncio.CancelledError
        raise ExecutionViolation("not now")

    memory = Watched()
    handler = resumable(memory, fickle, answers="awaited")
    first = start("a", "b")
    asked, other, _ = await handler.execute(first)
    disturbing = {"seen": first, "refused": reserved(first)}.get(event, reserved(asked, price=2))
    with suppress(ExecutionViolation, asyncio.CancelledError):
        if event == "owed":
            await handler.owed(first.subject)
        else:
            await handler.execute(disturbing)
    await handler.execute(reserved(other, price=1))
    await handler.execute(reserved(asked, price=1))
    assert memory.asked_above == [0, 1, 1, 2]


@pytest.mark.parametrize("chunk_bytes", [0, 100_000])
async def test_workers_in_turn_read_only_what_came_since(chunk_bytes: int) -> None:
    memory = InterceptedLeasedMemory(LeasedMemory(clock=FakeClock(), chunk_bytes=chunk_bytes))
    workers = [resumable(memory), resumable(memory)]
    first = start("a", "b", "c", "d")
    *requests, _ = await workers[0].execute(first)
    for number, request in enumerate(requests):
        await workers[number % 2].execute(reserved(request, price=30))
    assert memory.calls == ["acquire", "commit"] * 5


async def test_a_record_that_stands_alone_is_not_remembered_before_a_step() -> None:
    """Its entries have no name that would tell it from another one that is put in its place."""
    memory = LeasedMemory(clock=FakeClock())
    first = start("tea", "milk")
    remembers = resumable(memory)
    for price in (50, 60):
        plain = resumable(other := SimpleMachineMemory())
        [asked, last, _] = await plain.execute(first)
        await plain.execute(reserved(asked, price=price, id="the same"))
        record = await other.read(first.subject)
        assert record is not None
        await memory.write(first.subject, record, await memory.read(first.subject))
        if price == 50:
            await remembers.execute(first)
    await resumable(memory).execute(reserved(last, price=70))
    [done] = await remembers.execute(reserved(last, price=ENDS))
    assert done.data == {"total": 60 + 70 + ENDS}


class TestWhatIsRemembered:
    async def test_it_is_what_follows_from_entries_only(self) -> None:
        """A context is read with each record, may be large, and is not counted."""
        handler = resumable(LeasedMemory(clock=FakeClock()))
        first = start("tea")
        await handler.execute(first)
        warm = handler._execution._store._warm.take(first.subject)  # type: ignore[attr-defined]
        assert warm.last.number == 1
        assert (warm.state.members, warm.state.failure) == ({}, None)

    def state(self, size: int) -> WarmState:
        state = WorkflowState(subject="s", init_event_id="e1", parent_subject=None)
        return WarmState(state=state, last=START, last_chunk=1, closed=0, size=size)

    def test_the_least_recently_used_is_dropped(self) -> None:
        states = WarmStates(100)
        for name in ("a", "b"):
            states.put(name, self.state(40))
        taken = states.take("a")
        assert taken is not None
        states.put("a", taken)
        states.put("c", self.state(40))
        assert [states.last_chunk(name) for name in ("a", "b", "c")] == [1, 0, 1]

    def test_one_that_is_too_large_drops_no_other(self) -> None:
        states = WarmStates(100)
        states.put("a", self.state(40))
        states.put("b", self.state(101))
        assert [states.last_chunk(name) for name in ("a", "b")] == [1, 0]

    def test_what_is_taken_counts_no_longer(self) -> None:
        states = WarmStates(100)
        states.put("a", self.state(100))
        states.take("a")
        states.put("b", self.state(100))
        assert states.last_chunk("b") == 1
        assert states.take("a") is None

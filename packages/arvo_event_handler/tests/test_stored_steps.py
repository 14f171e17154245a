"""Steps as a handler stores them: what history adds to entries, and what it must not change."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    Emit,
    ExecutionPolicy,
    Start,
    Step,
    TransactionViolation,
    UnreadableRecordError,
    UnwritableRecordError,
)
from arvo_event_handler._workflow import _journal_store
from arvo_event_handler.memory import (
    MachineLease,
    RecordWrite,
    check_history,
    read_step_times,
    to_typescript,
)
from arvo_time.testing import FakeClock

from .historic_memory import HistoricMemory
from .intercepted_memory import InterceptedHistoricMemory
from .order_machines import machine, orchestrator
from .shop import (
    CHARGED,
    RESERVE,
    AnyCall,
    Ordered,
    Reserve,
    charged,
    order,
    reserved,
    start,
)

WEEK = timedelta(days=7)


def kept(memory: HistoricMemory, **options: Any) -> ExecutionPolicy:
    return ExecutionPolicy(clock=memory._clock, **options)


async def asks_again(call: AnyCall) -> Step[dict[str, Any]]:
    """Ask for one item after the other; the last one costs 99."""
    asked = Emit(RESERVE, Reserve(item="tea"))
    if isinstance(call, Start):
        return Step(context={"prices": []}, services=[asked])
    price: int = getattr(call.data, "price", 0)
    prices = [*call.context["prices"], price]
    if price == 99:
        return Step(context={"prices": prices}, output=Complete(Ordered(total=sum(prices))))
    return Step(context={"prices": prices}, services=[asked])


def asking(memory: HistoricMemory, **options: Any) -> ArvoResumable:
    return order(asks_again, memory=memory, policy=kept(memory, **options))


async def run(handler: Any, first: ArvoEvent, *prices: int) -> None:
    (request,) = await handler.execute(first)
    for number, price in enumerate(prices):
        made = reserved(request, price=price).to_dict()
        event = ArvoEvent.from_dict({**made, "id": f"answer-{number}"})
        (request,) = await handler.execute(event)


async def test_without_history_entries_are_as_ever() -> None:
    memory = HistoricMemory(clock=FakeClock(), chunk_bytes=10_000)
    await run(asking(memory), start(), 1)
    tail = memory.writes[-1].tail
    assert b'"took"' not in tail
    assert [line.partition(b"\t")[0].count(b"[") for line in tail.split(b"\n")[1:-1]] == [5, 5]
    kept_memory = HistoricMemory(clock=FakeClock(), chunk_bytes=10_000, history=WEEK)
    await run(asking(kept_memory), start(), 1)
    assert b'"took":0,"state":{"context":{"prices":[1]}},"out":[' in kept_memory.writes[-1].tail


@pytest.mark.parametrize("chunk_bytes", [0, 10_000])
@pytest.mark.parametrize("prices", [(), (1, 2), (1, 2, 99)])
async def test_a_record_with_a_history_is_the_same_in_the_typescript_shape(
    chunk_bytes: int, prices: tuple[int, ...]
) -> None:
    first = start()
    shown = []
    for history in [None, WEEK]:
        memory = HistoricMemory(clock=FakeClock(), chunk_bytes=chunk_bytes, history=history)
        await run(asking(memory), first, *prices)
        record = await memory.read(first.subject)
        assert record is not None
        shown.append(to_typescript(record, subject=first.subject, answering={RESERVE}))
        # And once more after it was replaced by what was read.
        await memory.write(first.subject, record, record)
        assert await memory.read(first.subject) == record
        shown.append(to_typescript(record, subject=first.subject, answering={RESERVE}))
    assert without_times(shown[0]) == without_times(shown[2]) == without_times(shown[3])
    assert shown[0] == shown[1]


def without_times(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: without_times(each) for name, each in content.items() if name != "time"}
    return [without_times(each) for each in content] if isinstance(content, list) else content


async def test_an_imported_record_shows_its_latest_step() -> None:
    first, memory = start(), HistoricMemory(clock=FakeClock(), history=WEEK)
    await run(asking(memory), first, 1, 2)
    *_, latest = await memory.steps(first.subject)
    record = await memory.read(first.subject)
    assert record is not None
    imported = HistoricMemory(clock=FakeClock(), history=WEEK)
    shape = to_typescript(record, subject=first.subject, answering={RESERVE})
    await imported.write(first.subject, shape, None)
    (step,) = await imported.steps(first.subject)
    assert (step.number, step.version, step.at, step.took) == (1, 1, None, None)
    assert (step.consumed, step.produced) == (latest.consumed, latest.produced)
    assert (step.context, step.has_state) == (latest.context, True)
    assert await imported.times([first.subject]) == {first.subject: []}


async def test_a_machine_shows_its_value_and_its_context() -> None:
    clock = FakeClock()
    memory = HistoricMemory(clock=clock, history=WEEK)
    handler = orchestrator(machine(), memory=memory, policy=kept(memory))
    first = start()
    (request,) = await handler.execute(first)
    (request,) = await handler.execute(reserved(request, price=7))
    await handler.execute(charged(request))
    steps = await memory.steps(first.subject)
    assert [step.state for step in steps] == ["reserving", "charging", "done"]
    assert [step.context["total"] for step in steps] == [0, 7, 7]  # type: ignore[index,call-overload]
    assert steps[-1].consumed["type"] == CHARGED


class TakesShortChunks(HistoricMemory):
    """Can store no chunk of 3,000 bytes or more."""

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        if write.chunk is not None and len(write.chunk) >= 3000:
            raise UnwritableRecordError("the chunk is too large")
        await super().commit(lease, write)


async def test_a_history_that_cannot_be_stored_does_not_fail_the_workflow() -> None:
    memory = TakesShortChunks(clock=FakeClock(), chunk_bytes=10_000, history=WEEK)
    handler, first = asking(memory), start()
    (request,) = await handler.execute(first)
    large = reserved(request, price=99, accesscontrol="x" * 4000)
    (done,) = await handler.execute(large)
    assert done.data["total"] == 99
    (stored,) = await memory.steps(first.subject)
    assert stored.number == 1
    assert await handler.execute(large) == [done]


async def test_a_finished_record_stays_for_the_longer_of_both() -> None:
    for history, finished, expected in [
        (WEEK, timedelta(hours=1), WEEK),
        (WEEK, timedelta(days=30), timedelta(days=30)),
        (WEEK, None, None),
        (None, timedelta(hours=1), timedelta(hours=1)),
    ]:
        memory = HistoricMemory(clock=FakeClock(), history=history)
        await run(asking(memory, finished_expiry=finished), start(), 99)
        assert memory.expiries == [None, expected]


ANSWERS = st.lists(
    st.tuples(
        st.sampled_from(["answer", "answer", "again", "unsaid", "unstored"]),
        st.integers(0, 1),
        st.integers(1, 30) | st.sampled_from([1, 99]),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(
    answers=ANSWERS, warm=st.sampled_from([0, 2**26]), chunk_bytes=st.sampled_from([0, 700, 4096])
)
def test_every_step_that_was_committed_is_shown_and_no_other(
    answers: Sequence[tuple[str, int, int]], warm: int, chunk_bytes: int
) -> None:
    """By two workers in turn, with commits that fail and replies that are lost, and many bases."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_journal_store, "_GARBAGE", 1000)
        asyncio.run(play(answers, warm=warm, chunk_bytes=chunk_bytes))


async def play(answers: Sequence[tuple[str, int, int]], *, warm: int, chunk_bytes: int) -> None:
    memory = HistoricMemory(clock=FakeClock(), chunk_bytes=chunk_bytes, history=WEEK)
    trouble: list[str] = []

    async def fails(moment: str, call: str) -> None:
        if call == "commit" and trouble == [moment]:
            trouble.clear()
            raise ConnectionError("gone")

    disturbed = InterceptedHistoricMemory(
        memory,
        before=lambda call, _: fails("unstored", call),
        after=lambda call, _: fails("unsaid", call),
    )
    workers = [
        order(asks_again, memory=disturbed, policy=kept(memory, warm_bytes=each))
        for each in (warm, 2**26)
    ]
    event = first = start()
    (request,) = await workers[0].execute(first)
    committed = [first.id]
    for number, (what, worker, price) in enumerate(answers):
        if what != "again":
            made = reserved(request, price=price).to_dict()
            event = ArvoEvent.from_dict({**made, "id": f"answer-{number}"})
        trouble[:] = [what]
        with suppress(TransactionViolation):
            asked = await workers[worker].execute(event)
            request = asked[0] if asked else request
        if what == "unsaid" and not trouble:
            (request,) = await workers[worker].execute(event)  # it was stored, and is owed
        if what != "unstored" and event.id not in committed:
            committed.append(event.id)
        steps = await memory.steps(first.subject, limit=1000)
        assert [step.consumed["id"] for step in steps] == committed
        if request.type != RESERVE:
            break  # it has completed
    steps = await memory.steps(first.subject, limit=1000)
    assert [step.number for step in steps] == [*range(1, len(committed) + 1)]
    assert [step.version for step in steps] == [step.number for step in steps]
    contexts: list[Any] = [step.context for step in steps]
    prices = [context["prices"] for context in contexts]
    assert [len(each) for each in prices] == [*range(len(committed))]
    assert all(other[:-1] == one for one, other in pairwise(prices))


async def test_damage_in_an_entry_is_named() -> None:
    memory, first = HistoricMemory(clock=FakeClock(), chunk_bytes=10_000, history=WEEK), start()
    await run(asking(memory), first, 1)
    write = memory.writes[-1]
    for old, new in [
        (b'"took":0', b'"took":!'),
        (b'"state":{', b'"state":5,"x":{'),
        (b"\n[1,", b"\n[5,"),
        (b"\t{", b" {"),
    ]:
        assert old in write.tail
        lease = await memory.acquire(first.subject)
        assert lease is not None
        damaged = write.tail.replace(old, new)
        await memory.commit(
            lease, RecordWrite(record=write.record, summary=write.summary, tail=damaged)
        )
        with pytest.raises(UnreadableRecordError, match="the tail"):
            await memory.steps(first.subject)


def test_times_are_read_without_what_is_damaged() -> None:
    head, line = b'{"after":[0,""]}\n', b'[1,1,"a",1764400000000]\t{}\n'
    at, failed = datetime.fromtimestamp(1764400000, UTC), datetime(2027, 1, 1, tzinfo=UTC)
    assert read_step_times(head + line, chunk=lambda: None, failed_at=None) == [at]
    assert read_step_times(head + line, chunk=lambda: head + line, failed_at=failed) == [
        at,
        at,
        failed,
    ]
    for tail in [
        head + line[:-1],
        head + b"[1]\t{}\n",
        head + b"{}\t\n",
        head + b'[1,1,"",1e30]\t\n',
    ]:
        assert read_step_times(tail, chunk=lambda: None, failed_at=None) == []

    def damaged() -> bytes:
        raise UnreadableRecordError("chunk 1 is damaged")

    assert read_step_times(head + line, chunk=damaged, failed_at=failed) == []


@pytest.mark.parametrize(
    ("history", "read_only", "error", "message"),
    [
        (7, False, TypeError, "history must be a timedelta, got 7"),
        (timedelta(0), False, ValueError, "history must be longer than zero"),
        (timedelta(days=-1), False, ValueError, "history must not be negative"),
        (timedelta(days=4000), False, ValueError, "history must be at most 3650 days"),
        (WEEK, True, ValueError, "history is what a memory keeps as it writes, .* read_only"),
    ],
)
def test_a_wrong_history_is_refused(
    history: Any, read_only: bool, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_history(history, read_only=read_only)
    assert check_history(None, read_only=read_only) is None

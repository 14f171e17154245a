"""What a journal that is damaged, too large or out of reach does to the workflow's next step."""

from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    Emit,
    MachineMemoryError,
    Start,
    Step,
    TransactionViolation,
    TransactionViolationCause,
    UnreadableRecordError,
    UnwritableRecordError,
)
from arvo_event_handler._workflow import _journal_store, _step_commit
from arvo_event_handler.memory import MachineLease, RecordWrite, to_typescript
from arvo_event_handler.memory._collection import Collection
from arvo_event_handler.memory._state import WorkflowState
from arvo_time.testing import FakeClock, SpanRecorder

from .intercepted_memory import InterceptedLeasedMemory, fail
from .leased_memory import LeasedMemory
from .shop import RESERVE, AnyCall, order, reserved, start

ENDS = 100
"""The price at which the workflow ends."""


async def flow(call: AnyCall) -> Step[Any]:
    """Ask twice, and end with either answer."""
    if isinstance(call, Start):
        return Step(services=[Emit(RESERVE, {"item": "a"}), Emit(RESERVE, {"item": "b"})])
    return Step(output=Complete({"total": 1})) if call.data.price == ENDS else Step()


def worker(memory: LeasedMemory) -> ArvoResumable:
    """Make a handler that remembers nothing of the workflow."""
    return order(flow, memory=memory)


@pytest.fixture
def memory() -> LeasedMemory:
    return LeasedMemory(clock=FakeClock())


async def started(memory: LeasedMemory) -> list[ArvoEvent]:
    """Start the workflow, and return what it asks."""
    return await worker(memory).execute(start())


def damage_events(memory: LeasedMemory, subject: str) -> None:
    """Damage every event in the journal, in as many bytes, so that only a look at one finds it."""
    stored = memory._stored[subject]
    damaged = [
        (number, chunk.replace(b'"specversion"', b'"specversion '))
        for number, chunk in stored.chunks
    ]
    memory._stored[subject] = replace(stored, chunks=tuple(damaged))


@pytest.mark.parametrize("kept_in", ["tombstone", "base"])
async def test_a_damaged_output_that_the_commit_must_keep_is_a_read_failure(
    memory: LeasedMemory, kept_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, asked = await started(memory)
    damage_events(memory, asked.subject)
    monkeypatch.setattr(_journal_store, "_mostly_garbage", lambda state, live: True)
    answer = reserved(asked, price=ENDS if kept_in == "tombstone" else 1)
    with pytest.raises(TransactionViolation, match="chunk 1 of the stored journal") as caught:
        await worker(memory).execute(answer)
    assert caught.value.cause is TransactionViolationCause.READ_FAILURE
    assert not caught.value.retryable
    assert (len(memory.writes), memory.locked) == (1, [])


class DriverError(Exception):
    """What a client raises that is no OSError."""


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (DriverError("gone"), True),
        (MachineMemoryError("gone", retryable=True, outcome="failed"), True),
        (MachineMemoryError("gone", retryable=False, outcome="failed"), False),
        (UnreadableRecordError("gone"), False),
    ],
    ids=["driver", "retryable", "for good", "damaged"],
)
async def test_chunks_that_cannot_be_read_are_a_read_failure(
    memory: LeasedMemory, error: Exception, retryable: bool
) -> None:
    """Asked for when a state was remembered of another life of the workflow."""
    first = start()
    disturbed = InterceptedLeasedMemory(memory, before=fail("chunks", error, times=1))
    remembers = order(flow, memory=disturbed)
    await remembers.execute(first)
    await memory.cleanup(first.subject)
    asked, _ = await worker(memory).execute(first)
    await worker(memory).execute(reserved(asked, price=1))
    with pytest.raises(TransactionViolation, match="gone") as caught:
        await remembers.execute(reserved(asked, price=2))
    assert caught.value.cause is TransactionViolationCause.READ_FAILURE
    assert bool(caught.value.retryable) is retryable
    assert memory.locked == []
    # Nothing else has changed by it.
    await remembers.execute(reserved(asked, price=2))


class RefusesBases(LeasedMemory):
    """Finds every chunk with a base too large."""

    refused = 0

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        if write.chunk is not None and b'"base"' in write.chunk.partition(b"\n")[0]:
            self.refused += 1
            raise UnwritableRecordError("too large")
        await super().commit(lease, write)


@pytest.mark.parametrize("chunk_bytes", [0, 1_000_000])
async def test_a_base_that_is_too_large_for_the_memory_ends_no_workflow(
    chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It only makes the journal smaller; the entries are fit to be stored without it."""
    monkeypatch.setattr(_journal_store, "_mostly_garbage", lambda state, live: True)
    memory = RefusesBases(clock=FakeClock(), chunk_bytes=chunk_bytes)
    asked, _ = await started(memory)
    assert await worker(memory).execute(reserved(asked, price=1)) == []
    [done] = await worker(memory).execute(reserved(asked, price=ENDS))
    assert done.data == {"total": 1}
    assert memory.refused == 2
    assert [write.frees for write in memory.writes] == ["none", "none", "all"]


async def test_a_journal_without_its_beginning_is_not_exported(memory: LeasedMemory) -> None:
    """As a workflow that has seen nothing and owes nothing."""
    asked, _ = await started(memory)
    subject = asked.subject
    await worker(memory).execute(reserved(asked, price=1))
    stored = memory._stored[subject]
    memory._stored[subject] = replace(stored, chunks=stored.chunks[1:])
    record = await memory.read(subject)
    assert record is not None
    with pytest.raises(UnreadableRecordError, match="lacks its beginning; the record says entry 2"):
        to_typescript(record, subject=subject)


@pytest.mark.parametrize("cut", [1, 2, 30])
async def test_a_journal_without_its_last_bytes_is_refused_and_not_appended_to(cut: int) -> None:
    memory = LeasedMemory(clock=FakeClock(), chunk_bytes=10_000)
    asked, _ = await started(memory)
    stored = memory._stored[asked.subject]
    memory._stored[asked.subject] = replace(stored, tail=stored.tail[:-cut])
    with pytest.raises(TransactionViolation, match="the tail of the stored journal is damaged"):
        await worker(memory).execute(reserved(asked, price=1))
    with pytest.raises(UnreadableRecordError, match="the tail of the stored journal is damaged"):
        await memory.read(asked.subject)


async def test_a_journal_that_has_grown_large_is_said_on_the_span(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_step_commit, "_LARGE_JOURNAL", 3000)
    memory = LeasedMemory(clock=FakeClock())
    asked, _ = await started(memory)
    said: list[bool] = []
    for number in range(4):
        with SpanRecorder() as spans:
            await worker(memory).execute(reserved(asked, price=1, id=f"{number}"))
        [span] = spans.spans
        said.append(any("of its journal" in str(event.attributes) for event in span.events))
    assert said == sorted(said)
    assert len(set(said)) == 2


@pytest.mark.parametrize(("more", "compacts"), [(-1, True), (0, False)])
def test_a_base_of_4_mib_is_not_even_tried(more: int, compacts: bool) -> None:
    """It would be made at every step, and might be refused at every step."""
    state = WorkflowState(subject="s", init_event_id="e1", parent_subject=None)
    state.collection = Collection({}, size=4 * 1024 * 1024 + more)
    assert _journal_store._mostly_garbage(state, live=20 * 1024 * 1024) is compacts

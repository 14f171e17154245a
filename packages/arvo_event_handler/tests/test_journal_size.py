"""How much a workflow stores: at first, with each step, and in a loop without end."""

from collections.abc import Callable
from itertools import cycle, pairwise
from typing import Any

import pytest

from arvo_event_handler import (
    Complete,
    Emit,
    ExecutionPolicy,
    IArvoEventHandler,
    IMachineMemory,
    Start,
    Step,
)
from arvo_event_handler.memory import RecordWrite, encode_record
from arvo_statechart.typing import MachineConfig
from arvo_time.testing import FakeClock

from .leased_memory import LeasedMemory
from .order_machines import ask, first_context, machine, orchestrator
from .shop import CHARGE, ORDERED, RESERVE, RESERVE_V1, RESERVED, AnyCall, order, reserved, start

KIB = 1024
WHOLE_RECORD = 2679
"""Bytes of the record of a workflow with one request, when all was in the record."""


def size(write: RecordWrite) -> int:
    return len(encode_record(write.record)) + len(write.tail) + len(write.chunk or b"")


async def test_a_workflow_with_one_request_takes_little() -> None:
    memory = LeasedMemory(clock=FakeClock(), chunk_bytes=8 * KIB)
    await order(memory=memory).execute(start("tea"))
    [write] = memory.writes
    assert size(write) <= 0.6 * WHOLE_RECORD


@pytest.mark.parametrize(("chunk_bytes", "most"), [(0, 2.5), (2 * KIB, 2.5), (8 * KIB, 6)])
async def test_an_answer_stores_what_it_adds_among_a_thousand_as_among_ten(
    chunk_bytes: int, most: float
) -> None:
    """On average, as the tail grows until it is closed from `chunk_bytes` on."""
    memory = LeasedMemory(clock=FakeClock(), chunk_bytes=chunk_bytes)
    handler = order(memory=memory)
    requests = await handler.execute(start(*map(str, range(1000))))
    for request in requests[:300]:
        await handler.execute(reserved(request))
    sizes = [size(write) for write in memory.writes[1:]]
    assert sum(sizes) / len(sizes) <= most * KIB
    assert sum(sizes[-100:]) <= 1.1 * sum(sizes[:100])


@pytest.mark.parametrize("warm_bytes", [0, 64 * KIB * KIB])
async def test_answers_that_are_needed_are_not_written_again_and_again(warm_bytes: int) -> None:
    """Neither before a base nor after one, however a worker knows what they take."""
    memory = LeasedMemory(clock=FakeClock())
    policy = ExecutionPolicy(warm_bytes=warm_bytes)
    handler = order(twice, memory=memory, policy=policy)
    events = await handler.execute(start(*map(str, range(80))))
    for _ in range(2):
        answers = [reserved(request, id=request.id + "x" * 2 * KIB) for request in events]
        events = [event for answer in answers for event in await handler.execute(answer)]
    assert [event.type for event in events] == [ORDERED]
    bases = [number for number, write in enumerate(memory.writes) if write.frees == "earlier"]
    assert 1 <= len(bases) <= 3


async def twice(call: AnyCall) -> Step[Any]:
    """Ask for everything, and when all has come, once more."""
    if isinstance(call, Start):
        return Step(
            context={"round": 1}, services=[Emit(RESERVE, {"item": i}) for i in call.data.items]
        )
    if len(call.replies(RESERVE_V1)) < 80:
        return Step()
    if call.context["round"] == 2:
        return Step(output=Complete({"total": 1}))
    return Step(context={"round": 2}, services=[Emit(RESERVE, {"item": "a"})] * 80)


async def never_charged(call: AnyCall) -> Step[Any]:
    """Ask for a charge once, and reserve again and again."""
    if isinstance(call, Start):
        return Step(services=[Emit(CHARGE, {"amount": 1}), Emit(RESERVE, {"item": "a"})])
    return Step(services=[Emit(RESERVE, {"item": "a"})])


NEVER_CHARGED: MachineConfig = {
    "context": first_context,
    "entry": [ask(CHARGE, amount=1), ask(RESERVE, item="a")],
    "on": {RESERVED: {"actions": ask(RESERVE, item="a")}},
}


def _resumable(memory: IMachineMemory) -> IArvoEventHandler:
    return order(never_charged, memory=memory)


def _machine(memory: IMachineMemory) -> IArvoEventHandler:
    return orchestrator(machine(NEVER_CHARGED), memory=memory)


@pytest.mark.parametrize(
    ("make", "owed", "workers"),
    [(_resumable, {RESERVE}, 1), (_resumable, {RESERVE}, 2), (_machine, {CHARGE, RESERVE}, 1)],
)
async def test_a_loop_with_a_request_that_is_never_answered_stays_small(
    make: Callable[[IMachineMemory], IArvoEventHandler], owed: set[str], workers: int
) -> None:
    """Of a resumable it is forgotten with its collection; a machine keeps it.

    One worker, or two in turn, neither of which has written all that is live.
    """
    memory = LeasedMemory(clock=FakeClock(), chunk_bytes=2 * KIB)
    handlers = cycle([make(memory) for _ in range(workers)])
    first = start()
    _, request = await next(handlers).execute(first)
    live: list[int] = []
    for _ in range(1500 // workers):
        [request] = await next(handlers).execute(reserved(request))
        lease = await memory.acquire(first.subject)
        assert lease is not None
        assert lease.record is not None
        await memory.release(lease)
        chunks = sum(len(data) for _, data in lease.chunks)
        live.append(len(encode_record(lease.record)) + len(lease.tail) + chunks)
    assert max(live) <= 150 * KIB
    # What is freed is worth a base, whoever has stored it.
    bases = [write for write in memory.writes if write.frees == "earlier"]
    stored = sum(len(write.chunk) for write in memory.writes if write.chunk is not None)
    assert len(bases) * 64 * KIB <= stored
    # It was made smaller more than once, or there would be nothing to see here.
    assert sum(after < before for before, after in pairwise(live)) > 5 // workers
    assert {event.type for event in await next(handlers).execute(first)} == owed

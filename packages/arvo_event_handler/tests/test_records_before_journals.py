"""Workflows that were stored before there were journals, half-way through, run to their ends."""

import json
from pathlib import Path
from typing import Any

import pytest

from arvo_core import ArvoEvent
from arvo_event_handler import IArvoEventHandler, IMachineMemory, SimpleMachineMemory
from arvo_event_handler.memory import to_typescript
from arvo_time.testing import FakeClock

from .leased_memory import LeasedMemory
from .order_machines import EVERY_ITEM_CONFIG, machine, orchestrator
from .shop import CHARGE, charged, order, reserved

_FILE = Path(__file__).parent / "stored" / "before_journals.jsonl"
STORED = [json.loads(line) for line in _FILE.read_text("utf-8").splitlines()]
"""Twenty of each style, made by the commit before: `record` after `answered` of the requests."""

CASES = [
    pytest.param(stored, id=f"{stored['style']}-{number // 2}")
    for number, stored in enumerate(STORED)
]


def handler(stored: Any, memory: IMachineMemory) -> IArvoEventHandler:
    if stored["style"] == "resumable":
        return order(memory=memory, answers=stored["answers"])
    return orchestrator(machine(EVERY_ITEM_CONFIG), memory=memory, answers=stored["answers"])


def memories() -> list[IMachineMemory]:
    clock = FakeClock()
    return [SimpleMachineMemory(), LeasedMemory(clock=clock, chunk_bytes=2048)]


async def ends(stored: Any, memory: IMachineMemory) -> list[ArvoEvent]:
    """Answer what is open, each by a worker that remembers nothing, and return the last outputs."""
    events: list[ArvoEvent] = []
    for number, request in enumerate(stored["open"]):
        reply = reserved(ArvoEvent.from_dict(request), price=stored["answered"] + number + 1)
        events = await handler(stored, memory).execute(reply)
        assert await handler(stored, memory).execute(reply) == events
    if events[0].type == CHARGE:
        return await handler(stored, memory).execute(charged(events[0]))
    return events


@pytest.mark.parametrize("stored", CASES)
async def test_it_runs_to_its_end(stored: Any) -> None:
    first = ArvoEvent.from_dict(stored["first"])
    count = stored["answered"] + len(stored["open"])
    for memory in memories():
        await memory.write(first.subject, stored["record"], None)
        # Starting it again still finds all that is owed.
        owed = await handler(stored, memory).execute(first)
        assert [event.to_dict() for event in owed] == stored["open"]
        [done] = await ends(stored, memory)
        assert done.data == {"total": sum(range(1, count + 1))}


@pytest.mark.parametrize("stored", CASES)
def test_it_is_read_and_written_unchanged(stored: Any) -> None:
    record = stored["record"]
    assert to_typescript(record, subject=record["subject"]) == record

"""What events cost. Run: uv run python -m benchmarks --only event."""

from collections.abc import AsyncIterator
from typing import Any

from arvo_core import ArvoEvent
from benchmarks.large_order import LINES, LargeOrder, large_data, large_event
from benchmarks.workload import Workload, benchmark

_DATA = {"name": "Ada Lovelace", "age": 36, "tags": ["a", "b"]}


@benchmark("event.create")
async def create() -> AsyncIterator[Workload[str, ArvoEvent]]:
    """Making an event whose id, subject and time are given is twice as fast as in TypeScript."""
    yield Workload(inputs=_ids, operation=_event, check=lambda event: event.data == _DATA)


@benchmark("event.create.generated")
async def create_generated() -> AsyncIterator[Workload[str, ArvoEvent]]:
    """Making an event with new id and time and two extensions is three times as fast."""

    def operation(subject: str) -> ArvoEvent:
        return ArvoEvent.create(
            source="com.benchmark.source",
            type="com.benchmark.test",
            subject=subject,
            data=_DATA,
            extensions={"tenant": "acme", "attempt": 2},
        )

    yield Workload(
        inputs=_ids,
        operation=operation,
        check=lambda event: bool(
            event.id and event.time and event.extensions == {"tenant": "acme", "attempt": 2}
        ),
    )


@benchmark("event.to_json")
async def to_json() -> AsyncIterator[Workload[ArvoEvent, str]]:
    """Writing an event as JSON text is three times as fast as in TypeScript."""
    yield Workload(
        inputs=lambda count: [_event(event_id) for event_id in _ids(count)],
        operation=ArvoEvent.to_json,
        check=lambda text: ArvoEvent.from_json(text).data == _DATA,
    )


@benchmark("event.from_json")
async def from_json() -> AsyncIterator[Workload[str, ArvoEvent]]:
    """Reading and validating an event from JSON text is four times as fast as in TypeScript."""
    yield Workload(
        inputs=lambda count: [_event(event_id).to_json() for event_id in _ids(count)],
        operation=ArvoEvent.from_json,
        check=lambda event: event.data == _DATA,
    )


@benchmark("event.large.make")
async def make_large() -> AsyncIterator[Workload[dict[str, Any], ArvoEvent]]:
    """Making an event of 1 MB from a mapping of 20,000 objects takes one pass over them."""
    yield Workload(
        inputs=lambda count: [large_data() for _ in range(count)],
        operation=large_event,
        check=lambda event: len(event.data["lines"]) == LINES,
    )


@benchmark("event.large.make.model")
async def make_large_of_model() -> AsyncIterator[Workload[LargeOrder, ArvoEvent]]:
    """Making the same event from a model, made before, takes a dump more."""
    yield Workload(
        inputs=lambda count: [LargeOrder.model_validate(large_data()) for _ in range(count)],
        operation=large_event,
        check=lambda event: len(event.data["lines"]) == LINES,
    )


@benchmark("event.large.from_json")
async def from_large_json() -> AsyncIterator[Workload[str, ArvoEvent]]:
    """Reading an event of 1 MB with 20,000 objects is not slower than in TypeScript."""
    text = large_event(large_data()).to_json()
    yield Workload(
        inputs=lambda count: [text] * count,
        operation=ArvoEvent.from_json,
        check=lambda event: len(event.data["lines"]) == LINES,
    )


def _ids(count: int) -> list[str]:
    return [f"event-{number}" for number in range(count)]


def _event(event_id: str) -> ArvoEvent:
    return ArvoEvent.create(
        id=event_id,
        source="com.benchmark.source",
        type="com.benchmark.test",
        subject="benchmark-subject",
        time="2026-01-31T09:30:00.000+00:00",
        data=_DATA,
    )

"""An event that cannot be read stops what needs it, with a word, and nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from arvo_event_store import (
    PER_EVENT,
    Batch,
    Event,
    NewEvent,
    Projection,
    Reaction,
    ReactionCall,
    ReactionWorker,
    SqliteEventStore,
    StoreFailure,
)

DAMAGED = 3
SAID = f"UnknownEventError: the JSON of event {DAMAGED} is damaged"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteEventStore]:
    """Return a store with two streams, in one of which the second event is damaged."""
    async with SqliteEventStore.connect(tmp_path / "events.db", synchronous="normal") as store:
        for number in range(3):
            for stream in ("a", "b"):
                await store.append(stream, [NewEvent("Added", number)])
        triggers = await store.fetch("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (trigger,) in triggers:
            await store.execute(f'DROP TRIGGER "{trigger}"')
        sql = "UPDATE event SET data = '{' WHERE position = ?"
        assert await store.execute(sql, DAMAGED) == 1
        yield store


async def test_a_damaged_event_stops_only_what_needs_it(store: SqliteEventStore) -> None:
    handled: dict[str, list[int]] = {}

    async def handle(call: ReactionCall[Event]) -> None:
        handled.setdefault(call.reaction, []).append(call.event.position)

    async def project(batch: Batch[Event]) -> None:
        handled.setdefault(batch.reaction, []).extend(each.event.position for each in batch)

    worker = ReactionWorker(
        store,
        group="g",
        reactions=[
            Reaction(name="streams", on=[Event], handler=handle),
            Reaction(name="events", on=[Event], handler=handle, to=PER_EVENT),
            Reaction(name="keys", on=[Event], handler=handle, to=lambda event: str(event.data % 2)),
            Projection(name="log", on=[Event], handler=project),
            Projection(name="skips", on=[Event], handler=project, on_exhausted="park"),
        ],
    )
    await worker.settle()
    assert {name: sorted(found) for name, found in handled.items()} == {
        "streams": [1, 2, 4, 6],
        "events": [1, 2, 4, 5, 6],
        "keys": [1, 2, 4, 5, 6],
        "log": [1, 2],
        "skips": [1, 2, 4, 5, 6],
    }
    blocked = [each async for each in store.targets("g", blocked=True)]
    assert [(each.reaction, each.key, each.error_position) for each in blocked] == [
        ("log", "*", DAMAGED),
        ("streams", "a", DAMAGED),
    ]
    assert all((each.error or "").startswith(SAID) for each in blocked)
    parked = [each async for each in store.parked("g")]
    assert [(each.reaction, each.key, each.position) for each in parked] == [
        ("events", "3", DAMAGED),
        ("keys", "?", DAMAGED),
        ("skips", "*", DAMAGED),
    ]
    assert all(each.error.startswith(SAID) for each in parked)


async def test_a_read_of_the_log_raises(store: SqliteEventStore) -> None:
    with pytest.raises(StoreFailure, match="the JSON of event 3 is damaged"):
        assert [event async for event in store.read_all()] == []

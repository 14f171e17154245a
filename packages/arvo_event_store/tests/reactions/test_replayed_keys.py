"""The targets of replayed events have keys that nobody else's have."""

import pytest

from arvo_event_store import (
    Append,
    Event,
    InvalidEventError,
    MemoryEventStore,
    NewEvent,
    Reaction,
    ReactionCall,
    ReactionWorker,
    Reject,
    Wake,
)
from arvo_time.testing import FakeClock

TAKEN = "replayed:1:a"


async def test_a_replayed_event_is_not_taken_for_a_target_of_that_name(
    store: MemoryEventStore, clock: FakeClock
) -> None:
    """It was: the event was never handed out again, as that target had done more."""
    handled: list[int] = []
    refuses = True

    async def handle(call: ReactionCall[Event]) -> None:
        if call.event.position == 1 and refuses:
            raise Reject("not now")
        handled.append(call.event.position)

    await store.append("a", [NewEvent("Added", 1)])
    await store.append(TAKEN, [NewEvent("Added", 2)])
    await store.append("b", [NewEvent("Added", 3)])
    reactions = [
        Reaction(name="streams", on=[Event], handler=handle, on_exhausted="park"),
        Reaction(
            name="keys",
            on=[Event],
            handler=handle,
            to=lambda each: each.stream,
            on_exhausted="park",
        ),
    ]
    worker = ReactionWorker(store, group="g", reactions=reactions, clock=clock)
    await clock.run_until_complete(worker.settle())
    assert handled == [3, 3]
    parked = [each async for each in store.parked("g")]
    assert [(each.reaction, each.key, each.position) for each in parked] == [
        ("keys", "?", 2),
        ("keys", "a", 1),
        ("streams", "?", 2),
        ("streams", "a", 1),
    ]
    assert "must not begin with 'replayed:'" in parked[0].error
    refuses = False
    assert await store.replay("g", parked) == 4
    await clock.run_until_complete(worker.settle())
    assert sorted(handled) == [1, 1, 2, 2, 3, 3]


async def test_an_append_cannot_wake_a_target_of_that_name(store: MemoryEventStore) -> None:
    wake = Wake(group="g", reaction="r", lane="default")
    with pytest.raises(InvalidEventError, match="must not begin with 'replayed:'"):
        await store.append_all([Append(TAKEN, [NewEvent("Added", 1)], wakes=[wake])])
    assert await store.heads([TAKEN]) == {}

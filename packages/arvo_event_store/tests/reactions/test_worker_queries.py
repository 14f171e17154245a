"""How many queries a worker sends: when nothing happens, and for what concerns nobody."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from arvo_event_store import (
    Append,
    Event,
    Lane,
    MemoryEventStore,
    NewEvent,
    Reaction,
    ReactionCall,
    ReactionWorker,
    SqliteEventStore,
    Wake,
)
from arvo_time.testing import FakeClock, SpanRecorder

SECOND = timedelta(seconds=1)


async def nothing(_: ReactionCall[Event]) -> None: ...


def counting(store: Any, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return how often each call of a store is made that workers make."""
    calls: Counter[str] = Counter()

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        async def calling(*args: Any, **given: Any) -> Any:
            calls[name] += 1
            return await call(*args, **given)

        return calling

    for name in ("scan", "mark", "ready", "claim", "extend", "finish", "release", "lag"):
        monkeypatch.setattr(store, name, counted(name, getattr(store, name)))
    return calls


def five_lanes() -> dict[str, Any]:
    return {
        "reactions": [
            Reaction(name=f"r{number}", on=[Event], handler=nothing, lane=f"l{number}")
            for number in range(5)
        ],
        "lanes": {f"l{number}": Lane() for number in range(5)},
    }


async def test_an_idle_worker_of_five_lanes_asks_twice_a_second(
    store: MemoryEventStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.append("a", [NewEvent("Added", 1)])
    async with ReactionWorker(store, group="g", clock=clock, **five_lanes()):
        await clock.run_for(10 * SECOND)
        calls = counting(store, monkeypatch)
        await clock.run_for(60 * SECOND)
    assert calls["ready"] in {59, 60, 61}
    assert calls["scan"] in {59, 60, 61}
    assert calls.total() == calls["ready"] + calls["scan"]


async def test_an_idle_worker_sends_three_queries_for_each_look() -> None:
    """A scan is a lease and a page, so that it is at most three a second at a look each second."""
    async with SqliteEventStore.connect(":memory:") as store:
        await store.append("a", [NewEvent("Added", 1)])
        worker = ReactionWorker(store, group="g", poll=SECOND / 50, **five_lanes())
        async with worker:
            await worker.settle()
            for _ in range(20):  # also the one that stores how far all of them are
                await worker.settle()
            with SpanRecorder() as spans:
                looks = 0
                while looks < 10:
                    await store.wait_for_change(seen=store.changes, at_most=SECOND / 50)
                    looks = len(spans.find_all(name="READY target"))
                found = Counter(span.name for span in spans.spans)
    assert {*found} == {"READY target", "LEASE_SCAN reaction", "SCAN event"}
    assert found.total() <= 3 * found["READY target"] + 3  # one may be under way


async def test_events_that_concern_nobody_are_not_read_again_and_again(
    store: MemoryEventStore, clock: FakeClock
) -> None:
    read = 0
    scan = store.scan

    async def reading(*args: Any, **given: Any) -> Any:
        nonlocal read
        page = await scan(*args, **given)
        read += 0 if page is None else len(page.events)
        return page

    store.scan = reading  # type: ignore[method-assign]
    elsewhere = Reaction(name="r", on=[Event], handler=nothing, stream_prefix="b")
    async with ReactionWorker(store, group="g", reactions=[elsewhere], clock=clock):
        for number in range(900):
            await store.append(f"a{number}", [NewEvent("Added", 1)])
            await clock.settle()
    # Each was read at every scan until 1,000 of them had come: 450 times.
    assert read < 900 * 60


async def test_appends_set_off_no_scan_where_all_reactions_are_addressed(
    store: MemoryEventStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled: list[str] = []

    async def handle(call: ReactionCall[Event]) -> None:
        handled.append(call.event.stream)

    reaction = Reaction(name="r", on=[Event], handler=handle, addressed=True)
    async with ReactionWorker(store, group="g", reactions=[reaction], clock=clock):
        await clock.run_for(SECOND)
        calls = counting(store, monkeypatch)
        wake = Wake(group="g", reaction="r", lane="default")
        for number in range(20):
            await store.append_all([Append(f"a{number}", [NewEvent("Added", 1)], wakes=[wake])])
            await clock.settle()
    assert len(handled) == 20
    assert calls["scan"] == 0

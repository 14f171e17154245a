"""Aggregates: loading, deciding, racing, snapshots, the cache."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from typing_extensions import override

from arvo_event_store import (
    Acted,
    Aggregate,
    Appended,
    ConflictError,
    Event,
    Expect,
    InvalidEventError,
    Loaded,
    MemoryEventStore,
    NewEvent,
    Snapshot,
    SnapshotPolicy,
    StoreFailure,
    StreamClosedError,
    TruncatedStreamError,
    UnknownEventError,
)
from arvo_time.testing import FakeClock


@dataclass(frozen=True)
class Added:
    amount: int


class Overdrawn(Exception):
    pass


def counters(**settings: Any) -> Aggregate[int, Added]:
    return Aggregate[int, Added](
        category="counter",
        events=[Added],
        initial=int,
        evolve=lambda total, event: total + event.amount,
        **settings,
    )


def snapshots(**settings: Any) -> SnapshotPolicy[int]:
    return SnapshotPolicy[int](dump=lambda total: total, load=int, **settings)


def adding(*amounts: int) -> Any:
    return lambda _: [Added(amount) for amount in amounts]


class Counted:
    """Stands in for a counter of OpenTelemetry."""

    def __init__(self) -> None:
        self.total = 0

    def add(self, amount: int) -> None:
        self.total += amount


class WatchedStore(MemoryEventStore):
    """Counts the events that are read, and lets other tasks run before it appends."""

    rows = 0
    conflicts = 0

    @override
    async def read(self, stream: str, **given: Any) -> AsyncIterator[Event]:
        async for event in super().read(stream, **given):
            self.rows += 1
            yield event

    @override
    async def append(
        self, stream: str, events: Sequence[NewEvent], *, expect: Expect | int = Expect.ANY
    ) -> Appended:
        await asyncio.sleep(0)
        try:
            return await super().append(stream, events, expect=expect)
        except ConflictError:
            self.conflicts += 1
            raise


async def test_what_was_decided_is_appended_and_folded() -> None:
    store = MemoryEventStore()
    acted = await counters().act(store, "a", adding(7, 1))
    assert (acted.state, acted.version, acted.retries) == (8, 1, 0)
    assert acted.appended is not None
    assert acted.appended.count == 2
    events = [event async for event in store.read("counter-a")]
    assert [(event.name, event.data) for event in events] == [
        *(("Added", {"amount": 7}), ("Added", {"amount": 1})),
    ]
    assert await counters().load(store, "a") == Loaded(state=8, version=1)
    assert await counters().load(store, "a", upto=0) == Loaded(state=7, version=0)
    assert await counters().load(store, "b") == Loaded(state=0, version=-1)


async def test_the_state_is_handed_to_the_decision() -> None:
    store, seen = MemoryEventStore(), []

    def double(total: int) -> list[Added]:
        seen.append(total)
        return [Added(total or 1)]

    for _ in range(4):
        await counters().act(store, "a", double)
    assert seen == [0, 1, 2, 4]


async def test_a_decision_for_nothing_appends_nothing() -> None:
    store = MemoryEventStore()
    await counters().act(store, "a", adding(3))
    acted = await counters().act(store, "a", adding())
    assert acted == Acted(state=3, version=0, appended=None, retries=0)
    await counters().act(store, "b", adding())
    assert await store.heads(["counter-b"]) == {}


async def test_an_error_of_the_decision_passes_through() -> None:
    store = MemoryEventStore()
    error = Overdrawn("by 7")

    def refuse(_: int) -> list[Added]:
        raise error

    with pytest.raises(Overdrawn) as caught:
        await counters().act(store, "a", refuse)
    assert caught.value is error
    await counters().act(store, "a", adding(1))


async def test_an_event_that_cannot_be_folded_is_not_stored() -> None:
    def evolve(total: int, event: Added) -> int:
        if event.amount < 0:
            raise Overdrawn
        return total

    strict = Aggregate(category="counter", events=[Added], initial=int, evolve=evolve)
    store = MemoryEventStore()
    with pytest.raises(Overdrawn):
        await strict.act(store, "a", adding(1, -1))
    assert await store.heads(["counter-a"]) == {}


@pytest.mark.parametrize("kept", ["cache", "snapshots"])
async def test_twenty_tasks_act_on_one_counter(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through four aggregates, as four processes would: nothing is lost, and retries are counted."""
    counted = Counted()
    monkeypatch.setattr("arvo_event_store._telemetry._act_retries", counted)
    store, clock = WatchedStore(), FakeClock()
    settings: dict[str, Any] = (
        {"cache": 1} if kept == "cache" else {"snapshots": snapshots(every=20)}
    )
    aggregates = [counters(clock=clock, **settings) for _ in range(4)]

    async def add(number: int) -> int:
        done = [await aggregates[number % 4].act(store, "a", adding(1)) for _ in range(50)]
        return sum(acted.retries for acted in done)

    acting = asyncio.gather(*(add(number) for number in range(20)))
    retries = sum(await clock.run_until_complete(acting))
    assert (await counters().load(store, "a")) == Loaded(state=1000, version=999)
    assert retries == store.conflicts == counted.total > 0
    print(f"1,000 acts of 20 tasks: {retries} retries, {store.rows} events read")  # noqa: T201


async def test_tasks_of_one_aggregate_take_turns() -> None:
    """So they do not make each other decide again, and each reads what the one before it stored."""
    store, shared = WatchedStore(), counters(cache=1)
    await asyncio.gather(*(shared.act(store, "a", adding(1)) for _ in range(100)))
    assert (await shared.load(store, "a")).state == 100
    assert store.conflicts == 0
    assert store.rows <= 100


async def test_a_task_cancelled_while_it_waits_for_its_turn_gives_it_up() -> None:
    store, shared = WatchedStore(), counters()
    first, second, third = (
        asyncio.create_task(shared.act(store, "a", adding(amount))) for amount in (1, 10, 100)
    )
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert (await shared.load(store, "a")).state == 101


async def test_an_act_cancelled_at_any_await_stored_all_or_nothing() -> None:
    shared = counters(snapshots=snapshots(every=1), cache=1)
    store = WatchedStore()
    total = 0
    for turns in range(12):
        acting = asyncio.create_task(shared.act(store, "a", adding(1, 1)))
        for _ in range(turns):
            await asyncio.sleep(0)
        acting.cancel()
        await asyncio.gather(acting, return_exceptions=True)
        loaded = await shared.load(store, "a")
        assert loaded.state in {total, total + 2}
        assert loaded.state == loaded.version + 1
        total = loaded.state
    assert total > 0


async def test_retries_are_bounded() -> None:
    class Faster(MemoryEventStore):
        appends = 0

        @override
        async def append(self, stream: str, events: Any, **given: Any) -> Appended:
            self.appends += 1
            await super().append(stream, [NewEvent("Added", {"amount": 1})])
            return await super().append(stream, events, **given)

    store, decided = Faster(), 0

    def decide(_: int) -> list[Added]:
        nonlocal decided
        decided += 1
        return [Added(1)]

    with pytest.raises(ConflictError):
        await counters(retries=1).act(store, "a", decide)
    assert (store.appends, decided) == (2, 2)


async def test_a_closed_stream_is_not_tried_again() -> None:
    store = MemoryEventStore()
    await counters().act(store, "a", adding(1))
    await store.close_stream("counter-a")
    with pytest.raises(StreamClosedError):
        await counters().act(store, "a", adding(1))


async def test_an_append_of_unknown_outcome_is_sent_again() -> None:
    class CutOff(MemoryEventStore):
        sent = 0

        @override
        async def append(self, stream: str, events: Any, **given: Any) -> Appended:
            self.sent += 1
            done = await super().append(stream, events, **given)
            if self.sent == 1:
                raise StoreFailure("connection lost", retryable=True, outcome="unknown")
            return done

    store = CutOff()
    acted = await counters().act(store, "a", adding(3))
    assert acted.state == 3
    assert acted.appended is not None
    assert (acted.appended.duplicate, store.sent) == (True, 2)
    assert (await counters().load(store, "a")).version == 0


@pytest.mark.parametrize(("retryable", "outcome"), [(True, "failed"), (False, "unknown")])
async def test_another_failure_passes_through(retryable: bool, outcome: Any) -> None:
    class Failing(MemoryEventStore):
        sent = 0

        @override
        async def append(self, stream: str, events: Any, **given: Any) -> Appended:
            self.sent += 1
            raise StoreFailure("disk full", retryable=retryable, outcome=outcome)

    store = Failing()
    with pytest.raises(StoreFailure, match="disk full"):
        await counters().act(store, "a", adding(3))
    assert store.sent == 1


async def test_an_append_that_is_only_staged_is_neither_cached_nor_snapshotted() -> None:
    """As in a reaction's call: it may never be stored."""

    class Staging(MemoryEventStore):
        staged: list[NewEvent]

        @override
        async def append(self, stream: str, events: Any, **given: Any) -> Any:
            self.staged = [*events]

    staging, aggregate = Staging(), counters(cache=1, snapshots=snapshots(every=1))
    acted = await aggregate.act(staging, "a", adding(7))
    assert acted == Acted(state=7, version=0, appended=None, retries=0)
    assert [event.data for event in staging.staged] == [{"amount": 7}]
    assert aggregate._cache.get("counter-a") is None
    assert await staging.latest_snapshot("counter-a", kind="counter") is None


# --- snapshots --------------------------------------------------------------


async def test_a_load_reads_the_snapshot_and_the_tail() -> None:
    store = WatchedStore()
    with_snapshots = counters(snapshots=snapshots(every=100))
    for _ in range(51):
        await with_snapshots.act(store, "a", adding(*[1] * 98))
    await with_snapshots.act(store, "a", adding(1, 1))
    store.rows = 0
    assert await with_snapshots.load(store, "a") == Loaded(state=5000, version=4999)
    assert store.rows == 0
    await with_snapshots.act(store, "a", adding(*[1] * 42))
    store.rows = 0
    assert await with_snapshots.load(store, "a") == Loaded(state=5042, version=5041)
    rows = store.rows
    assert rows == 42
    assert await counters().load(store, "a") == Loaded(state=5042, version=5041)
    assert store.rows == rows + 5042
    print(f"a load of 5,042 events with a snapshot reads {rows} of them")  # noqa: T201


async def test_a_snapshot_is_stored_each_time_its_number_of_events_is_passed() -> None:
    store = MemoryEventStore()
    aggregate = counters(snapshots=snapshots(every=10))
    for _ in range(9):
        await aggregate.act(store, "a", adding(1))
    assert await store.latest_snapshot("counter-a", kind="counter") is None
    for count, version in ((1, 9), (9, 9), (5, 23), (26, 49)):
        await aggregate.act(store, "a", adding(*[1] * count))
        snapshot = await store.latest_snapshot("counter-a", kind="counter")
        assert snapshot is not None
        assert (snapshot.version, snapshot.state, snapshot.schema) == (version, version + 1, 1)


async def test_a_snapshot_of_another_schema_is_ignored() -> None:
    store = WatchedStore()
    await counters(snapshots=snapshots(every=5)).act(store, "a", adding(*[1] * 5))
    newer = Aggregate[str, Added](
        category="counter",
        events=[Added],
        initial=str,
        evolve=lambda text, event: text + str(event.amount),
        snapshots=SnapshotPolicy[str](dump=str, load=str, every=6, schema=2),
    )
    assert await newer.load(store, "a") == Loaded(state="11111", version=4)
    await newer.act(store, "a", adding(2))
    snapshot = await store.latest_snapshot("counter-a", kind="counter")
    assert snapshot is not None
    assert (snapshot.schema, snapshot.state) == (2, "111112")
    assert await counters(snapshots=snapshots()).load(store, "a") == Loaded(state=7, version=5)


async def test_a_state_as_of_a_version_uses_a_snapshot_before_it() -> None:
    store = WatchedStore()
    aggregate = counters(snapshots=snapshots(every=10))
    for _ in range(30):
        await aggregate.act(store, "a", adding(1))
    store.rows = 0
    assert await aggregate.load(store, "a", upto=14) == Loaded(state=15, version=14)
    assert store.rows == 5


async def test_an_append_beside_a_snapshot_does_no_harm() -> None:
    """Somebody appends between the append and its snapshot, which is of its own version."""

    class Slow(MemoryEventStore):
        @override
        async def save_snapshot(self, snapshot: Snapshot) -> None:
            await super().append("counter-a", [NewEvent("Added", {"amount": 100})])
            await super().save_snapshot(snapshot)

    store = Slow()
    aggregate = counters(snapshots=snapshots(every=2))
    acted = await aggregate.act(store, "a", adding(1, 1))
    assert acted.state == 2
    assert await aggregate.load(store, "a") == Loaded(state=102, version=2)


async def test_a_snapshot_that_fails_is_only_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted()
    monkeypatch.setattr("arvo_event_store._telemetry._snapshot_failures", counted)

    class Full(MemoryEventStore):
        @override
        async def save_snapshot(self, snapshot: Snapshot) -> None:
            raise StoreFailure("disk full", retryable=True, outcome="failed")

    def undumpable(_: int) -> Any:
        raise Overdrawn

    for store, policy in (
        (Full(), snapshots(every=1)),
        (MemoryEventStore(), SnapshotPolicy[int](dump=undumpable, load=int, every=1)),
        (MemoryEventStore(), SnapshotPolicy[int](dump=lambda _: {1}, load=int, every=1)),  # type: ignore[arg-type, return-value]
    ):
        caplog.clear()
        acted = await counters(snapshots=policy).act(store, "a", adding(4))
        assert acted.state == 4
        assert "could not store a snapshot of stream 'counter-a'" in caplog.text
    assert counted.total == 3


async def test_a_beginning_that_was_cut_off_needs_a_snapshot() -> None:
    store = MemoryEventStore()
    with_snapshots = counters(snapshots=snapshots(every=5))
    await with_snapshots.act(store, "a", adding(*[1] * 5))
    await with_snapshots.act(store, "a", adding(1))
    await store.truncate("counter-a", before=5)
    assert await with_snapshots.load(store, "a") == Loaded(state=6, version=5)
    with pytest.raises(TruncatedStreamError) as caught:
        await counters().load(store, "a")
    assert (caught.value.stream, caught.value.first_version) == ("counter-a", 5)
    with pytest.raises(TruncatedStreamError):
        await counters(snapshots=snapshots(schema=2)).load(store, "a")
    with pytest.raises(TruncatedStreamError):
        await with_snapshots.load(store, "a", upto=3)
    assert await with_snapshots.load(store, "a", upto=99) == Loaded(state=6, version=5)


async def test_a_stream_of_which_nothing_is_left_is_not_taken_for_a_new_one() -> None:
    store = MemoryEventStore()
    with_snapshots = counters(snapshots=snapshots(every=5))
    await with_snapshots.act(store, "a", adding(*[1] * 5))
    await store.truncate("counter-a", before=5)
    assert await with_snapshots.load(store, "a") == Loaded(state=5, version=4)
    with pytest.raises(TruncatedStreamError):
        await counters(snapshots=snapshots(schema=2)).load(store, "a")
    with pytest.raises(TruncatedStreamError):
        await counters().act(store, "a", adding(1))
    for upto in (None, 2, 99):
        with pytest.raises(TruncatedStreamError) as caught:
            await counters().load(store, "a", upto=upto)
        assert (caught.value.stream, caught.value.first_version) == ("counter-a", 5)
    with pytest.raises(TruncatedStreamError):
        await counters().act(store, "a", adding())
    assert await counters().load(store, "b") == Loaded(state=0, version=-1)
    assert (await store.heads(["counter-a"]))["counter-a"].version == 4


async def test_a_stream_cut_off_while_it_is_loaded_is_loaded_from_the_newer_snapshot() -> None:
    class CutMeanwhile(MemoryEventStore):
        reads = 0

        @override
        async def read(self, stream: str, **given: Any) -> AsyncIterator[Event]:
            self.reads += 1
            if self.reads == 3:
                await self.truncate(stream, before=10)
            async for event in super().read(stream, **given):
                yield event

        @override
        async def latest_snapshot(self, stream: str, **given: Any) -> Snapshot | None:
            if self.reads == 2:
                given["upto"] = 5
            return await super().latest_snapshot(stream, **given)

    store, aggregate = CutMeanwhile(), counters(snapshots=snapshots(every=5))
    await aggregate.act(store, "a", adding(*[1] * 5))
    await aggregate.act(store, "a", adding(*[1] * 6))
    assert await aggregate.load(store, "a") == Loaded(state=11, version=10)
    assert store.reads == 4


# --- the cache --------------------------------------------------------------


async def test_a_cached_state_is_not_folded_again() -> None:
    store, cached = WatchedStore(), counters(cache=2)
    await cached.act(store, "a", adding(*[1] * 100))
    store.rows = 0
    assert await cached.load(store, "a") == Loaded(state=100, version=99)
    assert store.rows == 1
    await counters().act(store, "a", adding(5))
    store.rows = 0
    assert await cached.load(store, "a") == Loaded(state=105, version=100)
    assert store.rows == 2
    assert await cached.load(store, "a", upto=3) == Loaded(state=4, version=3)


async def test_the_state_used_longest_ago_goes_first() -> None:
    store, cached = WatchedStore(), counters(cache=2)
    for key in ("a", "b", "a", "c"):
        await cached.act(store, key, adding(1, 1, 1))
    for key, rows in (("c", 1), ("a", 1), ("b", 3)):
        store.rows = 0
        await cached.load(store, key)
        assert store.rows == rows


async def test_a_stream_that_was_deleted_and_begun_again_is_not_taken_from_the_cache() -> None:
    store, cached = MemoryEventStore(), counters(cache=2)
    await cached.act(store, "a", adding(1, 1))
    await store.delete_stream("counter-a")
    assert await cached.load(store, "a") == Loaded(state=0, version=-1)
    await cached.act(store, "a", adding(1, 1))
    await store.delete_stream("counter-a")
    await counters().act(store, "a", adding(5, 5, 5))
    assert await cached.load(store, "a") == Loaded(state=15, version=2)


async def test_a_cache_serves_several_stores() -> None:
    one, two, cached = MemoryEventStore(), MemoryEventStore(), counters(cache=2)
    await cached.act(one, "a", adding(1))
    await cached.act(two, "a", adding(2))
    assert await cached.load(one, "a") == Loaded(state=1, version=0)
    assert await cached.load(two, "a") == Loaded(state=2, version=0)


async def test_a_cached_state_survives_a_cut_behind_it() -> None:
    store = MemoryEventStore()
    cached = counters(cache=1)
    await cached.act(store, "a", adding(1, 1))
    await store.truncate("counter-a", before=1, snapshot=False)
    assert await cached.load(store, "a") == Loaded(state=2, version=1)
    await store.truncate("counter-a", before=2, snapshot=False)
    with pytest.raises(TruncatedStreamError):
        await cached.act(store, "a", adding(1))


# --- what is refused --------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"category": ""}, InvalidEventError, "category must not be empty"),
        ({"category": "a-b"}, ValueError, "category must not contain '-'"),
        ({"category": 7}, TypeError, "category must be a string"),
        ({"events": []}, ValueError, "events must not be empty"),
        ({"events": [Added, Added]}, ValueError, "a class comes twice"),
        ({"events": Added}, TypeError, "events must be a list of classes"),
        ({"events": [Added(1)]}, TypeError, "events must be a list of classes"),
        ({"initial": 0}, TypeError, "initial must be callable"),
        ({"evolve": None}, TypeError, "evolve must be callable"),
        ({"snapshots": 100}, TypeError, "snapshots must be a SnapshotPolicy"),
        ({"retries": -1}, ValueError, "retries must not be negative"),
        ({"cache": 1.5}, TypeError, "cache must be an int"),
        ({"clock": 3}, TypeError, "clock must be a Clock"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else None,
)
def test_a_wrong_setting_is_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    given: dict[str, Any] = {
        "category": "counter",
        "events": [Added],
        "initial": int,
        "evolve": lambda total, event: total + event.amount,
    }
    with pytest.raises(error, match=message):
        Aggregate(**given | settings)


async def _async_decide(_: int) -> list[Added]:
    return []


@pytest.mark.parametrize(
    ("decide", "message"),
    [
        (lambda _: None, "decide must return a list of events, got None"),
        (lambda _: Added(1), "decide must return a list of events, got Added"),
        (lambda _: "no", "decide must return a list of events, got 'no'"),
        (_async_decide, "decide must return a list of events, got <coroutine"),
        (lambda _: [7], "an event must be one of Added, got 7"),
        (lambda _: [Added("7")], "Added.amount must be int, got '7'"),  # type: ignore[arg-type]
        (None, "decide must be callable"),
    ],
    ids=["nothing", "one event", "a string", "async", "another class", "a wrong field", "None"],
)
async def test_a_wrong_decision_is_refused(decide: Any, message: str) -> None:
    store = MemoryEventStore()
    with pytest.raises(TypeError, match=message):
        await counters().act(store, "a", decide)
    assert await store.heads(["counter-a"]) == {}


async def test_a_wrong_key_is_refused() -> None:
    store, wrong = MemoryEventStore(), counters()
    for key, error in (("", InvalidEventError), ("a\0", InvalidEventError), (7, TypeError)):
        with pytest.raises(error):
            await wrong.load(store, key)  # type: ignore[arg-type] # that is the point
        with pytest.raises(error):
            await wrong.act(store, key, adding(1))  # type: ignore[arg-type] # that is the point
    with pytest.raises(InvalidEventError, match="stream must have at most 512 bytes"):
        await wrong.load(store, "x" * 505)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (NewEvent("Renamed", {"amount": 1}), "'Renamed' is not one of the known events: Added"),
        (NewEvent("Added", {"n": 1}), "the data of 'Added' does not fit"),
        (NewEvent("Added", {"amount": "1"}), "Added.amount must be int, got '1'"),
        (NewEvent("Added", {"amount": 1}, meta={"schema": 1}), "schema 1, and this program"),
        (NewEvent("Added", {"amount": 1}, meta={"schema": "new"}), "schema 'new'"),
        (NewEvent("Added", {"amount": 1}, meta={"schema": True}), "schema True"),
    ],
    ids=["name", "member", "type", "newer schema", "schema of text", "schema of bool"],
)
async def test_an_event_that_is_unknown_is_not_folded(event: NewEvent, message: str) -> None:
    """Folding is strict: what is left out would make every state after it wrong."""
    store = MemoryEventStore()
    await store.append("counter-a", [NewEvent("Added", {"amount": 1}), event])
    with pytest.raises(UnknownEventError, match=message) as caught:
        await counters().load(store, "a")
    assert "'counter-a', version 1" in str(caught.value)
    with pytest.raises(UnknownEventError):
        await counters().act(store, "a", adding(1))

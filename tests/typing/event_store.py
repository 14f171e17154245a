"""What type checkers make of arvo_event_store. Checked by mypy and basedpyright, never run."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import assert_type

from arvo_event_store import (
    Acted,
    Aggregate,
    Appended,
    Archive,
    DataclassCodec,
    IEventCodec,
    IEventLog,
    IEventStore,
    IReactionStore,
    IRetentionStore,
    IStreamAccess,
    IStreamAdmin,
    IWakeUps,
    Loaded,
    MemoryEventStore,
    NewEvent,
    RetentionPolicy,
    RetentionWorker,
    SnapshotPolicy,
    Upcast,
)
from arvo_event_store.pydantic import PydanticCodec
from arvo_event_store.testing import ClosableEventStore, WakingLog


@dataclass(frozen=True)
class Added:
    amount: int


@dataclass(frozen=True)
class Renamed:
    name: str


@dataclass(frozen=True)
class Counter:
    total: int = 0
    name: str = ""


def evolve(counter: Counter, event: Added | Renamed) -> Counter:
    if isinstance(event, Added):
        return replace(counter, total=counter.total + event.amount)
    return replace(counter, name=event.name)


# --- the store in memory is all of these -------------------------------------

store = MemoryEventStore()
log: IEventLog = store
access: IStreamAccess = store
admin: IStreamAdmin = store
event_store: IEventStore = store
reactions: IReactionStore = store
wake_ups: IWakeUps = store
waking: WakingLog = store
closable: ClosableEventStore = store
retained: IRetentionStore = store
codecs: list[IEventCodec] = [DataclassCodec(), PydanticCodec()]


# --- the counter: what is inferred -------------------------------------------

counters = Aggregate(
    category="counter",
    events=[Added],
    initial=Counter,
    evolve=lambda counter, event: replace(counter, total=counter.total + event.amount),
)
both = Aggregate(category="counter", events=[Added, Renamed], initial=Counter, evolve=evolve)
assert_type(both, Aggregate[Counter, Added | Renamed])


async def count() -> None:
    acted = await counters.act(store, "a", lambda _: [Added(7), Added(1)])
    assert_type(acted, Acted[Counter])
    assert_type(acted.state.total, int)
    assert_type(acted.appended, Appended | None)
    loaded = await both.load(store, "a", upto=3)
    assert_type(loaded, Loaded[Counter])
    _ = await both.act(store, "a", lambda counter: [Added(counter.total), Renamed(counter.name)])
    _ = await both.act(store, "a", lambda _: [])
    # A log appends now, so there is always an answer; a reaction's call only stages it.
    assert_type(await log.append("a", [NewEvent("Added", {"amount": 1})]), Appended)
    assert_type(await access.append("a", []), Appended | None)
    assert_type([event.version async for event in log.read("a")], list[int])


# --- wrong uses of aggregates -------------------------------------------------


async def wrong() -> None:
    _ = await counters.act(store, "a", lambda _: [Renamed("b")])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    _ = await counters.act(store, "a", lambda _: Added(1))  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    _ = await counters.act(store, 7, lambda _: [])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    _ = await counters.load(admin, "a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def decide(_: Counter) -> list[Added]:
    return []


async def wrong_decision() -> None:
    _ = await counters.act(store, "a", decide)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def no_state(counter: Counter, event: Added | Renamed) -> None:
    _ = counter, event


Aggregate(category="counter", events=[Added], initial=Counter, evolve=no_state)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
Aggregate("counter", [Added], Counter, evolve)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

# --- snapshots, codecs, retention ---------------------------------------------

snapshots = SnapshotPolicy[Counter](
    dump=lambda counter: {"total": counter.total, "name": counter.name},
    load=lambda state: Counter(**state),
)
kept = Aggregate(
    category="counter",
    events=[Added, Renamed],
    initial=Counter,
    evolve=evolve,
    snapshots=snapshots,
    codec=DataclassCodec(
        names={Added: "added"}, upcasts=[Upcast(event="added", since=1, function=dict)]
    ),
    cache=100,
)
assert_type(kept, Aggregate[Counter, Added | Renamed])

SnapshotPolicy[int](dump=lambda total: {total}, load=int)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
Upcast("added", 1, dict)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

policy = RetentionPolicy(
    "counter-", max_age=timedelta(days=30), archive=Archive("archive"), snapshot_kind="counter"
)
RetentionWorker(store, policies=[policy])
RetentionPolicy("counter-", max_age=30, snapshot_kind=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
RetentionPolicy("counter-", max_count=30)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def no_admin(log: IEventLog) -> None:
    _ = RetentionWorker(log, policies=[policy])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

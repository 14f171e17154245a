"""What type checkers make of arvo_event_store. Checked by mypy and basedpyright, never run."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_type

from arvo_event_store import (
    PER_EVENT,
    Acted,
    Aggregate,
    Appended,
    Archive,
    Batch,
    DataclassCodec,
    Event,
    EventConsumer,
    IEventCodec,
    IEventLog,
    IEventStore,
    IReactionStore,
    IRetentionStore,
    IStreamAccess,
    IStreamAdmin,
    IWakeUps,
    Lane,
    Loaded,
    MemoryEventStore,
    NewEvent,
    Postpone,
    Projection,
    Reaction,
    ReactionCall,
    ReactionFailure,
    ReactionWorker,
    Reject,
    RetentionPolicy,
    RetentionWorker,
    SnapshotPolicy,
    Upcast,
    WorkerHealth,
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


# --- reactions: handlers fit their events --------------------------------------


def deposit(connection: object, log: object) -> None:
    _ = connection, log


async def praise(call: ReactionCall[Added]) -> None:
    assert_type(call.data, Added)
    assert_type(call.event, Event)
    assert_type(call.attempt, int)
    assert_type(call.deadline, datetime)
    call.emit("praise", Renamed("a"), NewEvent("Any", 1))
    assert_type(await call.append("a", [NewEvent("Added", 1)], expect=3), None)
    staged = await counters.act(call, "a", lambda _: [Added(1)])
    assert_type(staged.state, Counter)
    call.execute("insert into balance values (?)", 7)
    call.run(deposit)


async def react(call: ReactionCall[Added | Renamed]) -> None:
    assert_type(call.data, Added | Renamed)


async def sum_up(batch: Batch[Added | Renamed]) -> None:
    for item in batch:
        assert_type(item.data, Added | Renamed)
    assert_type(len(batch), int)
    batch.execute("delete from balance")


async def see(call: ReactionCall[Event]) -> None:
    assert_type(call.data, Event)


class Praise:
    async def __call__(self, call: ReactionCall[Added]) -> None:
        await praise(call)


def keys(event: Event) -> list[str] | None:
    return [event.stream] if event.version else None


access_by_call: Callable[[ReactionCall[Added]], IStreamAccess] = lambda call: call  # noqa: E731
consuming = [
    Reaction(name="praise", on=[Added], handler=praise),
    Reaction(name="instance", on=[Added], handler=Praise(), to=PER_EVENT, addressed=True),
    Reaction(name="react", on=[Added, Renamed], handler=react, to=keys, start="now"),
    Reaction(name="key", on=[Added], handler=react, to=lambda event: event.stream),
    Reaction(name="all", on=[Event], handler=see, on_exhausted="park", start=7),
    Projection(name="sum", on=[Added, Renamed], handler=sum_up, lane="slow"),
]
consumers: list[EventConsumer] = [*consuming]
worker = ReactionWorker(
    store, group="g", reactions=consuming, lanes={"slow": Lane(concurrency=4)}, on_error=None
)
ReactionWorker(event_store, group="g", reactions=consumers, poll=timedelta(seconds=1))


async def told(failure: ReactionFailure) -> None:
    assert_type(failure.error, Exception)


async def work() -> None:
    async with ReactionWorker(store, group="g", reactions=consumers, on_error=told) as running:
        assert_type(running, ReactionWorker)
        assert_type(await running.settle(), None)
        assert_type(running.health(), WorkerHealth)
        assert_type(running.stats().handled, int)
    raise Postpone(after=timedelta(days=1)) from Reject("no")


# --- wrong uses of reactions ----------------------------------------------------


async def rename(_: ReactionCall[Renamed]) -> None: ...


async def returning(_: ReactionCall[Added]) -> list[Added]:
    return []


def not_async(_: ReactionCall[Added]) -> None: ...


Reaction(name="wrong", on=[Added], handler=rename)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Reaction(name="wrong", on=[Added, Renamed], handler=rename)  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
Reaction(name="wrong", on=[Added], handler=returning)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Reaction(name="wrong", on=[Added], handler=not_async)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Reaction(name="wrong", on=[Added], handler=sum_up)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Reaction(name="wrong", on=[Added], handler=praise, to=lambda event: event.version)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
Reaction(name="wrong", on=[Added], handler=praise, on_exhausted="stop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Reaction("wrong", [Added], praise)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Projection(name="wrong", on=[Added], handler=sum_up)
Projection(name="wrong", on=[Renamed], handler=praise)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Projection(name="wrong", on=[Added], handler=praise)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ReactionWorker(store, group="g", reactions=[praise])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
ReactionWorker(store, group="g", reactions=consuming, poll=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Lane(4)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Postpone(timedelta(days=1))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

"""What becomes of events whose handlers fail, and of what they staged."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from arvo_event_store import (
    PER_EVENT,
    Aggregate,
    Append,
    Batch,
    Event,
    EventConsumer,
    Expect,
    Lane,
    MemoryEventStore,
    NewEvent,
    NotSupportedError,
    Postpone,
    Projection,
    Reaction,
    ReactionCall,
    ReactionChangedError,
    ReactionFailure,
    ReactionWorker,
    Snapshot,
    TargetState,
    Wake,
)
from arvo_time import Backoff, RetryPolicy
from arvo_time.testing import FakeClock

GROUP = "g"
ONCE = RetryPolicy(retries=0)
AT_ONCE = RetryPolicy(retries=3, backoff=Backoff(initial=timedelta(0), maximum=timedelta(0)))


@dataclass(frozen=True)
class Added:
    amount: int


@dataclass(frozen=True)
class Echoed:
    amount: int


totals = Aggregate(
    category="total",
    events=[Echoed],
    initial=int,
    evolve=lambda total, event: total + event.amount,
)


async def echo(call: ReactionCall[Added]) -> None:
    call.emit("echo", Echoed(call.data.amount))


async def add(store: MemoryEventStore, stream: str, *amounts: object) -> None:
    await store.append(stream, [NewEvent("Added", {"amount": amount}) for amount in amounts])  # type: ignore[dict-item]


async def amounts(store: MemoryEventStore, stream: str) -> list[int]:
    return [event.data["amount"] async for event in store.read(stream)]


async def only_target(store: MemoryEventStore) -> TargetState:
    (target,) = [each async for each in store.targets(GROUP)]
    return target


@pytest.fixture
def failures() -> list[ReactionFailure]:
    return []


@pytest.fixture
def settled(store: MemoryEventStore, clock: FakeClock, failures: list[ReactionFailure]) -> Any:
    """Settles a worker for some reactions, and returns it."""

    async def note(failure: ReactionFailure) -> None:
        failures.append(failure)

    async def settle(*reactions: EventConsumer, **settings: Any) -> ReactionWorker:
        worker = ReactionWorker(
            store, group=GROUP, reactions=reactions, clock=clock, on_error=note, **settings
        )
        await clock.run_until_complete(worker.settle())
        return worker

    return settle


# --- answers of handlers ------------------------------------------------------


async def test_data_that_fits_no_class_is_not_tried_again(
    store: MemoryEventStore, settled: Any, failures: list[ReactionFailure]
) -> None:
    await add(store, "a", 1, "two", 3)
    await store.append("a", [NewEvent("Added", {"amount": 4}, meta={"schema": 1})])
    await settled(Reaction(name="echo", on=[Added], handler=echo, on_exhausted="park"))
    assert await amounts(store, "echo") == [1, 3]
    parked = [each async for each in store.parked(GROUP)]
    assert [each.attempts for each in parked] == [1, 1]
    assert "must be int" in parked[0].error
    assert "schema 1" in parked[1].error
    assert [each.outcome for each in failures] == ["parked", "parked"]


async def test_a_handler_that_returns_something_is_told_to_emit(
    store: MemoryEventStore, settled: Any, failures: list[ReactionFailure]
) -> None:
    async def wrong(call: ReactionCall[Added]) -> Any:
        call.emit("echo", Echoed(1))
        return [Echoed(1)]

    await add(store, "a", 1)
    await settled(Reaction(name="wrong", on=[Added], handler=wrong, retry=ONCE))
    assert "use `emit`" in (await only_target(store)).error  # type: ignore[operator]
    assert await amounts(store, "echo") == []
    assert [(each.outcome, each.position, each.key) for each in failures] == [("blocked", 1, "a")]


async def test_what_is_cancelled_inside_a_handler_is_a_failed_try(
    store: MemoryEventStore, settled: Any
) -> None:
    async def wrong(_: ReactionCall[Added]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    class Odd(BaseException):
        pass

    async def odd(_: ReactionCall[Added]) -> None:
        raise Odd("odd")

    await add(store, "a", 1)
    await settled(
        Reaction(name="odd", on=[Added], handler=odd, retry=ONCE),
        Reaction(name="wrong", on=[Added], handler=wrong, retry=ONCE),
    )
    errors = [each.error async for each in store.targets(GROUP)]
    assert errors == [
        "RuntimeError: raised Odd, which does not derive from Exception: odd",
        "RuntimeError: cancelled from inside: something that was awaited had been cancelled",
    ]


async def test_a_postponement_that_counts_ends_some_day(
    store: MemoryEventStore, settled: Any, clock: FakeClock
) -> None:
    attempts: list[int] = []

    async def wait(call: ReactionCall[Added]) -> None:
        attempts.append(call.attempt)
        raise Postpone(until=clock.now() + timedelta(minutes=1), counts=True)

    await add(store, "a", 1)
    reaction = Reaction(name="wait", on=[Added], handler=wait, retry=RetryPolicy(retries=2))
    for _ in range(4):
        await settled(reaction)
        await clock.run_for(timedelta(minutes=1))
    assert attempts == [1, 2, 3]
    target = await only_target(store)
    assert target.blocked_at is not None
    assert target.error is not None
    assert target.error.startswith("Postpone: postponed until")


async def test_a_text_that_no_store_can_keep_is_stored_readably(
    store: MemoryEventStore, settled: Any
) -> None:
    async def wrong(_: ReactionCall[Added]) -> None:
        raise ValueError("a\0b\ud800" + "x" * 10_000)

    await add(store, "a", 1)
    await settled(Reaction(name="wrong", on=[Added], handler=wrong, retry=ONCE))
    error = (await only_target(store)).error
    assert error is not None
    assert error.startswith("ValueError: a\\0b\\ud800xxx")
    assert len(error) < 4_200


# --- what is staged -----------------------------------------------------------


async def test_a_call_takes_nothing_once_its_handler_has_ended(
    store: MemoryEventStore, settled: Any
) -> None:
    calls: list[ReactionCall[Added]] = []

    async def keep(call: ReactionCall[Added]) -> None:
        calls.append(call)

    await add(store, "a", 1)
    await settled(Reaction(name="keep", on=[Added], handler=keep))
    (call,) = calls
    with pytest.raises(RuntimeError, match="over"):
        call.emit("echo", Echoed(1))
    with pytest.raises(RuntimeError, match="over"):
        call.execute("select 1")
    assert (call.group, call.reaction, call.key, call.attempt) == (GROUP, "keep", "a", 1)


async def test_a_call_decides_once_on_a_stream(store: MemoryEventStore, settled: Any) -> None:
    """Its reads do not see what it staged, so a second decision would be on an old state."""
    refusals: list[Exception] = []

    async def twice(call: ReactionCall[Added]) -> None:
        await totals.act(call, "a", lambda _: [Echoed(1)])
        await call.append("total-a", [])
        await call.append("total-a", [NewEvent("Echoed", {"amount": 2})])
        try:
            await totals.act(call, "a", lambda _: [Echoed(3)])
        except NotSupportedError as refusal:
            refusals.append(refusal)

    await add(store, "a", 1)
    await settled(Reaction(name="twice", on=[Added], handler=twice))
    assert await amounts(store, "total-a") == [1, 2]
    assert len(refusals) == 1


async def test_a_call_reads_snapshots_and_stores_them_at_once(
    store: MemoryEventStore, settled: Any
) -> None:
    async def snap(call: ReactionCall[Added]) -> None:
        await call.save_snapshot(Snapshot(stream="a", kind="k", version=0, schema=1, state=7))
        found = await call.latest_snapshot("a", kind="k")
        assert found is not None
        assert found.state == 7
        assert [event.version async for event in call.read("a", limit=1)] == [0]

    await add(store, "a", 1)
    worker = await settled(Reaction(name="snap", on=[Added], handler=snap, retry=ONCE))
    assert worker.stats().handled == 1


async def test_outputs_of_a_window_keep_their_order_and_causes(
    store: MemoryEventStore, settled: Any
) -> None:
    """Some gather, one has an expectation in between."""

    async def mixed(call: ReactionCall[Added]) -> None:
        if call.data.amount % 3 == 2:
            await totals.act(call, "a", lambda total: [Echoed(100 + total)])
        else:
            call.emit("total-a", Echoed(call.data.amount))
            call.emit("other", Echoed(call.data.amount))

    await add(store, "a", *range(7))
    worker = await settled(Reaction(name="mixed", on=[Added], handler=mixed))
    assert await amounts(store, "total-a") == [0, 1, 101, 3, 4, 209, 6]
    assert await amounts(store, "other") == [0, 1, 3, 4, 6]
    causes = {event.id: event.data["amount"] async for event in store.read("a")}
    assert [
        causes[event.causation]  # type: ignore[index]
        async for event in store.read("total-a")
    ] == list(range(7))
    stats = worker.stats()
    assert (stats.handled, stats.contended, stats.retried) == (7, 2, 0)


async def test_what_the_store_refuses_is_the_failed_try_of_its_own_event(
    store: MemoryEventStore, settled: Any, failures: list[ReactionFailure]
) -> None:
    """Whichever of a window it is, and although they are stored together."""

    async def sometimes(call: ReactionCall[Added]) -> None:
        call.emit("closed" if call.data.amount == -1 else "echo", Echoed(call.data.amount))

    await store.append("closed", [NewEvent("Echoed", {"amount": 0})])
    await store.close_stream("closed")
    for number in range(4):
        row = [1, 2, 3, 4]
        row[number] = -1
        await add(store, f"s{number}", *row)
    await settled(
        Reaction(name="some", on=[Added], handler=sometimes, retry=AT_ONCE, on_exhausted="park")
    )
    assert sorted(await amounts(store, "echo")) == sorted([1, 2, 3, 4] * 3)
    parked = [each async for each in store.parked(GROUP)]
    assert [(each.key, each.attempts) for each in parked] == [(f"s{n}", 4) for n in range(4)]
    for number, each in enumerate(parked):
        assert each.position == 2 + number * 4 + number
        assert "is closed" in each.error
    assert {type(each.error).__name__ for each in failures} == {"StreamClosedError"}


async def test_a_store_without_sql_fails_the_try_that_wants_it(
    store: MemoryEventStore, settled: Any
) -> None:
    async def execute(batch: Batch[Added]) -> None:
        for item in batch:
            if item.data.amount == 2:
                batch.execute("insert into balance values (?)", item.data.amount)
            if item.data.amount == 3:
                batch.run(lambda _: None)

    await add(store, "a", 1, 2, 3, 4)
    await settled(
        Projection(name="execute", on=[Added], handler=execute, retry=ONCE, on_exhausted="park")
    )
    parked = [each async for each in store.parked(GROUP)]
    assert [each.position for each in parked] == [2, 3]
    assert all("NotSupportedError" in each.error for each in parked)
    target = await only_target(store)
    assert target.at == target.mark == 4


# --- contention ---------------------------------------------------------------


async def test_an_expectation_that_never_holds_is_a_failed_try_in_the_end(
    store: MemoryEventStore, settled: Any, failures: list[ReactionFailure]
) -> None:
    tries: list[int] = []

    async def never(call: ReactionCall[Added]) -> None:
        tries.append(call.attempt)
        await call.append("b", [NewEvent("Echoed", {"amount": 1})], expect=99)

    await add(store, "a", 1)
    worker = await settled(
        Reaction(
            name="never",
            on=[Added],
            handler=never,
            retry=RetryPolicy(retries=1, backoff=AT_ONCE.backoff),
        )
    )
    assert tries == [1] * 11 + [2] * 11
    assert [each.outcome for each in failures] == ["retried", "blocked"]
    assert worker.stats().contended == 20


async def test_many_targets_on_one_stream_take_turns(
    store: MemoryEventStore, settled: Any, clock: FakeClock
) -> None:
    async def act(call: ReactionCall[Added]) -> None:
        await clock.sleep(timedelta(milliseconds=10))
        await totals.act(call, "all", lambda _: [Echoed(call.data.amount)])

    for number in range(50):
        await add(store, f"s{number}", number)
    worker = await settled(
        Reaction(name="act", on=[Added], handler=act, retry=ONCE),
        lanes={"default": Lane(concurrency=50)},
    )
    assert sorted(await amounts(store, "total-all")) == list(range(50))
    stats = worker.stats()
    assert stats.handled == 50
    assert stats.contended == 49  # each but the first meets another, and then waits for its turn


async def test_a_conflict_is_met_by_a_fresh_decision(store: MemoryEventStore, settled: Any) -> None:
    tries: list[int] = []

    async def act(call: ReactionCall[Added]) -> None:
        tries.append(call.attempt)
        await totals.act(call, "a", lambda total: [Echoed(total + 1)])
        if len(tries) == 1:  # somebody else is faster
            await store.append("total-a", [NewEvent("Echoed", {"amount": 10})])

    await add(store, "a", 1)
    worker = await settled(Reaction(name="act", on=[Added], handler=act, retry=ONCE))
    assert await amounts(store, "total-a") == [10, 11]
    assert tries == [1, 1]
    assert worker.stats().contended == 1


# --- batches ------------------------------------------------------------------


async def test_the_event_that_fails_a_batch_is_found(store: MemoryEventStore, settled: Any) -> None:
    batches: list[list[int]] = []

    async def project(batch: Batch[Added]) -> None:
        batches.append([item.data.amount for item in batch])
        if any(item.data.amount == 3 for item in batch):
            raise ValueError("three")

    await add(store, "a", 1, 2, 3, 4, 5)
    await settled(
        Projection(
            name="p",
            on=[Added],
            handler=project,
            retry=RetryPolicy(retries=1, backoff=AT_ONCE.backoff),
            on_exhausted="park",
        )
    )
    assert batches == [[1, 2, 3, 4, 5], [1], [2], [3], [3], [4, 5]]
    (parked,) = [each async for each in store.parked(GROUP)]
    assert (parked.position, parked.attempts) == (3, 2)


async def test_a_batch_has_undecodable_events_alone(store: MemoryEventStore, settled: Any) -> None:
    seen: list[int] = []

    async def project(batch: Batch[Added]) -> None:
        seen.extend(item.data.amount for item in batch)

    await add(store, "a", 1, "two", 3)
    await settled(Projection(name="p", on=[Added], handler=project, on_exhausted="park"))
    assert seen == [1, 3]


async def test_an_event_as_it_is_reaches_a_handler_of_any(
    store: MemoryEventStore, settled: Any
) -> None:
    seen: list[tuple[str, Event]] = []

    async def see(call: ReactionCall[Event]) -> None:
        seen.append((call.event.name, call.data))
        assert call.data is call.event
        assert call.token > 0

    await store.append("a", [NewEvent("One", 1), NewEvent("Two", None)])
    await settled(Reaction(name="see", on=[Event], handler=see))
    assert [name for name, _ in seen] == ["One", "Two"]


# --- routes -------------------------------------------------------------------


async def test_a_route_that_fails_puts_the_event_aside(
    store: MemoryEventStore, settled: Any, failures: list[ReactionFailure]
) -> None:
    def route(event: Event) -> Any:
        amount = event.data["amount"]
        if amount == 6:
            raise KeyError("x")
        return {1: "k", 2: "", 3: 7, 4: ["k", "k"], 5: None}[amount]

    await add(store, "a", 1, 2, 3, 4, 5, 6)
    reaction = Reaction(name="keyed", on=[Added], handler=echo, to=route)
    worker = await settled(reaction)
    assert await amounts(store, "echo") == [1, 4]
    parked = [each async for each in store.parked(GROUP)]
    assert [(each.key, each.position, each.attempts) for each in parked] == [
        ("?", 2, 0),
        ("?", 3, 0),
        ("?", 6, 0),
    ]
    assert [(each.key, each.outcome, each.failed) for each in failures] == [("?", "parked", 0)] * 3
    assert worker.stats().parked == 3
    assert await store.replay(GROUP, parked[:1]) == 1
    await settled(reaction)
    assert await amounts(store, "echo") == [1, 4, 2]


async def test_only_events_of_the_prefix_and_after_the_start_are_taken(
    store: MemoryEventStore, settled: Any
) -> None:
    await add(store, "s-a", 1)
    await add(store, "s-a", 2)
    await add(store, "t-a", 3)
    await add(store, "S-a", 4)
    await settled(
        Reaction(name="echo", on=[Added], handler=echo, stream_prefix="s-", start=1),
        Projection(name="now", on=[Added], handler=_never, start="now"),
    )
    assert await amounts(store, "echo") == [2]


async def _never(_: Batch[Added]) -> None:
    raise AssertionError


async def test_a_new_reaction_does_not_hold_up_those_that_are_far_ahead(
    store: MemoryEventStore, settled: Any
) -> None:
    """Both are scanned to the end, over several pages."""
    await add(store, "a", *range(2_500))
    await settled(Projection(name="old", on=[Added], handler=_count), lanes=_WIDE)
    await add(store, "a", *range(10))
    worker = await settled(
        Projection(name="new", on=[Added], handler=_count),
        Projection(name="old", on=[Added], handler=_count),
        lanes=_WIDE,
    )
    assert worker.stats().handled == 2_510 + 10
    assert [each.unscanned for each in await store.lag(GROUP)] == [0, 0]


_WIDE = {"default": Lane(max_events=10_000)}


async def _count(_: Batch[Added]) -> None: ...


# --- deployments --------------------------------------------------------------


async def test_a_definition_that_changed_ends_the_workers_that_have_the_old_one(
    store: MemoryEventStore, clock: FakeClock
) -> None:
    def worker(prefix: str, *, redefine: bool = False) -> ReactionWorker:
        reaction = Reaction(name="echo", on=[Added], handler=echo, stream_prefix=prefix)
        return ReactionWorker(
            store, group=GROUP, reactions=[reaction], clock=clock, redefine=redefine
        )

    async def scenario() -> None:
        old = worker("")

        async def run_until_redefined() -> None:
            async with old:
                with pytest.raises(ReactionChangedError, match="redefine"):
                    await worker("s-").settle()
                await worker("s-", redefine=True).settle()
                await asyncio.Event().wait()

        with pytest.raises(ReactionChangedError, match="stream_prefix"):
            await run_until_redefined()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        with pytest.raises(ReactionChangedError):
            await old.settle()

    await clock.run_until_complete(scenario())


async def test_work_of_another_deployment_does_not_keep_a_worker_busy(
    store: MemoryEventStore, settled: Any, clock: FakeClock
) -> None:
    """Its targets are in the same lane, and no reaction of this worker has them."""

    async def later(_: ReactionCall[Added]) -> None:
        raise Postpone(after=timedelta(seconds=1))

    await add(store, "a", 1)
    await settled(Reaction(name="other", on=[Added], handler=later))
    await clock.run_for(timedelta(seconds=2))
    worker = await settled(Reaction(name="echo", on=[Added], handler=echo))
    assert await amounts(store, "echo") == [1]
    assert worker.stats().claimed == 1


async def test_an_addressed_reaction_needs_no_scan(store: MemoryEventStore, settled: Any) -> None:
    wake = Wake(group=GROUP, reaction="echo", lane="default", to=PER_EVENT)
    await add(store, "a", 1)
    await store.append_all([Append("a", [NewEvent("Added", {"amount": 2})], wakes=[wake])])
    await settled(Reaction(name="echo", on=[Added], handler=echo, to=PER_EVENT, addressed=True))
    assert await amounts(store, "echo") == [2]


async def test_failures_are_logged_where_nobody_listens(
    store: MemoryEventStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def wrong(_: ReactionCall[Added]) -> None:
        raise ValueError("wrong")

    await add(store, "a", 1)
    reaction = Reaction(name="wrong", on=[Added], handler=wrong, retry=ONCE)
    worker = ReactionWorker(store, group=GROUP, reactions=[reaction], clock=clock)
    with caplog.at_level(logging.WARNING, "arvo_event_store"):
        await clock.run_until_complete(worker.settle())
    (record,) = caplog.records
    assert "reaction 'wrong' of group 'g': blocked: event 1 of target 'a'" in record.getMessage()


async def test_expectations_other_than_a_version_are_stored_at_once(
    store: MemoryEventStore, settled: Any
) -> None:
    async def first(call: ReactionCall[Added]) -> None:
        await call.append(
            f"only-{call.data.amount}", [NewEvent("Echoed", 1)], expect=Expect.NO_STREAM
        )

    await add(store, "a", 1, 2)
    await settled(Reaction(name="first", on=[Added], handler=first, retry=ONCE))
    assert (await store.heads(["only-1", "only-2"])).keys() == {"only-1", "only-2"}

"""How a worker begins, leaves, loses leases and waits for a store that fails."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from arvo_event_store import (
    PER_EVENT,
    Event,
    EventConsumer,
    Lane,
    MemoryEventStore,
    NewEvent,
    Postpone,
    Reaction,
    ReactionCall,
    ReactionWorker,
    StoreFailure,
    TargetState,
)
from arvo_event_store.stores import Finish, Finished
from arvo_time import RetryPolicy
from arvo_time.testing import FakeClock

from .faulty_store import FaultyStore

GROUP = "g"
TTL = timedelta(seconds=3)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Added:
    amount: int


@dataclass(frozen=True)
class Echoed:
    amount: int


async def echo(call: ReactionCall[Added]) -> None:
    call.emit("echo", Echoed(call.data.amount))


async def add(store: MemoryEventStore, stream: str, *amounts: int) -> None:
    await store.append(stream, [NewEvent("Added", {"amount": amount}) for amount in amounts])


async def echoes(store: MemoryEventStore) -> list[int]:
    return [event.data["amount"] async for event in store.read("echo")]


async def only_target(store: MemoryEventStore) -> TargetState:
    (target,) = [each async for each in store.targets(GROUP)]
    return target


Make = Callable[..., ReactionWorker]


@pytest.fixture
def worker(store: MemoryEventStore, clock: FakeClock) -> Make:
    def make(*reactions: EventConsumer, **settings: Any) -> ReactionWorker:
        settings.setdefault("lanes", {"default": Lane(ttl=TTL)})
        return ReactionWorker(
            settings.pop("store", store),
            group=GROUP,
            reactions=reactions,
            clock=clock,
            **settings,
        )

    return make


# --- leases -------------------------------------------------------------------


async def test_what_is_staged_under_a_lost_lease_is_dropped(
    store: MemoryEventStore, clock: FakeClock, worker: Make
) -> None:
    """The handler is cancelled, as soon as the lease cannot be renewed."""
    began: list[int] = []
    ended: list[str] = []

    async def slow(call: ReactionCall[Added]) -> None:
        began.append(call.token)
        call.emit("echo", Echoed(call.data.amount))
        if len(began) == 1:
            await store.reset(GROUP, reaction="slow", after=0)
            try:
                await clock.sleep(timedelta(hours=1))
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise
        call.emit("echo", Echoed(-call.data.amount))

    async def scenario() -> None:
        await add(store, "a", 1, 2)
        async with worker(Reaction(name="slow", on=[Added], handler=slow)) as running:
            await clock.sleep(TTL)
            await running.settle()
            assert running.stats().lost == 1
            assert running.stats().retried == 0

    await clock.run_until_complete(scenario())
    assert ended == ["cancelled"]
    assert await echoes(store) == [1, -1, 2, -2]
    assert began[0] < began[1]


async def test_a_handler_that_ignores_that_its_lease_is_lost_stores_nothing(
    store: MemoryEventStore, clock: FakeClock, worker: Make
) -> None:
    tries: list[int] = []

    async def stubborn(call: ReactionCall[Added]) -> None:
        tries.append(call.attempt)
        if len(tries) == 1:
            await store.reset(GROUP, reaction="stubborn", after=0)
            try:
                await clock.sleep(timedelta(hours=1))
            except asyncio.CancelledError:
                await clock.sleep(SECOND)
        call.emit("echo", Echoed(len(tries)))

    async def scenario() -> None:
        await add(store, "a", 1)
        async with worker(Reaction(name="stubborn", on=[Added], handler=stubborn)) as running:
            await clock.sleep(TTL * 3)
            await running.settle()
            assert running.stats().lost == 1

    await clock.run_until_complete(scenario())
    assert await echoes(store) == [2]


async def test_a_long_window_is_stored_in_parts(
    store: MemoryEventStore, clock: FakeClock, worker: Make
) -> None:
    """After a third of the lease's time, so that little is done again."""

    async def slow(call: ReactionCall[Added]) -> None:
        call.emit("echo", Echoed(call.data.amount))
        await clock.sleep(timedelta(milliseconds=400))

    async def scenario() -> None:
        await add(store, "a", *range(9))
        async with worker(Reaction(name="slow", on=[Added], handler=slow)):
            await clock.sleep(timedelta(milliseconds=1_300))
            assert await echoes(store) == [0, 1, 2]
            target = await only_target(store)
            assert (target.at, target.mark, target.attempt) == (3, 9, 1)
            await clock.sleep(timedelta(seconds=3))
        assert await echoes(store) == list(range(9))

    await clock.run_until_complete(scenario())


async def test_a_deadline_moves_with_the_lease(
    store: MemoryEventStore, clock: FakeClock, worker: Make
) -> None:
    left: list[timedelta] = []

    async def slow(call: ReactionCall[Added]) -> None:
        for _ in range(4):
            left.append(call.deadline - clock.now())
            await clock.sleep(SECOND)

    await add(store, "a", 1)
    await clock.run_until_complete(worker(Reaction(name="slow", on=[Added], handler=slow)).settle())
    assert left[0] == TTL
    assert all(TTL - SECOND <= each <= TTL for each in left)


async def test_after_a_death_each_event_of_a_window_is_stored_alone(
    store: MemoryEventStore, clock: FakeClock, worker: Make
) -> None:
    """So the one that kills is known, and those before it are not done again."""
    tries: list[tuple[int, int]] = []

    async def deadly(call: ReactionCall[Added]) -> None:
        tries.append((call.data.amount, call.attempt))
        call.emit("echo", Echoed(call.data.amount))
        if call.data.amount == 2:
            await asyncio.Event().wait()

    reaction = Reaction(
        name="deadly",
        on=[Added],
        handler=deadly,
        retry=RetryPolicy(retries=1),
        on_exhausted="park",
    )

    async def scenario() -> None:
        await add(store, "a", 0, 1, 2, 3)
        for _ in range(4):
            running = await worker(reaction).__aenter__()
            await clock.sleep(SECOND)
            await vanish(running)
            await clock.sleep(TTL * 2)

    await clock.run_until_complete(scenario())
    assert [amount for amount, _ in tries] == [0, 1, 2, 0, 1, 2, 2, 3]
    assert await echoes(store) == [0, 1, 3]
    (parked,) = [each async for each in store.parked(GROUP)]
    assert (parked.position, parked.attempts) == (3, 2)


async def vanish(running: ReactionWorker) -> None:
    """Let a worker end without a word, as a process that is killed."""
    engine = running._engine
    assert engine is not None
    tasks = [*engine._tasks, *(task for drain in engine._drains for task in drain._runs)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_finish_that_takes_long_is_not_taken_for_a_lost_lease(
    store: MemoryEventStore, clock: FakeClock, worker: Make
) -> None:
    """The lease has ended in the store, and is renewed no more, before the answer comes."""
    far = FaultyStore(store, clock=clock, random=Random(1), odds=0.0)
    far.reply_after = TTL

    async def scenario() -> None:
        await add(store, "a", 1)
        running = worker(Reaction(name="echo", on=[Added], handler=echo), store=far)
        await running.settle()
        stats = running.stats()
        assert (stats.lost, stats.handled) == (0, 1)

    await clock.run_until_complete(scenario())


async def test_what_is_due_is_not_late_by_a_look(
    store: MemoryEventStore, clock: FakeClock, worker: Make
) -> None:
    """Workers look again when the next target is due, not only once a minute."""
    times: dict[int, list[float]] = {1: [], 2: []}

    async def wait(call: ReactionCall[Added]) -> None:
        times[call.data.amount].append(clock.monotonic())
        if len(times[call.data.amount]) == 1:
            raise Postpone(after=timedelta(milliseconds=100 * call.data.amount))

    async def scenario() -> None:
        await add(store, "a", 1)
        await add(store, "b", 2)
        reaction = Reaction(name="wait", on=[Added], handler=wait)
        async with worker(reaction, poll=timedelta(minutes=1)):
            await clock.sleep(SECOND)

    await clock.run_until_complete(scenario())
    assert times == {1: [0, 0.1], 2: [0, 0.2]}


# --- leaving ------------------------------------------------------------------


async def test_leaving_waits_for_the_grace_and_gives_the_rest_back(
    store: MemoryEventStore, clock: FakeClock, worker: Make
) -> None:
    async def slow(call: ReactionCall[Added]) -> None:
        call.emit("echo", Echoed(call.data.amount))
        await clock.sleep(timedelta(milliseconds=400))

    async def scenario() -> None:
        await add(store, "a", *range(9))
        await add(store, "b", 10)
        async with worker(Reaction(name="slow", on=[Added], handler=slow), grace=SECOND) as running:
            await clock.sleep(timedelta(milliseconds=100))
            with pytest.raises(RuntimeError, match="runs already"):
                await running.__aenter__()
        assert running.stats().running == 0
        with pytest.raises(RuntimeError, match="does not run"):
            await running.__aexit__(None, None, None)

    await clock.run_until_complete(scenario())
    assert sorted(await echoes(store)) == [0, 1, 10]
    a, b = [each async for each in store.targets(GROUP)]
    assert (a.at, a.leased_until, a.attempt) == (2, None, 0)
    assert b.at == b.mark
    assert clock.monotonic() == 1.1


async def test_a_handler_that_never_ends_is_left_behind(
    store: MemoryEventStore,
    clock: FakeClock,
    worker: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its lease runs out, and what it does after all is not stored."""
    released = asyncio.Event()
    ended = asyncio.Event()

    async def stubborn(call: ReactionCall[Added]) -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        call.emit("echo", Echoed(call.attempt))
        ended.set()

    reaction = Reaction(name="stubborn", on=[Added], handler=stubborn)

    async def scenario() -> None:
        await add(store, "a", 1)
        async with worker(reaction, grace=SECOND):
            await clock.sleep(SECOND)
        assert (await only_target(store)).leased_until is not None
        released.set()
        await ended.wait()
        await asyncio.sleep(0)
        assert await echoes(store) == []
        await clock.sleep(TTL * 4)
        await worker(reaction).settle()

    with caplog.at_level(logging.WARNING, "arvo_event_store"):
        await clock.run_until_complete(scenario())
    assert "ignores that it is cancelled" in caplog.text
    assert await echoes(store) == [2]


async def test_a_block_that_is_cancelled_leaves_all_the_same(
    store: MemoryEventStore, clock: FakeClock, worker: Make
) -> None:
    async def block() -> None:
        async with worker(Reaction(name="hang", on=[Added], handler=_hang)):
            await asyncio.Event().wait()

    async def scenario() -> None:
        await add(store, "a", 1)
        task = asyncio.create_task(block())
        await clock.sleep(SECOND)
        task.cancel()
        await clock.sleep(SECOND)
        assert not task.done()
        task.cancel()  # once more ends the grace
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    await clock.run_until_complete(scenario())
    target = await only_target(store)
    assert (target.leased_until, target.attempt) == (None, 0)
    assert clock.monotonic() == 2


async def _hang(_: ReactionCall[Added]) -> None:
    await asyncio.Event().wait()


async def test_a_worker_may_run_again(
    store: MemoryEventStore, clock: FakeClock, worker: Make
) -> None:
    async def scenario() -> None:
        again = worker(Reaction(name="echo", on=[Added], handler=echo))
        for amount in range(3):
            await add(store, "a", amount)
            async with again:
                await again.settle()
        assert again.stats().handled == 3

    await clock.run_until_complete(scenario())
    assert await echoes(store) == [0, 1, 2]


# --- cancellation -------------------------------------------------------------


async def test_a_worker_may_be_cancelled_at_every_await(clock: FakeClock) -> None:
    """No task is left, and the next worker does what is left, each event once."""
    steps = 0
    while True:
        steps += 1
        store = MemoryEventStore(clock=clock)
        await add(store, "a", 1, 2)
        await add(store, "b", 3)
        reactions = [
            Reaction(name="echo", on=[Added], handler=_echo_later),
            Reaction(name="once", on=[Added], handler=_echo_once, to=PER_EVENT),
        ]
        lanes = {"default": Lane(ttl=TTL, max_events=1)}

        async def work(store: MemoryEventStore = store, **settings: Any) -> None:
            await ReactionWorker(store, group=GROUP, clock=clock, **settings).settle()

        before = asyncio.all_tasks()
        task = asyncio.create_task(work(reactions=reactions, lanes=lanes, grace=timedelta(0)))
        for _ in range(steps):
            await asyncio.sleep(0)
        ended = task.done()
        task.cancel()
        await clock.run_until_complete(asyncio.gather(task, return_exceptions=True))
        await clock.settle()
        assert asyncio.all_tasks() == before, f"a task is left after {steps} steps"
        await clock.run_until_complete(work(reactions=reactions, lanes=lanes))
        assert sorted(await echoes(store)) == [1, 2, 3], f"after {steps} steps"
        assert sorted([event.data["amount"] async for event in store.read("once")]) == [1, 2, 3]
        targets = [each async for each in store.targets(GROUP)]
        assert {(each.reaction, each.attempt) for each in targets} == {("echo", 0)}
        if ended:
            assert steps > 20
            return


async def _echo_later(call: ReactionCall[Added]) -> None:
    await asyncio.sleep(0)
    await echo(call)


async def _echo_once(call: ReactionCall[Added]) -> None:
    call.emit("once", Echoed(call.data.amount))
    await asyncio.sleep(0)


# --- stores that fail ---------------------------------------------------------


async def test_a_store_that_fails_shows_in_health_and_is_waited_for(
    store: MemoryEventStore, clock: FakeClock, worker: Make, caplog: pytest.LogCaptureFixture
) -> None:
    far = FaultyStore(store, clock=clock, random=Random(1), odds=0.0)

    async def scenario() -> None:
        reaction = Reaction(name="echo", on=[Added], handler=echo)
        async with worker(reaction, store=far, random=Random(1)) as running:
            await running.settle()
            assert running.health().status == "ok"
            far.fail_for(timedelta(minutes=2))
            await add(store, "a", 1)
            await clock.sleep(timedelta(minutes=1))
            health = running.health()
            assert health.status == "down"
            assert any("no connection" in each for each in health.reasons)
            await clock.sleep(timedelta(minutes=2))
            assert running.health().status == "ok"
            assert await echoes(store) == [1]

    with caplog.at_level(logging.WARNING, "arvo_event_store"):
        await clock.run_until_complete(scenario())
    assert len(caplog.records) < 10


async def test_a_store_that_fails_at_the_end_keeps_no_worker(
    store: MemoryEventStore, clock: FakeClock, worker: Make
) -> None:
    far = FaultyStore(store, clock=clock, random=Random(1), odds=0.0)

    async def scenario() -> None:
        await add(store, "a", 1)
        async with worker(
            Reaction(name="hang", on=[Added], handler=_hang), store=far, grace=SECOND
        ):
            await clock.sleep(SECOND)
            far.fail_for(timedelta(hours=1))

    await clock.run_until_complete(scenario())
    assert clock.monotonic() < 10


async def test_a_finish_whose_outcome_is_unknown_is_not_sent_again(
    store: MemoryEventStore, clock: FakeClock, worker: Make
) -> None:
    """Stored or not, the next lease shows it."""
    for stored in (True, False):
        stream = f"s-{stored}"
        far = FaultyStore(store, clock=clock, random=Random(1), odds=0.0)
        far.lose_next_finish(stored=stored)
        await add(store, stream, 1, 2)
        reaction = Reaction(
            name=f"echo-{stored}", on=[Added], handler=_echo_own, stream_prefix=stream
        )
        running = worker(reaction, store=far)
        await clock.run_until_complete(running.settle())
        echoed = [event.data["amount"] async for event in store.read(f"echo-{stream}")]
        assert echoed == [1, 2]
        assert running.stats().lost == 0


async def _echo_own(call: ReactionCall[Added]) -> None:
    call.emit(f"echo-{call.event.stream}", Echoed(call.data.amount))


async def test_a_closed_store_is_no_reason_to_wait(
    store: MemoryEventStore, clock: FakeClock, worker: Make
) -> None:
    running = worker(Reaction(name="echo", on=[Added], handler=echo))
    await store.aclose()
    with pytest.raises(StoreFailure):
        await clock.run_until_complete(running.settle())

    async def scenario() -> None:
        async with MemoryEventStore(clock=clock) as mine:
            other = worker(Reaction(name="echo", on=[Added], handler=echo), store=mine)
            async with other:
                await mine.aclose()
                with pytest.raises(StoreFailure):
                    await other.settle()

    await clock.run_until_complete(scenario())


async def test_an_outage_of_finishes_alone_is_logged(
    store: MemoryEventStore,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or a target would be blocked in the end for leases that ended, and nothing said why."""

    async def failing(_: Sequence[Finish]) -> list[Finished]:
        raise StoreFailure("no space is left", retryable=True, outcome="failed")

    async def nothing(_: ReactionCall[Event]) -> None: ...

    await store.append("a", [NewEvent("Added", 1)])
    reaction = Reaction(name="r", on=[Event], handler=nothing)
    async with ReactionWorker(store, group="g", reactions=[reaction], clock=clock) as worker:
        monkeypatch.setattr(store, "finish", failing)
        await clock.run_for(timedelta(seconds=20))
        monkeypatch.undo()
        await clock.run_until_complete(worker.settle())
        assert worker.stats().handled == 1
    said = [each.getMessage() for each in caplog.records]
    assert said == [
        "what became of g/r/a cannot be stored, and is tried again: no space is left",
    ]

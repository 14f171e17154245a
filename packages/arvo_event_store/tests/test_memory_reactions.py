"""What no suite can see of reactions in memory: what a claim looks at, and what waits leave behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from typing_extensions import override

from arvo_event_store import (
    PER_EVENT,
    PER_STREAM,
    Append,
    ConflictError,
    Expect,
    InvalidEventError,
    LeaseLostError,
    MemoryEventStore,
    NewEvent,
    NotSupportedError,
    StoreFailure,
    TargetKind,
    Wake,
)
from arvo_event_store._memory._targets import Target, Targets
from arvo_event_store.stores import (
    Blocked,
    Done,
    Finish,
    Lease,
    Mark,
    Parked,
    Postponed,
    ReactionSpec,
    Ready,
    Retried,
    Statement,
    Then,
)
from arvo_time.testing import FakeClock

ME = UUID(int=1)
TTL = timedelta(seconds=30)
STREAMS = ReactionSpec(name="r", events=None, lane="l")
EVENTS = ReactionSpec(name="e", events=None, lane="l", to=PER_EVENT)
KEYS = ReactionSpec(name="k", events=None, lane="l", to=TargetKind.KEY)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(clock: FakeClock) -> AsyncIterator[MemoryEventStore]:
    async with MemoryEventStore(clock=clock) as store:
        await store.register("g", [STREAMS, EVENTS, KEYS])
        yield store


async def appended(store: MemoryEventStore, stream: str, *wakes: Wake) -> int:
    """Append an event, and return its position."""
    (done,) = await store.append_all([Append(stream, [NewEvent("Added", 1)], wakes=wakes)])
    assert done.position is not None
    return done.position


def wake(spec: ReactionSpec) -> Wake:
    return Wake(group="g", reaction=spec.name, lane=spec.lane, to=spec.to)


async def claimed(store: MemoryEventStore, *specs: ReactionSpec, **given: Any) -> list[Lease]:
    asked = {
        "owner": ME,
        "ttl": TTL,
        "reactions": specs or [STREAMS, EVENTS, KEYS],
        "lane": "l",
        "lagging": 5,
        "leading": 5,
        "max_events": 10,
        "max_bytes": 10_000,
    }
    return await store.claim("g", **{**asked, **given})


async def finished(store: MemoryEventStore, lease: Lease, then: Then, **given: Any) -> None:
    """Finish a lease, all of whose events are done unless `given` says otherwise."""
    (done,) = await store.finish([Finish(lease=lease, then=then, **{"at": lease.upto, **given})])
    assert done.error is None


async def marked(store: MemoryEventStore, spec: ReactionSpec, marks: list[Mark]) -> None:
    page = await store.scan("g", owner=ME, ttl=TTL, reactions=[spec], limit=1_000)
    assert page is not None
    assert await store.mark(page, marks, progress=[spec.name])


def mark(spec: ReactionSpec, key: str, *, at: int, mark: int) -> Mark:
    return Mark(reaction=spec.name, key=key, lane="l", reads=spec.to, stream=key, at=at, mark=mark)


# --- what a claim looks at ----------------------------------------------------


class CountedTargets(Targets):
    """Counts the targets that are looked at for their work."""

    looked_at = 0

    @override
    def work(self, group: str, *, lane: str, backward: bool = False) -> Iterator[Target]:
        for target in super().work(group, lane=lane, backward=backward):
            self.looked_at += 1
            yield target


@pytest.mark.parametrize("idle", [0, 20_000])
async def test_idle_targets_are_not_looked_at(store: MemoryEventStore, idle: int) -> None:
    targets = store._targets = CountedTargets()
    await appended(store, "a")
    marks = [mark(STREAMS, f"idle-{number:05}", at=1, mark=1) for number in range(idle)]
    await marked(store, STREAMS, [*marks, mark(STREAMS, "a", at=0, mark=1)])
    assert (await store.ready("g", lanes=["l"])).lanes == {"l"}
    (lease,) = await claimed(store)
    assert lease.key == "a"
    await finished(store, lease, Done())
    assert (await store.ready("g", lanes=["l"])).lanes == frozenset()
    assert await claimed(store) == []
    assert targets.looked_at == 3, "once by ready, once from each end by the claim"


async def test_blocked_and_sleeping_targets_are_not_looked_at(
    store: MemoryEventStore, clock: FakeClock
) -> None:
    targets = store._targets = CountedTargets()
    for number in range(200):
        await appended(store, f"s{number}", wake(STREAMS))
    leases = await claimed(store, lagging=200)
    assert len(leases) == 200
    for lease in leases[:100]:
        then = Blocked(error="no", position=lease.mark, failed=1)
        await finished(store, lease, then, at=lease.at)
    for lease in leases[100:]:
        await finished(store, lease, Postponed(failed=0, after=TTL), at=lease.at)
    targets.looked_at = 0
    assert await claimed(store) == []
    ready = await store.ready("g", lanes=["l"])
    assert (ready.lanes, ready.due_after) == (frozenset(), TTL)
    assert targets.looked_at == 0
    clock.advance(TTL)
    assert len(await claimed(store, lagging=3, leading=0)) == 3
    assert targets.looked_at == 3


async def test_a_claim_stops_when_it_has_enough(store: MemoryEventStore) -> None:
    targets = store._targets = CountedTargets()
    for number in range(500):
        await appended(store, f"s{number}", wake(STREAMS))
    leases = await claimed(store, lagging=2, leading=3)
    assert [lease.key for lease in leases] == ["s0", "s1", "s499", "s498", "s497"]
    assert [lease.lagging for lease in leases] == [True, True, False, False, False]
    assert targets.looked_at == 5


async def test_another_lane_shows_nothing_of_its_sleepers(store: MemoryEventStore) -> None:
    """Or a worker that does not have that lane would look again at once, for ever."""
    due = store._clock.now()
    await store.append_all(
        [
            Append(
                "a",
                [NewEvent("Added", 1)],
                wakes=[Wake(group="g", reaction="r", lane="other", due=due)],
            )
        ]
    )
    here, there = [await store.ready("g", lanes=[lane]) for lane in ("l", "other")]
    assert here == Ready(lanes=frozenset(), due_after=None)
    assert there == Ready(lanes=frozenset({"other"}), due_after=timedelta(0))


# --- wake-ups -------------------------------------------------------------------


async def parked_and_blocked(store: MemoryEventStore) -> None:
    """Leave target "a" blocked, an event of "b" parked, and one of "c" to be done."""
    for stream in ("a", "b", "c"):
        await appended(store, stream, wake(STREAMS))
    blocked, parked = await claimed(store, lagging=2, leading=0)
    await finished(store, blocked, Blocked(error="no", position=1, failed=3), at=0)
    await finished(store, parked, Parked(error="no", position=2, failed=3), at=1)


async def append(store: MemoryEventStore) -> None:
    await appended(store, "c")


async def raise_a_mark(store: MemoryEventStore) -> None:
    await marked(store, STREAMS, [mark(STREAMS, "a", at=0, mark=9)])


async def emit(store: MemoryEventStore) -> None:
    (lease,) = await claimed(store)
    await finished(store, lease, Done(), appends=[Append("out", [NewEvent("Out", 1)])])


async def unblock(store: MemoryEventStore) -> None:
    assert await store.unblock("g", reaction="r") == 1


async def skip(store: MemoryEventStore) -> None:
    assert await store.skip("g", reaction="r", key="a")


async def reset(store: MemoryEventStore) -> None:
    await store.reset("g", reaction="r", after=0)


async def replay(store: MemoryEventStore) -> None:
    assert await store.replay("g", [event async for event in store.parked("g")]) == 1


@pytest.mark.parametrize("change", [append, raise_a_mark, emit, unblock, skip, reset, replay])
async def test_who_waits_is_woken(
    store: MemoryEventStore, clock: FakeClock, change: Callable[[MemoryEventStore], Awaitable[None]]
) -> None:
    await parked_and_blocked(store)
    seen = store.changes
    waiters = [asyncio.create_task(store.wait_for_change(seen=seen, at_most=TTL)) for _ in range(3)]
    await clock.settle()
    assert not any(waiter.done() for waiter in waiters)
    await change(store)
    await clock.settle()
    assert [waiter.done() for waiter in waiters] == [True, True, True]
    assert await asyncio.gather(*waiters) == [True, True, True]
    assert store.changes > seen
    assert (clock.pending, store._changes._waiters) == (0, set())


async def test_what_changes_nothing_wakes_nobody(store: MemoryEventStore, clock: FakeClock) -> None:
    await parked_and_blocked(store)
    batch = [NewEvent("Added", 1)]
    await store.append("d", batch)
    seen = store.changes
    await store.append("d", batch)
    await store.append("d", [])
    await marked(store, STREAMS, [mark(STREAMS, "c", at=0, mark=3)])
    assert await store.unblock("g", reaction="r", key="none") == 0
    assert not await store.skip("g", reaction="r", key="none")
    assert await store.replay("g", []) == 0
    (lease,) = await claimed(store)
    await store.extend([lease], ttl=TTL)
    await store.release([lease])
    assert store.changes == seen
    waiting = asyncio.create_task(store.wait_for_change(seen=seen, at_most=TTL))
    await clock.run_for(TTL - timedelta(microseconds=1))
    assert not waiting.done()
    await clock.run_for(timedelta(microseconds=1))
    assert await waiting is False
    assert (clock.pending, store._changes._waiters) == (0, set())


async def test_a_change_before_the_wait_is_not_lost(
    store: MemoryEventStore, clock: FakeClock
) -> None:
    seen = store.changes
    await appended(store, "a")
    assert await store.wait_for_change(seen=seen, at_most=TTL) is True
    assert clock.pending == 0


async def test_a_cancelled_wait_leaves_nothing_behind(
    store: MemoryEventStore, clock: FakeClock
) -> None:
    waiters = [
        asyncio.create_task(store.wait_for_change(seen=store.changes, at_most=TTL))
        for _ in range(50)
    ]
    await clock.settle()
    assert clock.pending == 50
    for waiter in waiters[:49]:
        waiter.cancel()
    await clock.settle()
    assert (clock.pending, len(store._changes._waiters)) == (1, 1)
    await appended(store, "a")
    assert await waiters[-1] is True
    assert (clock.pending, store._changes._waiters) == (0, set())


async def test_a_wait_ends_when_the_store_is_closed(
    store: MemoryEventStore, clock: FakeClock
) -> None:
    waiting = asyncio.create_task(store.wait_for_change(seen=store.changes, at_most=TTL))
    await clock.settle()
    await store.aclose()
    with pytest.raises(StoreFailure):
        await waiting
    with pytest.raises(StoreFailure):
        await store.wait_for_change(seen=0, at_most=TTL)
    assert clock.pending == 0


# --- finishes ---------------------------------------------------------------------


async def test_staged_work_is_refused_before_anything_is_stored(store: MemoryEventStore) -> None:
    for stream in ("a", "b"):
        await appended(store, stream, wake(STREAMS))
    before = [target async for target in store.targets("g")]
    for work in (Statement("select 1"), print):
        one, other = await claimed(store)
        with pytest.raises(NotSupportedError, match="no SQL"):
            await store.finish(
                [
                    Finish(lease=one, at=one.upto, then=Done()),
                    Finish(lease=other, at=other.upto, then=Done(), work=[work]),
                ]
            )
        await store.release([one, other])
    after = [target async for target in store.targets("g")]
    assert [target.at for target in after] == [target.at for target in before]


async def test_a_refused_output_leaves_the_lease_as_it_was(store: MemoryEventStore) -> None:
    """Also what would be raised as wrong at an append; the other finishes are stored."""
    for stream in ("a", "b"):
        await appended(store, stream, wake(STREAMS))
    lease, other = await claimed(store)
    await store.append("closed", [NewEvent("Added", 1)])
    await store.close_stream("closed")
    before = [target async for target in store.targets("g")]
    event = NewEvent("Other", 1)
    fine = Append("out", [NewEvent("Out", 1)])
    wrong: list[tuple[Append, type[Exception]]] = [
        (Append("x", [event], expect=Expect.STREAM_EXISTS), ConflictError),
        (Append("x", [NewEvent("", 1)]), InvalidEventError),
        (Append("out", [event]), ValueError),
        (Append("x", [event], expect="x"), TypeError),  # type: ignore[arg-type]
    ]
    for append, kind in wrong:
        (done,) = await store.finish(
            [Finish(lease=lease, at=lease.upto, then=Done(), appends=[fine, append])]
        )
        assert isinstance(done.error, kind)
    assert [target async for target in store.targets("g")] == before
    assert await store.heads(["out", "x"]) == {}
    first, second = await store.finish(
        [
            Finish(lease=lease, at=lease.upto, then=Done(), appends=[Append("closed", [event])]),
            Finish(lease=other, at=other.upto, then=Done(), appends=[fine]),
        ]
    )
    assert "closed" in str(first.error)
    assert second.error is None
    await finished(store, lease, Done())
    assert [event.name async for event in store.read("out")] == ["Out"]


async def test_a_lost_lease_stores_no_output(store: MemoryEventStore, clock: FakeClock) -> None:
    await appended(store, "a", wake(STREAMS))
    (old,) = await claimed(store)
    clock.advance(TTL)
    (new,) = await claimed(store, owner=uuid4())
    append = Append("out", [NewEvent("Out", 1)])
    (done,) = await store.finish([Finish(lease=old, at=old.upto, then=Done(), appends=[append])])
    assert isinstance(done.error, LeaseLostError)
    assert await store.heads(["out"]) == {}
    assert await store.extend([old, new], ttl=TTL) == [new]


async def test_a_lease_that_ran_out_is_its_holders_until_it_is_claimed(
    store: MemoryEventStore, clock: FakeClock
) -> None:
    await appended(store, "a", wake(STREAMS))
    (lease,) = await claimed(store)
    clock.advance(TTL * 10)
    assert await store.extend([lease], ttl=TTL) == [lease]
    assert await claimed(store) == []
    clock.advance(TTL * 10)
    await finished(store, lease, Done())


async def test_tokens_grow_over_a_row_that_went_and_came_back(store: MemoryEventStore) -> None:
    """Although time stands still: a replayed event has the key that its target had."""
    position = await appended(store, "a", wake(EVENTS))
    tokens: list[int] = []
    for _ in range(3):
        (lease,) = await claimed(store, EVENTS)
        assert (lease.key, lease.at, lease.mark) == (str(position), position - 1, position)
        tokens.append(lease.token)
        await finished(store, lease, Parked(error="no", position=position, failed=1), at=lease.at)
        assert [target async for target in store.targets("g")] == []
        assert await store.replay("g", [event async for event in store.parked("g")]) == 1
    assert tokens == sorted(set(tokens))
    (old,) = await store.finish([Finish(lease=lease, at=position, then=Done())])
    assert isinstance(old.error, LeaseLostError)


async def test_targets_of_several_streams_hold_up_nobody(store: MemoryEventStore) -> None:
    """A key's list may name what is gone; its watermark passes that."""
    positions = [await appended(store, stream) for stream in ("a", "b", "a")]
    keyed = Mark(
        reaction="k",
        key="x",
        lane="l",
        reads=TargetKind.KEY,
        stream=None,
        at=0,
        mark=3,
        positions=positions,
    )
    await marked(store, KEYS, [keyed])
    assert await store.truncate("a", before=1, snapshot=False) == 1
    assert await store.delete_stream("b")
    (lease,) = await claimed(store, KEYS, max_events=1)
    assert [event.position for event in lease.events] == [3]
    await finished(
        store, lease, Retried(error="no", position=3, failed=1, after=timedelta(0)), at=2
    )
    assert await store.delete_stream("a")
    (lease,) = await claimed(store, KEYS)
    assert (lease.events, lease.upto, lease.failed) == ([], 3, 1)
    await finished(store, lease, Done())
    assert await claimed(store) == []
    (target,) = [each async for each in store.targets("g")]
    assert store._targets.get("g", reaction="k", key="x").listed == []  # type: ignore[union-attr]
    assert (target.at, target.mark, target.stream, target.once) == (3, 3, None, False)


async def test_a_new_definition_refuses_the_pages_of_the_old_one(store: MemoryEventStore) -> None:
    """What such a page left out would never be seen by the new one."""
    await appended(store, "a", wake(STREAMS))
    page = await store.scan("g", owner=ME, ttl=TTL, reactions=[STREAMS], limit=10)
    assert page is not None
    other = ReactionSpec(name="r", events=("Added",), lane="other", to=PER_STREAM)
    await store.register("g", [other], redefine=True)
    assert not await store.mark(page, [], progress=["r"])
    (lag,) = [each for each in await store.lag("g") if each.reaction == "r"]
    assert (lag.scanned, lag.pending) == (0, 1)
    assert (await store.ready("g", lanes=["l"])).lanes == frozenset()
    assert [lease.key for lease in await claimed(store, other, lane="other")] == ["a"]

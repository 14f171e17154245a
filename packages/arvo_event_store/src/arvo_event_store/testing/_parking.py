"""Events that were put aside, and are handed out once more."""

from dataclasses import replace
from datetime import timedelta

from arvo_event_store._errors import LeaseLostError
from arvo_event_store._event import Event
from arvo_event_store._lease import Blocked, Done, Lease, Parked, Retried
from arvo_event_store._scan_page import UnroutedEvent
from arvo_event_store._store import IEventStore
from arvo_event_store._target import PER_EVENT, TargetKind

from ._consumer import (
    MINUTE,
    SCANNED,
    TTL,
    WOKEN,
    Advance,
    Consumer,
    in_order,
    rounds,
    single,
    stored,
)


class Parking:
    """An event that was put aside is seen, and handed out again when an operator says so."""

    async def test_events_put_aside_are_listed(self, store: IEventStore) -> None:
        """F8: of a group or a reaction, in the order of reaction, key and position."""
        specs = [replace(WOKEN, name=name) for name in ("r", "s")]
        consumer = await Consumer(store, specs).register()
        events = {name: await consumer.wake(name, 12) for name in ("b", "a")}
        (other,) = await consumer.wake("a", reaction="s")
        for _ in range(12):
            for lease in await consumer.claim(max_events=1):
                event = single(lease.events)
                await _park(consumer, lease, event, failed=2)
        expected = [
            *(("r", "a", event.position) for event in events["a"]),
            *(("r", "b", event.position) for event in events["b"]),
            ("s", "a", other.position),
        ]
        found = await consumer.parked()
        assert [(each.reaction, each.key, each.position) for each in found] == expected
        assert {(each.group, each.error, each.attempts) for each in found} == {("g", "é🛒", 2)}
        assert abs(found[0].parked_at - other.created) < 10 * MINUTE
        assert found[0].parked_at.utcoffset() == timedelta(0)
        assert await consumer.parked(reaction="s") == found[-1:]
        assert await Consumer(store, group="G").parked() == []
        lags = {each.reaction: each.parked for each in await store.lag("g")}
        assert lags == {"r": 24, "s": 1}

    async def test_the_text_of_any_error_is_kept(self, store: IEventStore) -> None:
        """What a database cannot hold of it is escaped, alike on every store."""
        consumer = await Consumer(store, [SCANNED]).register()
        error = "a\0b\ud800c é"
        (event,) = await stored(store, "a", 1)
        page = await consumer.page()
        unrouted = UnroutedEvent(reaction="r", position=event.position, error=error)
        assert await store.mark(page, [], unrouted=[unrouted], progress=["r"])
        await store.reset("g", reaction="r", after=0)
        await consumer.catch_up()
        then = Blocked(error=error, position=event.position, failed=1)
        await consumer.finish(await consumer.lease(), then)
        kept = "a\\0b\\ud800c é"
        assert single(await consumer.parked()).error == kept
        assert single(await consumer.targets()).error == kept

    async def test_a_replayed_event_is_handed_out_beside_the_others(
        self, store: IEventStore
    ) -> None:
        """F8: as a target of its own; watermarks stay where they are."""
        for kind in TargetKind:
            spec = replace(SCANNED, name=f"r-{kind.value}", to=kind, lane="slow", start="now")
            consumer = await Consumer(store, [spec]).register()
            event, *rest = await stored(store, "a", 3)
            await consumer.catch_up()
            lease, *unused = sorted(await consumer.claim(lane="slow"), key=lambda each: each.at)
            await _park(consumer, lease, event, failed=3)
            await store.release(unused)
            before = await consumer.targets(reaction=spec.name)
            parked = await consumer.parked(reaction=spec.name)
            assert len(parked) == 1
            assert await store.replay("g", parked) == 1
            assert await consumer.parked(reaction=spec.name) == []
            after = await consumer.targets(reaction=spec.name)
            replayed = single([each for each in after if each not in before])
            assert [each for each in after if each in before] == before
            assert (replayed.once, replayed.stream, replayed.lane) == (True, None, "slow")
            assert (replayed.at, replayed.mark) == (event.position - 1, event.position)
            claimed = {each.key: each for each in await consumer.claim(lane="slow")}
            found = claimed.pop(replayed.key)
            assert (list(found.events), found.upto) == ([event], event.position)
            assert (found.reads, found.failed, found.attempt) == (PER_EVENT, 0, 1)
            await consumer.done(found)
            left = [each.key for each in await consumer.targets(reaction=spec.name)]
            assert left == [each.key for each in before]
            others = [each for one in claimed.values() for each in one.events]
            assert in_order(others) == rest

    async def test_a_replayed_event_may_fail_again(self, store: IEventStore) -> None:
        """F8: it is put aside or blocked as others, and replayed as often as an operator likes."""
        for number, to in enumerate((WOKEN.to, PER_EVENT)):
            consumer = await Consumer(store, [replace(WOKEN, to=to)], group=f"g{number}").register()
            (event,) = await consumer.wake("a", to=to)
            await _park(consumer, await consumer.lease(), event, failed=1)
            for failed in (2, 3):
                assert await store.replay(consumer.group, await consumer.parked()) == 1
                lease = await consumer.lease()
                assert list(lease.events) == [event]
                then = Retried(error="x", position=event.position, failed=1, after=timedelta(0))
                assert await consumer.finish(lease, then) is None
                await _park(consumer, await consumer.lease(), event, failed=failed)
                parked = single(await consumer.parked())
                assert (parked.position, parked.attempts) == (event.position, failed)
            assert await store.replay(consumer.group, await consumer.parked()) == 1
            lease = await consumer.lease()
            blocked = Blocked(error="x", position=event.position, failed=1)
            assert await consumer.finish(lease, blocked) is None
            assert await store.unblock(consumer.group, reaction="r") == 1
            await consumer.done(await consumer.lease())
            assert await consumer.parked() == []
            assert [each.once for each in await consumer.targets()] == [False] * (1 - number)

    async def test_only_what_is_parked_is_replayed(self, store: IEventStore) -> None:
        """F8, F9: once, as it was named; an event that is gone cannot be."""
        specs = [replace(WOKEN, name=name) for name in ("r", "s")]
        consumer = await Consumer(store, specs).register()
        for name in ("a", "b", "gone"):
            await consumer.wake(name, 2)
        (other,) = await consumer.wake("a", reaction="s")
        for lease in await consumer.claim(max_events=1):
            event = single(lease.events)
            await _park(consumer, lease, event, failed=1)
        assert other.position in {each.position for each in await consumer.parked()}
        for lease in await consumer.claim():
            await consumer.done(lease)
        assert await store.delete_stream("gone")
        parked = {(each.reaction, each.key): each for each in await consumer.parked()}
        wrong = replace(parked["r", "a"], key="A")
        gone = [parked["r", "gone"]] if ("r", "gone") in parked else []
        assert await store.replay("g", [wrong, *gone]) == 0
        assert await store.replay("G", [parked["r", "a"]]) == 0
        assert await store.replay("g", []) == 0
        assert await consumer.claim() == []
        for count in (1, 0):
            assert await store.replay("g", [parked["r", "a"]]) == count
        left = {(each.reaction, each.key) for each in await consumer.parked()}
        assert {("r", "b"), ("s", "a")} <= left
        assert ("r", "a") not in left
        await consumer.done(await consumer.lease())
        assert await store.replay("g", [parked["r", "b"], parked["s", "a"]]) == 2
        assert {each.reaction for each in await consumer.claim()} == {"r", "s"}

    async def test_an_event_that_was_not_routed_is_replayed_as_it_is(
        self, store: IEventStore
    ) -> None:
        """F8: whatever keys it would have had; beside others that were not routed."""
        spec = replace(SCANNED, to=TargetKind.KEY)
        consumer = await Consumer(store, [spec]).register()
        events = await stored(store, "a", 3)
        page = await consumer.page()
        unrouted = [
            UnroutedEvent(reaction="r", position=each.position, error="x") for each in events
        ]
        assert await consumer.mark(page, unrouted=unrouted)
        parked = await consumer.parked()
        assert [each.key for each in parked] == ["?"] * 3
        assert await store.replay("g", parked[:2]) == 2
        assert await consumer.parked() == parked[2:]
        leases = await consumer.claim()
        assert sorted(lease.mark for lease in leases) == [each.position for each in events[:2]]
        for lease in leases:
            event = single(lease.events)
            assert event in events
        await consumer.done(*leases)
        assert await consumer.targets() == []

    async def test_a_replayed_event_keeps_no_stream_open(self, store: IEventStore) -> None:
        """F8: it reads the event, not its stream, so nobody's cut or close waits for it."""
        consumer = await Consumer(store, [WOKEN]).register()
        (event,) = await consumer.wake("a")
        await _park(consumer, await consumer.lease(), event, failed=1)
        assert await store.replay("g", await consumer.parked()) == 1
        await store.close_stream("a")
        assert await store.delete_stream("a")
        lease = await consumer.lease()
        assert (list(lease.events), lease.upto) == ([], event.position)
        await consumer.done(lease)
        assert [each for each in await consumer.targets() if each.once] == []

    async def test_tokens_grow_over_a_row_that_went_and_came_back(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """L3, L4: so that a former holder is refused, and changes nothing of the new one."""
        consumer = await Consumer(store, [replace(WOKEN, to=PER_EVENT)]).register()
        (event,) = await consumer.wake("a", to=PER_EVENT)
        tokens: list[int] = []
        for _ in range(3):
            lease = await consumer.lease()
            assert lease.key == str(event.position)
            tokens.append(lease.token)
            await _park(consumer, lease, event, failed=1)
            await _pass_a_moment(store, advance)
            assert await store.replay("g", await consumer.parked()) == 1
            before = await consumer.target(lease.key)
            for then in (Done(), Parked(error="x", position=event.position, failed=9)):
                error = await consumer.finish(lease, then, at=lease.mark)
                assert isinstance(error, LeaseLostError)
            assert await consumer.target(lease.key) == before
        current = await consumer.lease()
        error = await consumer.finish(lease, Done(), at=lease.mark)
        assert isinstance(error, LeaseLostError)
        assert await store.extend([lease], ttl=TTL) == []
        assert tokens == sorted({*tokens, current.token})[:-1]
        await consumer.done(current)


async def _park(consumer: Consumer, lease: Lease, event: Event, *, failed: int) -> None:
    then = Parked(error="é🛒", position=event.position, failed=failed)
    assert await consumer.finish(lease, then) is None


async def _pass_a_moment(store: IEventStore, advance: Advance) -> None:
    """Let a few milliseconds pass, also if the store has a clock that cannot be moved."""
    (first,) = await stored(store, "clock")
    await advance(MINUTE)
    for _ in rounds(100_000):
        (event,) = await stored(store, "clock")
        if event.created - first.created > timedelta(milliseconds=3):
            break

"""Claims: who gets which target."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Final

from arvo_event_store._append import Append
from arvo_event_store._errors import InvalidEventError
from arvo_event_store._lease import Blocked, Done, Lease
from arvo_event_store._store import IEventStore
from arvo_event_store._target import PER_EVENT, TargetKind, Wake

from ._consumer import (
    MINUTE,
    SCANNED,
    TTL,
    WOKEN,
    Advance,
    ConnectStore,
    Consumer,
    in_order,
    rounds,
    single,
    stored,
)
from ._expectations import refused, some

EVENTS: Final = replace(WOKEN, to=PER_EVENT)
"""A reaction to events that appends wake."""


class Claiming:
    """A target that has work goes to one worker at a time, from both ends."""

    async def test_without_work_nothing_is_claimed(self, store: IEventStore) -> None:
        """S3: before the first event, and when all is done."""
        consumer = await Consumer(store, [WOKEN]).register()
        assert await consumer.claim(leading=5) == []
        await consumer.wake("a", 3)
        await consumer.done(await consumer.lease())
        assert await consumer.claim(leading=5) == []
        await stored(store, "a", 2)
        assert await consumer.claim(leading=5) == []
        assert len(await consumer.targets()) == 1

    async def test_a_lease_says_what_is_claimed(self, store: IEventStore) -> None:
        """L1: all of the target, the events, and since when it was tried."""
        consumer = await Consumer(store, [WOKEN]).register()
        await stored(store, "a", 2)
        events = await consumer.wake("a", 2)
        before = await consumer.target("a")
        lease = await consumer.lease()
        assert lease == Lease(
            group="g",
            reaction="r",
            key="a",
            reads=TargetKind.STREAM,
            stream="a",
            at=events[0].position - 1,
            mark=events[1].position,
            token=before.token + 1,
            attempt=1,
            failed=0,
            lagging=True,
            events=lease.events,
            upto=events[1].position,
        )
        assert list(lease.events) == events
        after = await consumer.target("a")
        assert after == replace(
            before, attempt=1, token=lease.token, leased_until=after.leased_until
        )
        assert after.leased_until is not None
        assert abs(after.leased_until - events[1].created - TTL) < 10 * MINUTE
        assert after.leased_until.utcoffset() == timedelta(0)

    async def test_targets_are_claimed_from_both_ends(self, store: IEventStore) -> None:
        """L7: those with the lowest watermarks, and as many more with the highest."""
        consumer = await Consumer(store, [WOKEN]).register()
        for name in "abcdefgh":
            await consumer.wake(name)
        first = await consumer.claim(lagging=2, leading=3)
        assert _ends(first) == {"a": True, "b": True, "f": False, "g": False, "h": False}
        second = await consumer.claim(lagging=1, leading=0)
        assert _ends(second) == {"c": True}
        assert _ends(await consumer.claim(lagging=0, leading=1)) == {"e": False}
        assert _ends(await consumer.claim(lagging=2, leading=2)) == {"d": True}
        assert await consumer.claim(lagging=2, leading=2) == []
        await store.release(first)
        assert _ends(await consumer.claim(lagging=100, leading=100)) == dict.fromkeys("abfgh", True)

    async def test_lanes_and_groups_are_apart(self, store: IEventStore) -> None:
        """L9: names that differ in case or have a common beginning, too."""
        lanes = ("l", "L", "l%", "ll")
        specs = [replace(WOKEN, name=f"in {lane}", lane=lane) for lane in lanes]
        consumer = await Consumer(store, specs).register()
        for lane in lanes:
            await consumer.wake(f"a{lane}", reaction=f"in {lane}", lane=lane)
        other = await Consumer(store, specs, group="G").register()
        assert (await consumer.ready(*lanes)).lanes == {*lanes}
        assert (await other.ready(*lanes)).lanes == frozenset()
        assert await other.claim(lane="l") == []
        for lane in lanes:
            assert [each.key for each in await consumer.claim(lane=lane)] == [f"a{lane}"]
        assert (await consumer.ready(*lanes)).lanes == frozenset()

    async def test_only_the_reactions_of_the_worker_are_claimed(self, store: IEventStore) -> None:
        """L9: others in the same lane are left to those who have them."""
        specs = [replace(WOKEN, name=name) for name in ("r", "s", "R")]
        await Consumer(store, specs).register()
        await store.append_all(
            [
                Append(
                    "a",
                    some(1),
                    wakes=[Wake(group="g", reaction=each.name, lane="default") for each in specs],
                )
            ]
        )
        assert [each.reaction for each in await Consumer(store, specs[1:2]).claim()] == ["s"]
        rest = await Consumer(store, specs).claim()
        assert {each.reaction for each in rest} == {"r", "R"}

    async def test_a_target_has_one_holder(self, store: IEventStore, connect: ConnectStore) -> None:
        """L1: also if many claim from both ends at once."""
        consumer = await Consumer(store, [WOKEN]).register()
        names = [f"s{number:02}" for number in range(40)]
        for name in names:
            await consumer.wake(name)
        async with connect() as first, connect() as second:
            claimers = [
                Consumer(client, [WOKEN]) for client in (store, first, second) for _ in range(6)
            ]
            found = await asyncio.gather(*(each.claim(lagging=2, leading=2) for each in claimers))
            found += [await claimers[-1].claim(lagging=2, leading=2) for _ in names]
        claimed = [lease.key for leases in found for lease in leases]
        assert sorted(claimed) == names

    async def test_a_lease_that_ran_out_goes_to_one(
        self, store: IEventStore, connect: ConnectStore, advance: Advance
    ) -> None:
        """L2: when its time is over and not before, with a higher token."""
        first = await Consumer(store, [WOKEN]).register()
        await first.wake("a", 2)
        last = await first.lease()
        async with connect() as second, connect() as third:
            for _ in range(3):
                racers = [
                    Consumer(client, [WOKEN]) for client in (store, second, third) for _ in range(4)
                ]
                await advance(TTL - MINUTE)
                assert not any(await asyncio.gather(*(each.claim() for each in racers)))
                assert (await first.ready()).lanes == frozenset()
                await advance(MINUTE)
                assert (await first.ready()).lanes == {"default"}
                found = await asyncio.gather(*(each.claim(leading=1) for each in racers))
                lease = single([lease for leases in found for lease in leases])
                assert lease.token > last.token
                assert list(lease.events) == list(last.events)
                last = lease

    async def test_tokens_only_grow(self, store: IEventStore, advance: Advance) -> None:
        """L3: whatever ends the leases."""
        consumer = await Consumer(store, [WOKEN]).register()
        tokens: list[int] = []
        for _ in range(3):
            await consumer.wake("a")
            tokens.append((await consumer.lease()).token)
            await advance(TTL)
            lease = await consumer.lease()
            tokens.append(lease.token)
            await store.release([lease])
            lease = await consumer.lease()
            tokens.append(lease.token)
            blocked = Blocked(error="x", position=lease.mark, failed=1)
            assert await consumer.finish(lease, blocked) is None
            assert await store.unblock("g", reaction="r") == 1
            lease = await consumer.lease()
            tokens.append(lease.token)
            await consumer.done(lease)
            assert (await consumer.target("a")).token == lease.token
        assert tokens == sorted(set(tokens))

    async def test_a_blocked_target_is_not_claimed(self, store: IEventStore) -> None:
        """L9: nor does its lane have work, whatever else comes for it."""
        consumer = await Consumer(store, [WOKEN]).register()
        (event,) = await consumer.wake("a")
        lease = await consumer.lease()
        blocked = Blocked(error="x", position=event.position, failed=3)
        assert await consumer.finish(lease, blocked) is None
        await consumer.wake("a", 2)
        assert await consumer.claim(leading=5) == []
        assert (await consumer.ready()).lanes == frozenset()
        await consumer.wake("b")
        assert [each.key for each in await consumer.claim(leading=5)] == ["b"]

    async def test_events_are_claimed_oldest_first_and_gone_when_done(
        self, store: IEventStore
    ) -> None:
        """L8: no row is left of them."""
        consumer = await Consumer(store, [EVENTS]).register()
        events = await consumer.wake("a", 5, to=PER_EVENT)
        seen = []
        for left in (3, 1, 0):
            leases = await consumer.claim(lagging=2)
            assert all(lease.events[0].position == lease.mark == lease.upto for lease in leases)
            seen += in_order(event for each in leases for event in each.events)
            await consumer.done(*leases)
            assert len(await consumer.targets()) == left
        assert seen == events
        assert await consumer.claim() == []

    async def test_all_targets_converge(self, store: IEventStore) -> None:
        """L7: in cycles from both ends, each event once, in the order of its stream."""
        consumer = await Consumer(store, [SCANNED]).register()
        names = [f"s{number}" for number in range(12)]
        for number, name in enumerate(names):
            await stored(store, name, 2 + number % 5)
        await consumer.catch_up()
        seen: dict[str, list[int]] = {}
        windows = sum((3 + number % 5) // 2 for number in range(12))
        for _ in rounds(windows + 1):
            leases = await consumer.claim(lagging=2, leading=2, max_events=2)
            if not leases:
                break
            assert len({lease.key for lease in leases}) == len(leases) <= 4
            for lease in leases:
                seen.setdefault(lease.key, []).extend(event.version for event in lease.events)
            await consumer.done(*leases)
        assert seen == {name: [*range(2 + number % 5)] for number, name in enumerate(names)}

    async def test_many_workers_do_each_event_once(
        self, store: IEventStore, connect: ConnectStore
    ) -> None:
        """L1, L7: of three clients that claim and finish at once."""
        consumer = await Consumer(store, [WOKEN]).register()
        names = [f"s{number:02}" for number in range(12)]
        for name in names:
            await consumer.wake(name, 5)
        async with connect() as first, connect() as second:
            workers = [Consumer(client, [WOKEN]) for client in (store, first, second)]
            seen: dict[str, list[int]] = {name: [] for name in names}

            async def work(worker: Consumer) -> int:
                leases = await worker.claim(lagging=2, leading=1, max_events=2)
                for lease in leases:
                    seen[lease.key] += [event.version for event in lease.events]
                await worker.done(*leases)
                return len(leases)

            for _ in rounds():
                if not any(await asyncio.gather(*map(work, workers * 2))):
                    break
        assert seen == {name: [0, 1, 2, 3, 4] for name in names}

    async def test_wrong_claims_are_refused(self, store: IEventStore) -> None:
        """L1: nothing is claimed."""
        consumer = await Consumer(store, [WOKEN]).register()
        await consumer.wake("a")

        async def claim(**wrong: object) -> list[Lease]:
            given: dict[str, object] = {
                "owner": consumer.owner,
                "ttl": TTL,
                "reactions": [WOKEN],
                "lane": "default",
                "lagging": 5,
                "leading": 5,
                "max_events": 5,
                "max_bytes": 500,
            }
            return await store.claim("g", **{**given, **wrong})  # type: ignore[arg-type]

        await refused(claim(lane="a\0"), InvalidEventError)
        await refused(claim(ttl=5), TypeError)
        await refused(claim(ttl=timedelta(0)), ValueError)
        for name, least in {"lagging": 0, "leading": 0, "max_events": 1, "max_bytes": 1}.items():
            await refused(claim(**{name: least - 1}), ValueError)
            await refused(claim(**{name: "1"}), TypeError)
        await refused(store.ready("a\0", lanes=["default"]), InvalidEventError)
        lease = await consumer.lease()
        await refused(store.extend([lease], ttl=timedelta(0)), ValueError)
        await refused(store.extend([lease], ttl=5), TypeError)  # type: ignore[arg-type]
        await refused(consumer.finish(lease, Done(), at=lease.at - 1), ValueError)
        assert lease.attempt == 1


def _ends(leases: list[Lease]) -> dict[str, bool]:
    """Return which target was claimed from the lagging end."""
    assert len({lease.key for lease in leases}) == len(leases)
    return {lease.key: lease.lagging for lease in leases}

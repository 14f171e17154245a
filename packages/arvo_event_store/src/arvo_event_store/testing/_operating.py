"""What operators see of reactions, and do to them."""

from dataclasses import replace
from datetime import timedelta

from arvo_event_store._errors import InvalidEventError
from arvo_event_store._lease import Blocked, Done, Parked, Postponed
from arvo_event_store._reaction_state import ReactionLag
from arvo_event_store._store import IEventStore
from arvo_event_store._target import PER_EVENT

from ._consumer import MINUTE, SCANNED, TTL, WOKEN, Advance, Consumer, positions, single, stored
from ._expectations import refused, some


class Operating:
    """Operators see what waits, and touch what they name."""

    async def test_blocked_targets_are_listed(self, store: IEventStore) -> None:
        """F7: or those that are not, or all, in the order of reaction and key."""
        specs = [replace(WOKEN, name=name) for name in ("r", "s")]
        consumer = await Consumer(store, specs).register()
        names = ["b", "a", "A", "a%", "é", "日", "🛒", "a\uffff"]
        for name in names:
            await consumer.wake(name)
            await consumer.wake(name, reaction="s")
        await _block(consumer, "r", "a", "é")
        await _block(consumer, "s", "b")

        async def keys(reaction: str | None, blocked: bool | None) -> list[tuple[str, str]]:
            found = await consumer.targets(reaction=reaction, blocked=blocked)
            return [(each.reaction, each.key) for each in found]

        everything = [(name, key) for name in ("r", "s") for key in sorted(names)]
        stopped = [("r", "a"), ("r", "é"), ("s", "b")]
        assert await keys(None, None) == everything
        assert await keys(None, True) == stopped
        assert await keys("r", True) == stopped[:2]
        assert await keys(None, False) == [each for each in everything if each not in stopped]
        assert await keys("s", False) == [
            each for each in everything if each not in stopped and each[0] == "s"
        ]
        assert await keys("t", None) == []
        assert [each async for each in store.targets("G")] == []

    async def test_many_targets_are_listed_in_pages(self, store: IEventStore) -> None:
        """F7: each once; those that go meanwhile disturb nothing."""
        consumer = await Consumer(store, [replace(WOKEN, to=PER_EVENT)]).register()
        events = await consumer.wake("a", some(1100), to=PER_EVENT)
        leases = await consumer.claim(lagging=300)
        found: list[str] = []
        async for target in store.targets("g"):
            found.append(target.key)
            if len(found) == 10:
                await consumer.done(*leases)
        assert found == sorted(set(found))
        gone = {lease.key for lease in leases}
        keys = {str(position) for position in positions(events)}
        assert keys - gone <= {*found} <= keys

    async def test_an_unblocked_target_tries_again(self, store: IEventStore) -> None:
        """F7: with all its tries; one by its key, or all of a reaction."""
        specs = [replace(WOKEN, name=name) for name in ("r", "s")]
        consumer = await Consumer(store, specs).register()
        for name in ("a", "b", "c", "d"):
            await consumer.wake(name)
        await consumer.wake("a", reaction="s")
        await _block(consumer, "r", "a", "b", "c")
        await _block(consumer, "s", "a")
        free = single(await consumer.claim())
        assert free.key == "d"
        before = await consumer.targets()
        for key in ("d", "x", "A"):
            assert await store.unblock("g", reaction="r", key=key) == 0
        assert await store.unblock("G", reaction="r") == 0
        assert await store.unblock("g", reaction="R") == 0
        assert await consumer.targets() == before
        assert await store.unblock("g", reaction="r", key="a") == 1
        changed = await consumer.targets()
        assert [each for each in changed if (each.reaction, each.key) != ("r", "a")] == [
            each for each in before if (each.reaction, each.key) != ("r", "a")
        ]
        target = await consumer.target("a")
        assert (target.blocked_at, target.error, target.failed) == (None, "x", 0)
        lease = single(await consumer.claim())
        assert (lease.key, lease.attempt, lease.failed) == ("a", 1, 0)
        assert await store.unblock("g", reaction="r") == 2
        assert await store.unblock("g", reaction="r") == 0
        assert {each.key for each in await consumer.claim()} == {"b", "c"}
        assert [each.reaction for each in await consumer.targets(blocked=True)] == ["s"]

    async def test_a_skipped_event_is_given_up(self, store: IEventStore) -> None:
        """F7: the target goes on after it, with all its tries."""
        consumer = await Consumer(store, [WOKEN]).register()
        first, second, third = await consumer.wake("a", 3)
        await consumer.wake("b", 2)
        await _block(consumer, "r", "b")
        lease = await consumer.lease()
        blocked = Blocked(error="x", position=second.position, failed=3)
        assert await consumer.finish(lease, blocked, at=first.position) is None
        before = await consumer.target("b")
        assert await store.skip("g", reaction="r", key="a")
        target = await consumer.target("a")
        assert (target.at, target.blocked_at, target.failed) == (second.position, None, 0)
        lease = await consumer.lease()
        assert (list(lease.events), lease.attempt, lease.failed) == ([third], 1, 0)
        assert await consumer.target("b") == before
        unchanged = await consumer.targets()
        for group, reaction, key in (
            *(("g", "r", "a"), ("g", "r", "x"), ("g", "s", "b")),
            *(("G", "r", "b"), ("g", "r", "B")),
        ):
            assert not await store.skip(group, reaction=reaction, key=key)
        assert await consumer.targets() == unchanged

    async def test_a_skipped_event_of_its_own_is_gone(self, store: IEventStore) -> None:
        """F7, L8: with its target."""
        consumer = await Consumer(store, [replace(WOKEN, to=PER_EVENT)]).register()
        first, second = await consumer.wake("a", 2, to=PER_EVENT)
        await _block(consumer, "r", str(first.position))
        assert await store.skip("g", reaction="r", key=str(first.position))
        assert not await store.skip("g", reaction="r", key=str(first.position))
        assert [each.key for each in await consumer.targets()] == [str(second.position)]

    async def test_a_lag_says_how_far_a_reaction_is_behind(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """F9: in events to scan, in targets with work, asleep or blocked, in events put aside."""
        consumer = await Consumer(store, [SCANNED, replace(WOKEN, name="woken")]).register()
        empty = ReactionLag(
            reaction="r",
            scanned=0,
            unscanned=0,
            pending=0,
            asleep=0,
            blocked=0,
            parked=0,
            oldest=None,
        )
        assert await store.lag("g") == [empty, replace(empty, reaction="woken")]
        (first,) = await stored(store, "a")
        await advance(MINUTE)
        (second,) = await stored(store, "a")
        await advance(MINUTE)
        names = ("asleep", "blocked", "busy", "done", "free", "parked")
        events = {name: (await stored(store, name))[0] for name in names}
        await consumer.catch_up()
        scanned = await store.horizon()
        full = replace(empty, scanned=scanned, pending=7, oldest=first.created)
        assert await consumer.lag() == full
        leases = {lease.key: lease for lease in await consumer.claim()}
        assert await consumer.lag() == full
        assert await consumer.finish(leases["a"], Done(), at=first.position) is None
        assert await consumer.lag() == replace(full, oldest=second.created)
        for name, then in (
            ("asleep", Postponed(failed=0, after=TTL)),
            ("blocked", Blocked(error="x", position=events["blocked"].position, failed=1)),
            ("parked", Parked(error="x", position=events["parked"].position, failed=1)),
            ("done", Done()),
        ):
            lease = leases[name]
            at = lease.upto if isinstance(then, Done) else lease.at
            assert await consumer.finish(lease, then, at=at) is None
        await store.release([leases["free"]])
        await stored(store, "later", 3)
        expected = replace(
            full,
            unscanned=await store.horizon() - scanned,
            pending=3,
            asleep=1,
            blocked=1,
            parked=1,
            oldest=second.created,
        )
        assert await consumer.lag() == expected
        assert expected.unscanned >= 3
        assert expected.oldest is not None
        assert expected.oldest.utcoffset() == timedelta(0)

    async def test_the_oldest_event_may_wait_for_an_operator(self, store: IEventStore) -> None:
        """F9: or until it is due; what was put aside does not count."""
        consumer = await Consumer(store, [WOKEN]).register()
        for then in (
            lambda at: Blocked(error="x", position=at, failed=1),
            lambda _: Postponed(failed=0, after=TTL),
        ):
            (event,) = await consumer.wake("a")
            lease = await consumer.lease()
            assert await consumer.finish(lease, then(event.position)) is None
            lag = await consumer.lag()
            assert (lag.pending, lag.oldest) == (0, event.created)
            await store.unblock("g", reaction="r")
            if lag.blocked:
                lease = await consumer.lease()
                parked = Parked(error="x", position=event.position, failed=1)
                assert await consumer.finish(lease, parked) is None
                assert (await consumer.lag()).oldest is None

    async def test_a_lag_without_work_has_no_oldest_event(self, store: IEventStore) -> None:
        """F9: also if events wait for others; an addressed reaction has nothing to scan."""
        specs = [replace(SCANNED, start="now"), replace(WOKEN, name="woken", start="now")]
        await stored(store, "a", 2)
        consumer = await Consumer(store, specs).register()
        horizon = await store.horizon()
        events = await consumer.wake("a", 2, reaction="woken")
        lag = await consumer.lag("woken")
        assert (lag.scanned, lag.unscanned, lag.pending) == (horizon, 0, 1)
        assert lag.oldest == events[0].created
        lag = await consumer.lag()
        assert (lag.scanned, lag.pending, lag.oldest) == (horizon, 0, None)
        await consumer.catch_up()
        await consumer.drain()
        for lag in await store.lag("g"):
            assert (lag.pending, lag.unscanned, lag.oldest) == (0, 0, None)

    async def test_wrong_names_are_refused(self, store: IEventStore) -> None:
        """A10: as all other calls."""
        for name in ("", "a\0b", "\ud800", "x" * 513):
            await refused(store.lag(name), InvalidEventError)
            await refused(store.unblock(name, reaction="r"), InvalidEventError)
            await refused(store.unblock("g", reaction=name), InvalidEventError)
            await refused(store.skip("g", reaction=name, key="a"), InvalidEventError)
            await refused(store.reset("g", reaction=name, after=0), InvalidEventError)
            await refused(Consumer(store, group=name).targets(), InvalidEventError)
            await refused(Consumer(store).targets(reaction=name), InvalidEventError)
            await refused(Consumer(store).parked(reaction=name), InvalidEventError)
            await refused(store.leave(name, owner=Consumer(store).owner), InvalidEventError)
            await refused(store.ready("g", lanes=[name]), InvalidEventError)


async def _block(consumer: Consumer, reaction: str, *keys: str) -> None:
    """Block targets that have work; others are given back."""
    leases = await consumer.claim()
    wanted = [each for each in leases if each.reaction == reaction and each.key in keys]
    assert len(wanted) == len(keys)
    for lease in wanted:
        then = Blocked(error="x", position=lease.events[0].position, failed=3)
        assert await consumer.finish(lease, then) is None
    await consumer.store.release([each for each in leases if each not in wanted])

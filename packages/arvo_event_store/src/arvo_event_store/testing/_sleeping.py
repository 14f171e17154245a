"""Targets that sleep until they are due."""

from dataclasses import replace
from datetime import timedelta

from arvo_event_store._lease import Done, Postponed, Retried
from arvo_event_store._scan_page import Ready
from arvo_event_store._store import IEventStore
from arvo_event_store._target import PER_EVENT

from ._consumer import MINUTE, TTL, WOKEN, Advance, Consumer, stored
from ._expectations import refused


class Sleeping:
    """What is not due is hidden, by the store's clock, whatever the time is in a process."""

    async def test_a_new_target_sleeps_until_it_is_due(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """L12, L11: whatever else comes for it meanwhile; that is no failure."""
        consumer = await Consumer(store, [WOKEN]).register()
        (event,) = await stored(store, "before")
        due = event.created + TTL
        first = await consumer.wake("a", due=due)
        second = await consumer.wake("a", due=due - 50 * MINUTE)
        assert (await consumer.target("a")).due == due
        assert await consumer.claim(leading=5) == []
        await advance(50 * MINUTE)
        assert await consumer.claim(leading=5) == []
        assert (await consumer.ready()).lanes == frozenset()
        await advance(11 * MINUTE)
        due_now = Ready(lanes=frozenset({"default"}), due_after=timedelta(0))
        assert await consumer.ready() == due_now
        lease = await consumer.lease()
        assert list(lease.events) == [*first, *second]
        assert (lease.attempt, lease.failed) == (1, 0)
        assert (await consumer.target("a")).due is None
        assert await consumer.ready() == Ready(lanes=frozenset(), due_after=None)

    async def test_events_sleep_each_for_itself(self, store: IEventStore, advance: Advance) -> None:
        """L12: those that are due are woken, and no others."""
        consumer = await Consumer(store, [replace(WOKEN, to=PER_EVENT)]).register()
        (event,) = await stored(store, "before")
        sleeping = [
            (await consumer.wake("a", to=PER_EVENT, due=event.created + hours * TTL))[0]
            for hours in (3, 1, 2)
        ]
        found = []
        for _ in range(3):
            assert await consumer.claim() == []
            await advance(TTL)
            leases = await consumer.claim(lagging=1)
            found += [each for lease in leases for each in lease.events]
            await consumer.done(*leases)
        assert found == [sleeping[1], sleeping[2], sleeping[0]]

    async def test_a_postponed_target_is_due_after_a_while(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """L12: or at a time; each lets others of its lane pass."""
        consumer = await Consumer(store, [WOKEN]).register()
        (event,) = await consumer.wake("after")
        await consumer.wake("until")
        leases = {lease.key: lease for lease in await consumer.claim()}
        until = event.created + 3 * TTL
        for key, then in {
            "after": Postponed(failed=0, after=TTL),
            "until": Postponed(failed=0, until=until),
        }.items():
            assert await consumer.finish(leases[key], then) is None
        assert (await consumer.target("until")).due == until
        due = (await consumer.target("after")).due
        assert due is not None
        assert abs(due - event.created - TTL) < 10 * MINUTE
        await consumer.wake("other")
        await consumer.done(await consumer.lease())
        await advance(TTL)
        assert [each.key for each in await consumer.claim()] == ["after"]
        await advance(2 * TTL + MINUTE)
        assert "until" in [each.key for each in await consumer.claim()]

    async def test_a_retry_may_wait_or_not(self, store: IEventStore, advance: Advance) -> None:
        """L12: after 0 it is claimed at once."""
        consumer = await Consumer(store, [WOKEN]).register()
        (event,) = await consumer.wake("a")
        for number, after in enumerate((timedelta(0), TTL, timedelta(0)), start=1):
            lease = await consumer.lease()
            assert lease.failed == number - 1
            then = Retried(error="x", position=event.position, failed=number, after=after)
            assert await consumer.finish(lease, then) is None
            target = await consumer.target("a")
            assert (target.due is None) == (after == timedelta(0))
            if after:
                assert await consumer.claim() == []
                await advance(after)
        assert (await consumer.lease()).failed == 3

    async def test_what_is_due_in_the_past_is_claimed_at_once(self, store: IEventStore) -> None:
        """L12: a new target, and one that was postponed."""
        consumer = await Consumer(store, [WOKEN]).register()
        (event,) = await stored(store, "before")
        past = event.created - TTL
        await consumer.wake("a", due=past)
        lease = await consumer.lease()
        assert await consumer.finish(lease, Postponed(failed=0, until=past)) is None
        assert (await consumer.ready()).lanes == {"default"}
        await consumer.done(await consumer.lease())

    async def test_the_nearest_due_is_told(self, store: IEventStore, advance: Advance) -> None:
        """S11: of the lanes that were asked for; none if nothing sleeps there."""
        specs = [replace(WOKEN, name=name, lane=name) for name in ("r", "s")]
        consumer = await Consumer(store, specs).register()
        assert (await consumer.ready("r", "s")).due_after is None
        (event,) = await stored(store, "before")
        for name, hours in (("r", 3), ("r", 2), ("s", 1)):
            due = event.created + hours * TTL
            await consumer.wake(f"{name}{hours}", reaction=name, lane=name, due=due)
        await consumer.wake("now", reaction="s", lane="s")

        async def nearest(*lanes: str) -> timedelta:
            due_after = (await consumer.ready(*lanes)).due_after
            assert due_after is not None
            return due_after

        assert timedelta(0) <= 2 * TTL - await nearest("r") < 10 * MINUTE
        assert timedelta(0) <= TTL - await nearest("s") < 10 * MINUTE
        assert timedelta(0) <= TTL - await nearest("r", "s") < 10 * MINUTE
        assert (await consumer.ready("r", "s", "t")).lanes == {"s"}
        assert await consumer.ready("t") == Ready(lanes=frozenset(), due_after=None)
        await advance(TTL + MINUTE)
        assert await nearest("s") == timedelta(0)
        assert timedelta(0) < await nearest("r") < TTL
        assert {each.key for each in await consumer.claim(lane="s")} == {"now", "s1"}
        assert (await consumer.ready("s")).due_after is None

    async def test_a_target_that_slept_is_as_others(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """L12: when it was done, its next event does not wait."""
        consumer = await Consumer(store, [WOKEN]).register()
        (event,) = await consumer.wake("a")
        then = Retried(error="x", position=event.position, failed=1, after=TTL)
        assert await consumer.finish(await consumer.lease(), then) is None
        await advance(TTL)
        await consumer.done(await consumer.lease())
        target = await consumer.target("a")
        assert (target.due, target.error, target.failed) == (None, None, 0)
        later = await consumer.wake("a")
        assert list((await consumer.lease()).events) == later

    async def test_a_postponement_has_one_time(self, store: IEventStore) -> None:
        """L12: after a while or at a time; the lease stands if it has none, or two."""
        consumer = await Consumer(store, [WOKEN]).register()
        (event,) = await consumer.wake("a")
        lease = await consumer.lease()
        for wrong in (
            Postponed(failed=0),
            Postponed(failed=0, after=TTL, until=event.created),
            Postponed(failed=0, until=event.created.replace(tzinfo=None)),
        ):
            await refused(consumer.finish(lease, wrong), ValueError)
        wrong_type = Postponed(failed=0, after=5)  # type: ignore[arg-type]
        await refused(consumer.finish(lease, wrong_type), TypeError)
        assert await consumer.finish(lease, Done(), at=lease.upto) is None

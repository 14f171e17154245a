"""Attempts and failures: what counts, and what does not."""

from datetime import timedelta

from arvo_event_store._lease import Blocked, Parked, Postponed, Progress, Retried
from arvo_event_store._store import IEventStore

from ._consumer import MINUTE, TTL, WOKEN, Advance, Consumer


class Attempts:
    """A grant without a word after it counts; whatever is said begins anew."""

    async def test_a_worker_that_ends_without_a_word_counts(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """L6: each grant since the last progress, until it is done."""
        consumer = await Consumer(store, [WOKEN]).register()
        await consumer.wake("a", 2)
        for attempt in (1, 2, 3):
            lease = await consumer.lease()
            assert (lease.attempt, lease.failed) == (attempt, 0)
            assert (await consumer.target("a")).attempt == attempt
            await advance(TTL)
        await consumer.done(lease)
        assert (await consumer.target("a")).attempt == 0
        await consumer.wake("a")
        assert (await consumer.lease()).attempt == 1

    async def test_a_lease_that_is_given_back_does_not_count(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """L6: but what was counted before it stays."""
        consumer = await Consumer(store, [WOKEN]).register()
        await consumer.wake("a")
        for _ in range(3):
            lease = await consumer.lease()
            assert lease.attempt == 1
            await store.release([lease])
            assert (await consumer.target("a")).attempt == 0
        await consumer.lease()
        await advance(TTL)
        for _ in range(2):
            lease = await consumer.lease()
            assert lease.attempt == 2
            await store.release([lease])
            assert (await consumer.target("a")).attempt == 1

    async def test_progress_begins_the_next_event(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """L6: which is in hand, so that its grant is counted."""
        consumer = await Consumer(store, [WOKEN]).register()
        first, second, _ = await consumer.wake("a", 3)
        for _ in range(2):
            lease = await consumer.lease()
            await advance(TTL)
        assert lease.attempt == 2
        for event in (first, second):
            assert await consumer.finish(lease, Progress(ttl=TTL), at=event.position) is None
            target = await consumer.target("a")
            assert (target.attempt, target.failed, target.at) == (1, 0, event.position)
        await store.release([lease])
        assert (await consumer.target("a")).attempt == 0
        await consumer.lease()
        await advance(TTL)
        assert (await consumer.lease()).attempt == 2

    async def test_what_is_said_of_an_event_begins_anew(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """L6: a failure that is recorded, a postponement, an event that was put aside."""
        consumer = await Consumer(store, [WOKEN]).register()
        event, _ = await consumer.wake("a", 2)
        for then in (
            Retried(error="x", position=event.position, failed=1, after=timedelta(0)),
            Postponed(failed=1, after=TTL),
            Retried(error="x", position=event.position, failed=2, after=TTL),
            Parked(error="x", position=event.position, failed=3),
        ):
            await consumer.lease()
            await advance(TTL)
            lease = await consumer.lease()
            assert lease.attempt == 2
            assert await consumer.finish(lease, then) is None
            assert (await consumer.target("a")).attempt == 0
            await advance(TTL)
        assert (await consumer.lease()).attempt == 1

    async def test_a_block_keeps_what_was_counted(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """L6: for an operator to see; when it is unblocked, all tries begin again."""
        consumer = await Consumer(store, [WOKEN]).register()
        (event,) = await consumer.wake("a")
        await consumer.lease()
        await advance(TTL)
        lease = await consumer.lease()
        then = Blocked(error="crashed", position=event.position, failed=0)
        assert await consumer.finish(lease, then) is None
        assert (await consumer.target("a")).attempt == 2
        assert await store.unblock("g", reaction="r", key="a") == 1
        lease = await consumer.lease()
        assert (lease.attempt, lease.failed) == (1, 0)

    async def test_failures_outlive_a_postponement(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """L13: and a crash, and a lease that was given back; success clears them."""
        consumer = await Consumer(store, [WOKEN]).register()
        event, _ = await consumer.wake("a", 2)
        lease = await consumer.lease()
        then = Retried(error="x", position=event.position, failed=1, after=timedelta(0))
        assert await consumer.finish(lease, then) is None
        lease = await consumer.lease()
        assert lease.failed == 1
        assert await consumer.finish(lease, Postponed(failed=1, after=TTL)) is None
        target = await consumer.target("a")
        assert (target.failed, target.error) == (1, None)
        await advance(TTL + MINUTE)
        lease = await consumer.lease()
        assert lease.failed == 1
        await store.release([lease])
        assert (await consumer.lease()).failed == 1
        await advance(TTL)
        lease = await consumer.lease()
        assert lease.failed == 1
        assert await consumer.finish(lease, Progress(ttl=TTL), at=event.position) is None
        assert (await consumer.target("a")).failed == 0
        await consumer.done(lease)
        assert (await consumer.target("a")).failed == 0

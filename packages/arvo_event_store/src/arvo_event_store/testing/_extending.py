"""Leases that go on, and leases that are given back."""

from dataclasses import replace
from datetime import timedelta

from arvo_event_store._errors import LeaseLostError
from arvo_event_store._lease import Blocked, Done, Parked, Progress
from arvo_event_store._store import IEventStore

from ._consumer import MINUTE, TTL, WOKEN, Advance, ConnectStore, Consumer, stored
from ._expectations import refused


class Extending:
    """A lease goes on as long as its holder says so."""

    async def test_an_extended_lease_stays(self, store: IEventStore, advance: Advance) -> None:
        """L10: as often as it is extended, from then on; nothing else of it changes."""
        consumer = await Consumer(store, [WOKEN]).register()
        await consumer.wake("a")
        lease = await consumer.lease()
        before = await consumer.target("a")
        for _ in range(3):
            await advance(TTL - MINUTE)
            assert await store.extend([lease], ttl=TTL) == [lease]
        after = await consumer.target("a")
        assert after == replace(before, leased_until=after.leased_until)
        assert await consumer.claim() == []
        await consumer.done(lease)

    async def test_only_leases_that_stand_are_extended(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """L10: of those that were finished, given back, or taken over, nothing changes."""
        consumer = await Consumer(store, [WOKEN]).register()
        for name in ("done", "given", "kept", "taken"):
            await consumer.wake(name)
        leases = {lease.key: lease for lease in await consumer.claim()}
        await consumer.done(leases["done"])
        await store.release([leases["given"]])
        assert await store.extend([leases["kept"]], ttl=3 * TTL) == [leases["kept"]]
        await advance(TTL + MINUTE)
        other = Consumer(store, [WOKEN])
        taken = {lease.key: lease for lease in await other.claim()}
        assert {*taken} == {"given", "taken"}
        both = [leases["taken"], taken["taken"]]
        assert await store.extend(both, ttl=TTL) == [taken["taken"]]
        await store.release([taken["given"]])
        before = await consumer.targets()
        kept = await store.extend([*leases.values()], ttl=2 * TTL)
        assert kept == [leases["kept"]]
        unchanged = [each for each in await consumer.targets() if each.key != "kept"]
        assert unchanged == [each for each in before if each.key != "kept"]
        assert await store.extend([], ttl=TTL) == []

    async def test_a_lease_that_ran_out_can_be_extended(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """L10: until somebody else has it; its holder was slow, and nobody came."""
        consumer = await Consumer(store, [WOKEN]).register()
        await consumer.wake("a", 2)
        lease = await consumer.lease()
        await advance(2 * TTL)
        assert await store.extend([lease], ttl=TTL) == [lease]
        assert await Consumer(store, [WOKEN]).claim() == []
        await advance(2 * TTL)
        await consumer.done(lease)
        assert await consumer.claim() == []

    async def test_progress_extends_a_lease(self, store: IEventStore, advance: Advance) -> None:
        """L10: for the time that it says."""
        consumer = await Consumer(store, [WOKEN]).register()
        first, _ = await consumer.wake("a", 2)
        lease = await consumer.lease()
        await advance(TTL - MINUTE)
        progress = Progress(ttl=3 * TTL)
        assert await consumer.finish(lease, progress, at=first.position) is None
        await advance(3 * TTL - MINUTE)
        assert await consumer.claim() == []
        await advance(MINUTE)
        assert (await consumer.lease()).at == first.position
        error = await consumer.finish(lease, Done(), at=lease.upto)
        assert isinstance(error, LeaseLostError)
        await refused(consumer.finish(lease, Progress(ttl=timedelta(0)), at=lease.upto), ValueError)

    async def test_a_lease_is_given_back_at_once(self, store: IEventStore) -> None:
        """X12: for others to take, several in one call; a lost one stays with who has it."""
        consumer = await Consumer(store, [WOKEN]).register()
        for name in ("a", "b", "c"):
            await consumer.wake(name)
        leases = await consumer.claim()
        await store.release(leases)
        assert all(each.leased_until is None for each in await consumer.targets())
        other = Consumer(store, [WOKEN])
        taken = await other.claim()
        assert {lease.key for lease in taken} == {"a", "b", "c"}
        before = await other.targets()
        await store.release(leases)
        assert await other.targets() == before
        await other.done(*taken)
        await store.release(taken)
        await store.release([])

    async def test_another_client_goes_on_where_one_ended(self, connect: ConnectStore) -> None:
        """S6, L1, F7: all that was acknowledged is there, leases too, which are no client's own."""
        async with connect() as store:
            consumer = await Consumer(store).register()
            events = {name: await stored(store, name, 2) for name in ("a", "b", "c", "d")}
            await consumer.catch_up()
            page = await consumer.page()
            leases = {lease.key: lease for lease in await consumer.claim()}
            blocked = Blocked(error="x", position=events["b"][0].position, failed=1)
            assert await consumer.finish(leases["b"], blocked) is None
            parked = Parked(error="y", position=events["c"][0].position, failed=2)
            assert await consumer.finish(leases["c"], parked) is None
            await store.release([leases["d"]])
            before = await consumer.targets(), await store.lag("g"), await consumer.parked()
        async with connect() as store:
            consumer.store = store
            after = await consumer.targets(), await store.lag("g"), await consumer.parked()
            assert after == before
            assert await Consumer(store).scan() is None
            assert await consumer.route(page)
            assert {lease.key for lease in await consumer.claim()} == {"c", "d"}
            assert await store.extend([leases["a"]], ttl=TTL) == [leases["a"]]
            await consumer.done(leases["a"])
            assert await store.unblock("g", reaction="r") == 1
            assert list((await consumer.lease()).events) == events["b"]

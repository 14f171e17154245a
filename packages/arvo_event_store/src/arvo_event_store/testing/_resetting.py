"""Reactions that scan again from a position."""

from dataclasses import replace

from arvo_event_store._errors import LeaseLostError, NotSupportedError, ReactionChangedError
from arvo_event_store._lease import Blocked, Done, Parked, Postponed
from arvo_event_store._store import IEventStore
from arvo_event_store._target import PER_EVENT, TargetKind

from ._consumer import SCANNED, TTL, WOKEN, Advance, Consumer, in_order, stored
from ._expectations import refused


class Resetting:
    """A reaction that is reset handles what is after a position once more."""

    async def test_events_after_a_position_are_handled_again(self, store: IEventStore) -> None:
        """F7: those that are scanned, by each kind of target, each once."""
        for kind in TargetKind:
            name, stream = f"r-{kind.value}", f"{kind.value}-"
            spec = replace(SCANNED, name=name, to=kind, stream_prefix=stream, start="now")
            consumer = await Consumer(store, [spec]).register()
            events = [
                *await stored(store, f"{stream}a", 2),
                *await stored(store, f"{stream}b", 2),
                *await stored(store, f"{stream}a", 2),
            ]
            await consumer.catch_up()
            await consumer.drain()
            for after, again in ((events[1], events[2:]), (events[5], []), (events[0], events[1:])):
                await store.reset("g", reaction=name, after=after.position)
                lag = await consumer.lag(name)
                assert (lag.scanned, lag.pending) == (after.position, 0)
                await consumer.catch_up()
                found = await consumer.drain()
                assert in_order(found) == again
                for key in ("a", "b"):
                    of_stream = [each.version for each in found if each.stream == f"{stream}{key}"]
                    assert of_stream == sorted(of_stream) or kind is PER_EVENT

    async def test_a_reset_ends_leases_and_clears_failures(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """F7: what is blocked or asleep goes on; targets that are behind stay there."""
        consumer = await Consumer(store).register()
        names = ("behind", "blocked", "busy", "asleep")
        events = {name: await stored(store, name, 3) for name in names}
        last = await stored(store, "last")
        await consumer.catch_up()
        leases = {lease.key: lease for lease in await consumer.claim()}
        await store.release([leases["behind"]])
        await consumer.done(leases["last"])
        first, second = events["blocked"][:2]
        blocked = Blocked(error="x", position=second.position, failed=3)
        assert await consumer.finish(leases["blocked"], blocked, at=first.position) is None
        postponed = Postponed(failed=2, after=TTL)
        assert await consumer.finish(leases["asleep"], postponed) is None
        page = await consumer.page()
        await store.reset("g", reaction="r", after=0)
        assert not await consumer.route(page)
        error = await consumer.finish(leases["busy"], Done(), at=leases["busy"].upto)
        assert isinstance(error, LeaseLostError)
        assert await store.extend([leases["busy"]], ttl=TTL) == []
        for target in await consumer.targets():
            assert (target.leased_until, target.blocked_at, target.due) == (None, None, None)
            assert (target.attempt, target.failed, target.error) == (0, 0, None)
            assert target.token > leases[target.key].token or target.key in {"behind", "last"}
            assert target.error_position is None
        assert await consumer.claim() == []
        other = Consumer(store)
        await other.catch_up()
        found = {lease.key: list(lease.events) for lease in await other.claim()}
        assert found == {**events, "last": last}
        await advance(TTL)

    async def test_a_target_that_is_behind_stays_where_it_is(self, store: IEventStore) -> None:
        """F7: what it did not do yet is not passed over."""
        consumer = await Consumer(store).register()
        events = await stored(store, "a", 4)
        await consumer.catch_up()
        lease = await consumer.lease()
        assert await consumer.finish(lease, Done(), at=events[0].position) is None
        await store.reset("g", reaction="r", after=events[2].position)
        target = await consumer.target("a")
        assert (target.at, target.mark) == (events[0].position, events[2].position)
        assert list((await consumer.lease()).events) == events[1:3]
        await store.reset("g", reaction="r", after=events[2].position)
        await consumer.catch_up()
        assert await consumer.drain() == events[1:]

    async def test_a_reset_touches_one_reaction(self, store: IEventStore) -> None:
        """F9: neither others, nor what was put aside, nor the same name in another group."""
        specs = [replace(SCANNED, name=name, to=PER_EVENT) for name in ("r", "s")]
        consumer = await Consumer(store, specs).register()
        other = await Consumer(store, specs, group="G").register()
        (event, *_) = await stored(store, "a", 3)
        for each in (consumer, other):
            await each.catch_up()
        (lease, *_) = [each for each in await consumer.claim() if each.reaction == "r"]
        parked = Parked(error="x", position=lease.mark, failed=1)
        assert await consumer.finish(lease, parked) is None
        before = await consumer.targets(reaction="s"), await consumer.lag("s")
        before_other = await other.targets(), await store.lag("G")
        aside = await consumer.parked()
        await store.reset("g", reaction="r", after=event.position)
        assert (await consumer.targets(reaction="s"), await consumer.lag("s")) == before
        assert (await other.targets(), await store.lag("G")) == before_other
        assert await consumer.parked() == aside
        await other.page()

    async def test_what_cannot_be_scanned_is_not_reset(self, store: IEventStore) -> None:
        """F7: an addressed reaction, one that is not there; nothing is changed."""
        consumer = await Consumer(store, [WOKEN]).register()
        await consumer.wake("a")
        before = await consumer.targets(), await store.lag("g")
        await refused(store.reset("g", reaction="r", after=0), NotSupportedError)
        await refused(store.reset("g", reaction="R", after=0), ReactionChangedError)
        await refused(store.reset("G", reaction="r", after=0), ReactionChangedError)
        await refused(store.reset("g", reaction="r", after=-1), ValueError)
        assert (await consumer.targets(), await store.lag("g")) == before

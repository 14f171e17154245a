"""Finishes: how a lease ends, and what is written of it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from arvo_event_store._append import Append
from arvo_event_store._errors import LeaseLostError
from arvo_event_store._lease import (
    Blocked,
    Done,
    Lease,
    Parked,
    Postponed,
    Progress,
    Retried,
    Then,
)
from arvo_event_store._store import IEventStore
from arvo_event_store._target import PER_EVENT, TargetState

from ._consumer import MINUTE, SCANNED, TTL, WOKEN, Advance, Consumer, positions, stored
from ._expectations import some

_WAYS: Final[tuple[tuple[Callable[[str, int], Then], frozenset[str], int], ...]] = (
    (
        lambda error, at: Retried(error=error, position=at, failed=4, after=timedelta(0)),
        frozenset({"error"}),
        2,
    ),
    (
        lambda error, at: Retried(error=error, position=at, failed=4, after=TTL),
        frozenset({"error", "due"}),
        0,
    ),
    (lambda *_: Postponed(failed=4, after=TTL), frozenset({"due"}), 0),
    (
        lambda error, at: Blocked(error=error, position=at, failed=4),
        frozenset({"error", "blocked"}),
        0,
    ),
    (
        lambda error, at: Parked(error=error, position=at, failed=4),
        frozenset({"error", "parked"}),
        1,
    ),
)
"""How a lease ends with its second event, what is written of it, and how many events are left to do."""


class Finishing:
    """Only the holder ends a lease, and its row says how."""

    async def test_what_is_done_is_not_handed_out_again(self, store: IEventStore) -> None:
        """F1: the lease is over, the watermark moved, all else is as new."""
        consumer = await Consumer(store, [WOKEN]).register()
        events = await consumer.wake("a", 3)
        lease = await consumer.lease()
        before = await consumer.target("a")
        assert await consumer.finish(lease, Done(), at=events[1].position) is None
        assert await consumer.target("a") == replace(
            before, at=events[1].position, attempt=0, leased_until=None
        )
        lease = await consumer.lease()
        assert list(lease.events) == events[2:]
        await consumer.done(lease)
        target = await consumer.target("a")
        assert target.at == target.mark == events[2].position
        assert await consumer.claim() == []

    async def test_what_comes_during_a_lease_is_next(self, store: IEventStore) -> None:
        """F1: it is not taken for done with what was there before."""
        consumer = await Consumer(store, [WOKEN]).register()
        await consumer.wake("a")
        lease = await consumer.lease()
        later = await consumer.wake("a", 2)
        await consumer.done(lease)
        assert list((await consumer.lease()).events) == later

    async def test_a_finish_writes_what_it_says(self, store: IEventStore) -> None:
        """F4, F5: retried, postponed, blocked or put aside, after what was done before."""
        consumer = await Consumer(store, [WOKEN]).register()
        for number, (way, written, left) in enumerate(_WAYS):
            name, error = f"s{number}", f"é🛒 {number}"
            events = await consumer.wake(name, 3)
            first, second, third = positions(events)
            lease = await consumer.lease()
            token = lease.token
            assert await consumer.finish(lease, way(error, second), at=first) is None
            target = await consumer.target(name)
            assert target == TargetState(
                group="g",
                reaction="r",
                key=name,
                lane="default",
                stream=name,
                once=False,
                at=second if "parked" in written else first,
                mark=third,
                attempt=1 if "blocked" in written else 0,
                failed=0 if "parked" in written else 4,
                token=token,
                due=target.due,
                blocked_at=target.blocked_at,
                error=error if "error" in written else None,
                error_position=second if "error" in written else None,
            )
            assert (target.due is not None) == ("due" in written)
            assert (target.blocked_at is not None) == ("blocked" in written)
            for time in (target.due, target.blocked_at):
                assert time is None or abs(time - events[0].created) < 2 * TTL
            leases = await consumer.claim()
            assert [list(each.events) for each in leases] == ([events[-left:]] if left else [])
            await consumer.done(*leases)
        assert [each.key for each in await consumer.targets(blocked=True)] == ["s3"]
        assert [(each.key, each.attempts) for each in await consumer.parked()] == [("s4", 4)]

    async def test_an_old_token_changes_nothing(self, store: IEventStore, advance: Advance) -> None:
        """L4, F3: however it would end the lease; its error says so."""
        consumer = await Consumer(store, [WOKEN]).register()
        first, second = await consumer.wake("a", 2)
        old = await consumer.lease()
        await advance(TTL)
        current = await Consumer(store, [WOKEN]).lease()
        before = await consumer.target("a")
        for then in _all_ways(second.position):
            error = await consumer.finish(
                old, then, at=first.position, appends=[Append("out", some(1))]
            )
            assert isinstance(error, LeaseLostError)
            for text in ("g", "r", "a", str(old.token)):
                assert text in str(error)
            assert await consumer.target("a") == before
        assert await store.heads(["out"]) == {}
        assert await consumer.parked() == []
        await consumer.done(current)

    async def test_a_lease_ends_once(self, store: IEventStore) -> None:
        """L4: whoever ended it or gave it back has it no more, also while nobody else has it."""
        consumer = await Consumer(store, [WOKEN]).register()
        (event,) = await consumer.wake("a")
        lease = await consumer.lease()
        await store.release([lease])
        await self._check_lost(consumer, lease)
        lease = await consumer.lease()
        then = Retried(error="x", position=event.position, failed=1, after=timedelta(0))
        assert await consumer.finish(lease, then) is None
        await self._check_lost(consumer, lease)
        lease = await consumer.lease()
        await consumer.done(lease)
        await self._check_lost(consumer, lease)

    async def _check_lost(self, consumer: Consumer, lease: Lease) -> None:
        before = await consumer.target("a")
        for then in _all_ways(lease.mark):
            appends = [Append("out", some(1))]
            error = await consumer.finish(lease, then, at=lease.mark, appends=appends)
            assert isinstance(error, LeaseLostError)
        assert await consumer.target("a") == before
        assert await consumer.store.heads(["out"]) == {}
        assert await consumer.parked() == []
        assert await consumer.store.extend([lease], ttl=TTL) == []

    async def test_a_lease_that_ran_out_ends_as_others(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """L4: as long as nobody else has it, which the token decides and not the time."""
        consumer = await Consumer(store, [WOKEN]).register()
        await consumer.wake("a")
        lease = await consumer.lease()
        await advance(2 * TTL)
        error = await consumer.finish(
            lease, Done(), at=lease.upto, appends=[Append("out", some(1))]
        )
        assert error is None
        assert (await store.heads(["out"]))["out"].version == 0
        assert await consumer.claim() == []

    async def test_a_watermark_never_goes_back(self, store: IEventStore) -> None:
        """L5: also if a later finish of the lease says less."""
        consumer = await Consumer(store, [WOKEN]).register()
        first, second, third = await consumer.wake("a", 3)
        lease = await consumer.lease()
        progress = Progress(ttl=TTL)
        for at in (second.position, first.position):
            assert await consumer.finish(lease, progress, at=at) is None
            assert (await consumer.target("a")).at == second.position
        assert await consumer.finish(lease, Done(), at=first.position) is None
        assert (await consumer.target("a")).at == second.position
        assert list((await consumer.lease()).events) == [third]

    async def test_the_row_of_an_event_is_gone(self, store: IEventStore) -> None:
        """L8: when it is done or put aside, and not before."""
        consumer = await Consumer(store, [replace(WOKEN, to=PER_EVENT)]).register()
        (event,) = await consumer.wake("a", to=PER_EVENT)
        key, position = str(event.position), event.position
        for then in (
            Retried(error="x", position=position, failed=1, after=timedelta(0)),
            Postponed(failed=1, until=event.created),
            Blocked(error="x", position=position, failed=2),
        ):
            lease = await consumer.lease()
            assert await consumer.finish(lease, then) is None
            target = await consumer.target(key)
            assert (target.once, target.at, target.mark) == (True, position - 1, position)
            if isinstance(then, Blocked):
                assert await store.unblock("g", reaction="r", key=key) == 1
        lease = await consumer.lease()
        await consumer.done(lease)
        assert await consumer.targets() == []
        error = await consumer.finish(lease, Done(), at=lease.upto)
        assert isinstance(error, LeaseLostError)
        (event,) = await consumer.wake("a", to=PER_EVENT)
        lease = await consumer.lease()
        parked = Parked(error="x", position=event.position, failed=1)
        assert await consumer.finish(lease, parked) is None
        assert await consumer.targets() == []
        assert [each.position for each in await consumer.parked()] == [event.position]

    async def test_two_reactions_on_one_event_fail_apart(self, store: IEventStore) -> None:
        """F6: neither waits for the other."""
        specs = [replace(SCANNED, name=name) for name in ("r", "s", "t")]
        consumer = await Consumer(store, specs).register()
        first, second = await stored(store, "a", 2)
        await consumer.catch_up()
        leases = {lease.reaction: lease for lease in await consumer.claim()}
        await consumer.done(leases["r"])
        blocked = Blocked(error="x", position=first.position, failed=1)
        assert await consumer.finish(leases["s"], blocked) is None
        retried = Retried(error="y", position=second.position, failed=1, after=TTL)
        assert await consumer.finish(leases["t"], retried, at=first.position) is None
        ats = {each.reaction: (each.at, each.error) for each in await consumer.targets()}
        assert ats == {
            "r": (second.position, None),
            "s": (first.position - 1, "x"),
            "t": (first.position, "y"),
        }
        await stored(store, "a")
        await consumer.catch_up()
        assert [lease.reaction for lease in await consumer.claim()] == ["r"]


def _all_ways(position: int) -> list[Then]:
    """Return all ways in which a lease can go on."""
    return [
        Done(),
        Progress(ttl=TTL + MINUTE),
        Retried(error="x", position=position, failed=7, after=timedelta(0)),
        Retried(error="x", position=position, failed=7, after=TTL),
        Postponed(failed=7, after=TTL),
        Blocked(error="x", position=position, failed=7),
        Parked(error="x", position=position, failed=7),
    ]

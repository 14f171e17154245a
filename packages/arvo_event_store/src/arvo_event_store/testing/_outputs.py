"""Outputs: what is stored with the end of a lease, or not at all."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from arvo_event_store._append import Append
from arvo_event_store._errors import (
    ConflictError,
    EventIdReusedError,
    EventStoreError,
    InvalidEventError,
    LeaseLostError,
    StreamClosedError,
)
from arvo_event_store._event import Event, NewEvent
from arvo_event_store._expect import Expect
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
from arvo_event_store._target import PER_EVENT, Wake

from ._consumer import TTL, WOKEN, Advance, ConnectStore, Consumer, in_order, rounds, single
from ._expectations import added, listed, only, some

_WAKE: Final = Wake(group="g", reaction="r", lane="default")


class Outputs:
    """Events and an acknowledgement are stored together or not at all."""

    async def test_outputs_are_stored_with_the_acknowledgement(self, store: IEventStore) -> None:
        """F2: in several streams, with the targets that they wake, as they were given."""
        consumer = await Consumer(store, [WOKEN]).register()
        (event,) = await consumer.wake("a")
        lease = await consumer.lease()
        given = NewEvent(
            "Made",
            {"z": 1, "a": [None]},
            correlation=event.correlation,
            causation=event.id,
            meta={"m": 1},
            private={"name": "Ann"},
        )
        plain = added(7)
        outputs = [
            Append("x", [given, plain], wakes=[_WAKE]),
            Append("a", some(1), expect=0),
            Append("y", some(2), wakes=[replace(_WAKE, to=PER_EVENT, reaction="e")]),
        ]
        assert await consumer.finish(lease, Done(), at=lease.upto, appends=outputs) is None
        first, second = await listed(store.read("x"))
        assert (first.id, first.name, first.data) == (given.id, "Made", given.data)
        assert (first.correlation, first.causation) == (event.correlation, event.id)
        assert (first.meta, first.private) == ({"m": 1}, {"name": "Ann"})
        assert (second.correlation, second.causation) == (str(plain.id), None)
        assert [each.version for each in await listed(store.read("a"))] == [0, 1]
        woken = [(each.reaction, each.key) for each in await consumer.targets()]
        keys = sorted(str(each.position) for each in await listed(store.read("y")))
        assert woken == [*(("e", key) for key in keys), ("r", "a"), ("r", "x")]
        target = await consumer.target("a")
        assert (target.at, target.mark, target.leased_until) == (lease.upto, lease.upto, None)
        assert list((await consumer.lease()).events) == [first, second]

    async def test_outputs_are_stored_however_the_lease_goes_on(self, store: IEventStore) -> None:
        """F2, F4: of the events that were done before one failed."""
        consumer = await Consumer(store, [WOKEN]).register()
        ways: tuple[Callable[[int], Then], ...] = (
            lambda _: Progress(ttl=TTL),
            lambda at: Retried(error="x", position=at, failed=1, after=TTL),
            lambda _: Postponed(failed=0, after=TTL),
            lambda at: Blocked(error="x", position=at, failed=1),
            lambda at: Parked(error="x", position=at, failed=1),
        )
        for number, way in enumerate(ways):
            first, second = await consumer.wake(f"s{number}", 2)
            lease = single([each for each in await consumer.claim() if each.key == f"s{number}"])
            outputs = [Append("out", some(1), expect=number - 1 if number else Expect.NO_STREAM)]
            then = way(second.position)
            assert await consumer.finish(lease, then, at=first.position, appends=outputs) is None
            assert (await store.heads(["out"]))["out"].version == number
            expected = second.position if isinstance(then, Parked) else first.position
            assert (await consumer.target(f"s{number}")).at == expected

    async def test_a_refused_output_stores_nothing(self, store: IEventStore) -> None:
        """F2: whatever is wrong with it; the lease stands, and can end in another way."""
        consumer = await Consumer(store, [WOKEN]).register()
        (event,) = await consumer.wake("a")
        await store.append("full", some(1))
        await store.append("closed", some(1))
        await store.close_stream("closed")
        lease = await consumer.lease()
        before, horizon = await consumer.target("a"), await _last(store)
        wrong: tuple[tuple[Append, type[EventStoreError]], ...] = (
            (Append("full", some(1), expect=7), ConflictError),
            (Append("a", some(1), expect=7), ConflictError),
            (Append("closed", some(1)), StreamClosedError),
            (Append("full", [*some(1), NewEvent("", 1)]), InvalidEventError),
            (Append("full", [NewEvent("Added", float("nan"))]), InvalidEventError),
            (Append("a\0", some(1)), InvalidEventError),
            (Append("full", [added(1), replace(added(2), id=event.id)]), EventIdReusedError),
        )
        for append, error in wrong:
            for outputs in ([append], [Append("out", some(1), wakes=[_WAKE]), append]):
                found = await consumer.finish(lease, Done(), at=lease.upto, appends=outputs)
                assert isinstance(found, error), f"{error.__name__} is expected, not {found!r}"
                assert await consumer.target("a") == before
        assert await store.heads(["out"]) == {}
        assert await _last(store) == horizon
        assert [each.key for each in await consumer.targets()] == ["a"]
        assert await consumer.claim() == []
        retried = Retried(error="x", position=event.position, failed=1, after=timedelta(0))
        assert await consumer.finish(lease, retried) is None
        assert (await consumer.lease()).failed == 1

    async def test_a_stale_lease_stores_no_output(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """F3: nor is it told what else would be wrong; whoever has the lease stores its own."""
        consumer = await Consumer(store, [WOKEN]).register()
        await consumer.wake("a")
        old = await consumer.lease()
        await advance(TTL)
        current = await Consumer(store, [WOKEN]).lease()
        for outputs in (
            [Append("out", some(1), wakes=[_WAKE])],
            [Append("out", some(1)), Append("out2", some(1))],
            [Append("a", some(1), expect=0)],
        ):
            for then in (Done(), Progress(ttl=TTL)):
                error = await consumer.finish(old, then, at=old.upto, appends=outputs)
                assert isinstance(error, LeaseLostError)
        assert await store.heads(["out", "out2"]) == {}
        assert (await store.heads(["a"]))["a"].version == 0
        assert [each.key for each in await consumer.targets()] == ["a"]
        outputs = [Append("out", some(1))]
        assert await consumer.finish(current, Done(), at=current.upto, appends=outputs) is None
        assert (await store.heads(["out"]))["out"].version == 0

    async def test_an_output_that_is_known_is_stored_once(self, store: IEventStore) -> None:
        """F2, A14: the lease ends all the same; with "skip" the known ones are left out."""
        consumer = await Consumer(store, [WOKEN]).register()
        batch = some(2)
        await store.append("out", batch)
        for number, output in enumerate(
            (
                Append("out", batch, wakes=[_WAKE]),
                Append("out", [*batch, added(3)], known="skip", wakes=[_WAKE]),
                Append("out", []),
            )
        ):
            await consumer.wake(f"s{number}")
            lease = await consumer.lease()
            assert await consumer.finish(lease, Done(), at=lease.upto, appends=[output]) is None
            assert (await store.heads(["out"]))["out"].version == (1 if number == 0 else 2)
            if number == 1:
                event = single((await consumer.lease()).events)
                assert (event.stream, event.version) == ("out", 2)

    async def test_the_row_of_an_event_goes_with_its_outputs(self, store: IEventStore) -> None:
        """F2, L8: or stays, if they are refused."""
        consumer = await Consumer(store, [replace(WOKEN, to=PER_EVENT)]).register()
        await consumer.wake("a", to=PER_EVENT)
        lease = await consumer.lease()
        wrong = [Append("out", some(1)), Append("a", some(1), expect=7)]
        error = await consumer.finish(lease, Done(), at=lease.upto, appends=wrong)
        assert isinstance(error, ConflictError)
        assert [each.at for each in await consumer.targets()] == [lease.at]
        for outputs in ([Append("out", some(1))], [Append("out", some(1)), Append("b", some(1))]):
            assert await consumer.finish(lease, Done(), at=lease.upto, appends=outputs) is None
            assert await consumer.targets() == []
            error = await consumer.finish(lease, Done(), at=lease.upto, appends=outputs)
            assert isinstance(error, LeaseLostError)
            await consumer.wake("a", to=PER_EVENT)
            lease = await consumer.lease()
        assert (await store.heads(["out"]))["out"].version == 1

    async def test_an_output_may_wake_its_own_target(self, store: IEventStore) -> None:
        """F2: which has work again at once."""
        consumer = await Consumer(store, [WOKEN]).register()
        await consumer.wake("a")
        for number in range(3):
            lease = await consumer.lease()
            assert [event.version for event in lease.events] == [number]
            outputs = [Append("a", some(1), expect=number, wakes=[_WAKE])]
            assert await consumer.finish(lease, Done(), at=lease.upto, appends=outputs) is None
        assert [event.version for event in (await consumer.lease()).events] == [3]

    async def test_targets_that_write_to_each_other_are_all_done(
        self, store: IEventStore, connect: ConnectStore
    ) -> None:
        """F11: from three clients at once, in any order of streams; each event once."""
        consumer = await Consumer(store, [WOKEN]).register()
        count, hops = 5, 4
        for number in range(count):
            await consumer.wake(f"s{number}", _balls(hops, 2))
        handled: list[Event] = []

        async def work(worker: Consumer) -> int:
            leases = await worker.claim(lagging=2, leading=1, max_events=2)
            for lease in leases:
                handled.extend(lease.events)
                appends = _thrown(lease, count)
                error = await worker.finish(lease, Done(), at=lease.upto, appends=appends)
                assert error is None, f"nothing is wrong with this finish: {error!r}"
            return len(leases)

        async with connect() as first, connect() as second:
            workers = [Consumer(client, [WOKEN]) for client in (store, first, second)]
            for _ in rounds():
                if not any(await asyncio.gather(*map(work, workers * 2))):
                    break
        events = await listed(store.read_all())
        assert len(events) == count * 2 * (2 ** (hops + 1) - 1)
        assert in_order(handled) == events
        for number in range(count):
            versions = [each.version for each in handled if each.stream == f"s{number}"]
            assert versions == sorted(versions)
        assert all(each.at == each.mark for each in await consumer.targets())


async def _last(store: IEventStore) -> int:
    """Return the position of the last event."""
    return (await only(store.read_all(backward=True, limit=1))).position


def _balls(hops: int, count: int) -> list[NewEvent]:
    return [NewEvent("Ball", hops) for _ in range(count)]


def _thrown(lease: Lease, count: int) -> list[Append]:
    """Return what the events of a lease throw: one ball each to two of the other streams."""
    number = int(lease.key.removeprefix("s"))
    hops = [event.data - 1 for event in lease.events if event.data]
    if not hops:
        return []
    return [
        Append(
            f"s{(number + by) % count}", [NewEvent("Ball", each) for each in hops], wakes=[_WAKE]
        )
        for by in (1, 3)
    ]

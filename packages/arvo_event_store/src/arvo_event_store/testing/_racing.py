"""Workers, scanners and operators at once, and calls that are cancelled."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from unittest import SkipTest

from arvo_event_store._append import Append
from arvo_event_store._errors import LeaseLostError
from arvo_event_store._event import NewEvent
from arvo_event_store._lease import Blocked, Done, Parked
from arvo_event_store._store import IEventStore
from arvo_event_store._target import PER_EVENT, TargetKind
from arvo_event_store._wake_ups import IWakeUps

from ._consumer import (
    SCANNED,
    TTL,
    WOKEN,
    Advance,
    ConnectStore,
    Consumer,
    in_order,
    rounds,
    stored,
)
from ._expectations import some, versions


class Racing:
    """Whatever happens at once, each call is done or not, and nobody waits for ever."""

    async def test_a_cancelled_finish_is_stored_whole_or_not_at_all(
        self, store: IEventStore
    ) -> None:
        """F2: wherever it is cancelled; the same finish again settles it."""
        consumer = await Consumer(store, [WOKEN]).register()
        for steps in range(12):
            await consumer.wake(f"s{steps}")
            lease = await consumer.lease()
            outputs = [Append(f"out{steps}", some(2)), Append(f"more{steps}", some(1))]
            finishing = asyncio.create_task(
                consumer.finish(lease, Done(), at=lease.upto, appends=outputs)
            )
            for _ in range(steps):
                await asyncio.sleep(0)
            finishing.cancel()
            with suppress(asyncio.CancelledError):
                assert await finishing is None
            again = await consumer.finish(lease, Done(), at=lease.upto, appends=outputs)
            assert again is None or isinstance(again, LeaseLostError)
            assert await versions(store.read(f"out{steps}")) == [0, 1]
            assert await versions(store.read(f"more{steps}")) == [0]
            assert (await consumer.target(f"s{steps}")).at == lease.upto

    async def test_a_cancelled_claim_loses_nothing(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """L2: what it took is free again when its lease ends, if it took anything."""
        consumer = await Consumer(store, [WOKEN]).register()
        for steps in range(8):
            events = await consumer.wake("a")
            claiming = asyncio.create_task(consumer.claim())
            for _ in range(steps):
                await asyncio.sleep(0)
            claiming.cancel()
            with suppress(asyncio.CancelledError):
                await claiming
            for _ in rounds(100):
                leases = await consumer.claim()
                if leases:
                    break
                await advance(TTL)
            assert [list(each.events) for each in leases] == [events]
            assert leases[0].attempt <= 2
            await consumer.done(*leases)

    async def test_operators_do_not_get_in_the_way_of_workers(
        self, store: IEventStore, connect: ConnectStore
    ) -> None:
        """F9, F11: nor scanners; after the last of it, all is handled that there is."""
        specs = [
            replace(SCANNED, name="streams"),
            replace(SCANNED, name="keys", to=TargetKind.KEY),
            replace(SCANNED, name="events", to=PER_EVENT),
        ]
        consumer = await Consumer(store, specs).register()

        async def scan(client: IEventStore) -> None:
            scanner = replace(consumer, store=client)
            page = await scanner.scan(limit=5)
            if page is not None:
                await scanner.route(page)

        async def work(client: IEventStore, number: int) -> None:
            worker = replace(consumer, store=client)
            for lease in await worker.claim(lagging=4, leading=2, max_events=2):
                position = lease.events[0].position if lease.events else lease.mark
                then = (
                    Done(),
                    Blocked(error="x", position=position, failed=1),
                    Parked(error="x", position=position, failed=1),
                )[lease.token % 3]
                at = lease.upto if isinstance(then, Done) else lease.at
                output = Append(f"out{number % 2}", [NewEvent("Made", 1)])
                error = await worker.finish(lease, then, at=at, appends=[output])
                assert error is None or isinstance(error, LeaseLostError)

        async def operate(client: IEventStore, number: int) -> None:
            operator = replace(consumer, store=client)
            name = specs[number % 3].name
            for target in (await operator.targets(blocked=True))[:2]:
                await client.skip("g", reaction=target.reaction, key=target.key)
            await client.unblock("g", reaction=name)
            await client.replay("g", (await operator.parked(reaction=name))[:2])
            if number % 2:
                await client.reset("g", reaction=name, after=number)
            await client.lag("g")

        async with connect() as first, connect() as second:
            for number in range(8):
                await stored(store, f"s{number % 4}", 3)
                await asyncio.gather(
                    scan(store),
                    work(first, number),
                    work(second, number + 1),
                    operate(store, number),
                    stored(second, f"s{(number + 1) % 4}"),
                )
        events = in_order([each async for each in store.read_all() if each.name == "Added"])
        for spec in specs:
            await store.reset("g", reaction=spec.name, after=0)
        await consumer.catch_up()
        left = await consumer.parked()
        for lease in await consumer.claim(max_events=1000):
            if lease.key.startswith("replayed:"):
                continue
            assert list(lease.events) == [
                each for each in events if lease.key in {each.stream, str(each.position)}
            ]
        assert await consumer.parked() == left

    async def test_who_waits_for_work_is_told(self, store: IEventStore) -> None:
        """S11: of appends, marks, and targets that an operator set going."""
        if not isinstance(store, IWakeUps):
            raise SkipTest("the store has no wake-ups")
        consumer = await Consumer(store, [SCANNED, replace(WOKEN, name="w")]).register()
        seen = store.changes

        async def is_told() -> bool:
            nonlocal seen
            told = await store.wait_for_change(seen=seen, at_most=timedelta(minutes=1))
            seen = store.changes
            return told

        (event,) = await stored(store, "a")
        assert await is_told()
        assert await consumer.route(await consumer.page())
        assert await is_told()
        blocked = Blocked(error="x", position=event.position, failed=1)
        assert await consumer.finish(await consumer.lease(), blocked) is None
        seen = store.changes
        assert await store.unblock("g", reaction="r") == 1
        assert await is_told()
        parked = Parked(error="x", position=event.position, failed=1)
        assert await consumer.finish(await consumer.lease(), parked) is None
        seen = store.changes
        assert await store.replay("g", await consumer.parked()) == 1
        assert await is_told()
        seen = store.changes
        await store.reset("g", reaction="r", after=0)
        assert await is_told()

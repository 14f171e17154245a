"""What must hold when somebody operates topics while they are in use."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from arvo_transport import Dead

from ._engine_under_test import EngineUnderTest
from ._events import ORDER, PAY, SHIP, event, letter_of, needs_order
from ._order_ledger import OrderLedger
from ._scene import Scene, cancelled_after, ids

_A_WHILE = timedelta(milliseconds=300)
_FOLLOW = timedelta(seconds=5)
"""Within this all workers follow a pause."""


class Operating:
    """What `pause` and `relayout` promise."""

    async def test_a_paused_topic_hands_nothing_out(self, engine: EngineUnderTest) -> None:
        """Publishing goes on, other topics too; resumed, all comes."""
        async with Scene(engine, PAY, SHIP) as scene:
            await scene.client.publish([event(1)])
            await (await scene.connect()).pause(PAY.name, paused=True)
            worker, shipper = await scene.worker(PAY), await scene.worker(SHIP)
            await scene.client.publish([event(2), event(3, to=SHIP)])
            assert ids(await shipper.handle(1)) == ["event-3"]
            await scene.nothing_for(
                _A_WHILE, worker.inbox.receive(1), what="a paused topic hands nothing out"
            )
            await scene.rest(PAY, waiting=2)
            await scene.client.pause(PAY.name, paused=False)
            assert sorted(ids(await worker.handle(2))) == ["event-1", "event-2"]

    async def test_workers_follow_a_pause(self, engine: EngineUnderTest) -> None:
        """Also one that waits for events already; and its end likewise."""
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            waiting = asyncio.ensure_future(worker.inbox.receive(1))
            await scene.let_pass(_A_WHILE)
            await scene.client.pause(PAY.name, paused=True)
            await scene.let_pass(_FOLLOW)
            await scene.client.publish([event(1)])
            await scene.let_pass(_A_WHILE)
            assert not waiting.done(), "a worker must follow a pause"
            await scene.client.pause(PAY.name, paused=False)
            assert ids(await scene.ends(waiting, what="receive after a pause")) == ["event-1"]

    async def test_a_pause_is_shown(self, engine: EngineUnderTest) -> None:
        """To every client, and setting it again changes nothing."""
        async with Scene(engine, PAY, SHIP) as scene:
            other = await scene.connect()
            for paused in (True, True, False, False):
                await scene.client.pause(PAY.name, paused=paused)
                states = {each.name: each.paused for each in await other.topics()}
                assert states == {PAY.name: paused, SHIP.name: False}

    async def test_what_is_in_hand_is_finished_while_paused(self, engine: EngineUnderTest) -> None:
        """It can be extended, settled and released."""
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            await scene.client.publish([event(1), event(2)])
            first, second = await worker.receive(2)
            await scene.client.pause(PAY.name, paused=True)
            assert not await worker.inbox.extend([first, second])
            await worker.done(first)
            await worker.inbox.release([second])
            await scene.rest(PAY, waiting=1, in_hand=0)

    # --- relayout -----------------------------------------------------------

    async def test_a_relayout_changes_order_and_partitions(self, engine: EngineUnderTest) -> None:
        """As every client then sees it; what is left out stays."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            other = await scene.connect()
            await scene.client.relayout(ORDER.name, partitions=3)
            [state] = await other.topics()
            assert (state.order, state.partitions, state.paused) == ("subject", 3, False)
            await scene.client.relayout(ORDER.name, order="key")
            [state] = await other.topics()
            assert (state.order, state.partitions, state.paused) == ("key", 3, False)
            await scene.client.relayout(ORDER.name, order="none")
            [state] = await other.topics()
            assert (state.order, state.partitions, state.paused) == ("none", 1, False)

    async def test_a_relayout_keeps_what_waits_in_order(self, engine: EngineUnderTest) -> None:
        """From no order to one, and over partitions; and what is published afterwards too."""
        async with Scene(engine, replace(ORDER, order="none", owner=False)) as scene:
            needs_order(scene.client)
            publisher = await scene.connect()
            for number in range(20):
                await publisher.publish([event(number, to=ORDER, subject=f"order-{number % 4}")])
            await scene.client.relayout(ORDER.name, order="subject", partitions=5)
            await publisher.publish(
                [event(20 + number, to=ORDER, subject=f"order-{number}") for number in range(4)]
            )
            await scene.client.relayout(ORDER.name, partitions=2)
            ledger = OrderLedger(scene)
            worker = await scene.worker(ORDER)
            ledger.start(worker)
            await ledger.until(24)
            await ledger.stop(worker)
            ledger.check({f"order-{subject}": [*range(subject, 24, 4)] for subject in range(4)})

    async def test_a_relayout_waits_for_what_is_in_hand(self, engine: EngineUnderTest) -> None:
        """It ends when that is settled, and hands nothing out until then."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            worker = await scene.worker(ORDER)
            await scene.client.publish([event(1, to=ORDER), event(2, to=ORDER)])
            held = await worker.receive(1)
            async with worker.keeping(held):
                moving = asyncio.ensure_future(scene.client.relayout(ORDER.name, partitions=3))
                await scene.let_pass(_A_WHILE)
                assert not moving.done(), "a relayout must wait for what is in hand"
                await worker.done(held[0])
            await scene.ends(moving, what="a relayout after the settlement")
            assert ids(await worker.handle(1)) == ["event-2"]

    async def test_a_relayout_under_load_loses_nothing(self, engine: EngineUnderTest) -> None:
        """Publishers and workers go on meanwhile, and the order is kept."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            holder = await scene.worker(ORDER)
            publisher = await scene.connect()

            async def publish() -> None:
                for number in range(48):
                    await publisher.publish(
                        [event(number, to=ORDER, subject=f"order-{number % 4}")]
                    )

            await publisher.publish([event(0, to=ORDER, subject="order-0")])
            [first] = await holder.receive(1)
            ledger = OrderLedger(scene)
            moving = scene.start(scene.client.relayout(ORDER.name, partitions=7))
            workers = [await scene.worker(ORDER) for _ in range(2)]
            for worker in workers:
                ledger.start(worker)
            await scene.ends(publish(), what="publishing while a topic is moved")
            ledger.handled["order-0"].append(0)
            await holder.done(first)
            await holder.inbox.stop()
            await scene.ends(moving, what="a relayout")
            await scene.ends(scene.client.relayout(ORDER.name, partitions=3), what="a relayout")
            await ledger.until(48)
            await ledger.stop(*workers)
            ledger.check({f"order-{subject}": [*range(subject, 48, 4)] for subject in range(4)})
            await scene.rest(ORDER, waiting=0, in_hand=0)

    async def test_a_relayout_that_was_broken_off_can_be_repeated(
        self, engine: EngineUnderTest
    ) -> None:
        """Cancelled at any await, and by the end of its process."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            await scene.client.publish([event(number, to=ORDER) for number in range(6)])
            for turns in range(12):
                await cancelled_after(turns, scene.client.relayout(ORDER.name, partitions=3))
            worker = await scene.worker(ORDER)
            dying = await scene.connect()
            moving = asyncio.ensure_future(dying.relayout(ORDER.name, partitions=4))
            await asyncio.sleep(0)
            await engine.kill(dying)
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)
            await scene.ends(scene.client.relayout(ORDER.name, partitions=5), what="a relayout")
            [state] = await scene.client.topics()
            assert (state.partitions, state.paused) == (5, False)
            assert ids(await worker.handle(6)) == [f"event-{number}" for number in range(6)]

    async def test_letters_outlive_a_relayout(self, engine: EngineUnderTest) -> None:
        """They are found under the same keys, and can be redriven."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            await scene.client.publish([event(1, to=ORDER)])
            worker = await scene.worker(ORDER)
            [received] = await worker.receive(1)
            letter = letter_of(received.event, handler=ORDER.name)
            await worker.inbox.settle(received, Dead(letter=letter))
            before = await scene.client.dead_letters()
            await scene.client.relayout(ORDER.name, partitions=3)
            assert await scene.client.dead_letters() == before
            assert await scene.client.redrive([before[0].key]) == 1
            assert ids(await worker.handle(1)) == ["event-1"]

    async def test_a_relayout_to_no_partition_is_refused(self, engine: EngineUnderTest) -> None:
        """And nothing changes."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            before = await scene.client.topics()
            try:
                await scene.client.relayout(ORDER.name, partitions=0)
            except ValueError:
                pass
            else:
                raise AssertionError("a topic must have at least one partition")
            assert await scene.client.topics() == before

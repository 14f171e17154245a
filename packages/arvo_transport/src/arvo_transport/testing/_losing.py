"""What must hold when workers end without a word, or are slower than the engine is patient."""

import asyncio
from contextlib import suppress

from arvo_transport import DeliveryLostError, Done, Output

from ._engine_under_test import EngineUnderTest
from ._events import ORDER, PAY, SHIP, event, needs, needs_order
from ._scene import SHORT, Scene, cancelled_after, ids, settled_or_lost


class Losing:
    """What holds when a worker is lost."""

    async def test_what_a_killed_worker_had_comes_again(self, engine: EngineUnderTest) -> None:
        """To another worker, as its second delivery."""
        async with Scene(engine, PAY, patience=SHORT) as scene:
            await scene.client.publish([event(number) for number in range(3)])
            dying = await scene.worker(PAY)
            await dying.receive(3)
            await dying.kill()
            again = await (await scene.worker(PAY)).receive(3)
            assert sorted(ids(again)) == ["event-0", "event-1", "event-2"]
            assert [each.deliveries for each in again] == [2, 2, 2]

    async def test_it_is_not_taken_over_too_early(self, engine: EngineUnderTest) -> None:
        """The engine's patience is how long others wait."""
        async with Scene(engine, PAY, patience=SHORT) as scene:
            await scene.client.publish([event(1)])
            dying = await scene.worker(PAY)
            began = engine.clock.monotonic()
            await dying.receive(1)
            await dying.kill()
            await (await scene.worker(PAY)).receive(1)
            waited = engine.clock.monotonic() - began
            assert waited >= 0.9 * dying.inbox.patience.total_seconds()

    async def test_each_loss_counts_as_a_delivery(self, engine: EngineUnderTest) -> None:
        """So that an event which kills its workers is found out."""
        async with Scene(engine, PAY, patience=SHORT) as scene:
            await scene.client.publish([event(1)])
            for count in range(1, 4):
                dying = await scene.worker(PAY)
                [received] = await dying.receive(1)
                assert received.deliveries == count
                await dying.kill()

    async def test_what_was_not_in_hand_is_not_counted(self, engine: EngineUnderTest) -> None:
        """Events that only waited while a worker died are delivered for the first time."""
        async with Scene(engine, PAY, ORDER, patience=SHORT) as scene:
            topic = ORDER if scene.client.capabilities.ordered else PAY
            dying = await scene.worker(topic)
            await scene.client.publish([event(1, to=topic)])
            await dying.receive(1)
            await dying.kill()
            await scene.client.publish([event(2, to=topic), event(3, to=topic)])
            received = await (await scene.worker(topic)).handle(3)
            assert {each.event.id: each.deliveries for each in received} == {
                "event-1": 2,
                "event-2": 1,
                "event-3": 1,
            }

    async def test_a_settled_event_does_not_come_again(self, engine: EngineUnderTest) -> None:
        """Even if the worker dies in the next moment."""
        async with Scene(engine, PAY, patience=SHORT) as scene:
            await scene.client.publish([event(1)])
            dying = await scene.worker(PAY)
            [received] = await dying.receive(1)
            await dying.done(received)
            await dying.kill()
            await scene.rest(PAY, waiting=0, in_hand=0)

    async def test_a_settlement_after_the_loss_is_refused(self, engine: EngineUnderTest) -> None:
        """Where outputs and acknowledgement are one step, nothing was stored."""
        async with Scene(engine, PAY, SHIP, patience=SHORT) as scene:
            slow, other = await scene.worker(PAY), await scene.worker(PAY)
            await scene.client.publish([event(1)])
            [lost] = await slow.receive(1)
            await scene.let_pass(slow.inbox.patience)
            [taken] = await other.receive(1)
            output = Output(event(2, to=SHIP), topic=SHIP.name)
            assert not await settled_or_lost(slow.inbox, lost, Done(outputs=[output]))
            if scene.client.capabilities.atomic_settle:
                await scene.rest(SHIP, waiting=0)
            assert not await other.inbox.extend([taken]), "it acknowledged another's delivery"
            await other.done(taken)
            await scene.rest(PAY, waiting=0, in_hand=0)

    async def test_a_settlement_after_the_loss_of_a_subject_is_refused(
        self, engine: EngineUnderTest
    ) -> None:
        """The same for ordered topics: the former holder stores and acknowledges nothing."""
        async with Scene(engine, ORDER, SHIP, patience=SHORT) as scene:
            needs_order(scene.client)
            slow = await scene.worker(ORDER)
            await scene.client.publish([event(number, to=ORDER) for number in range(2)])
            [lost] = await slow.receive(1)
            await scene.let_pass(slow.inbox.patience)
            other = await scene.worker(ORDER)
            [taken] = await other.receive(1)
            assert (taken.event.id, taken.deliveries) == ("event-0", 2)
            output = Output(event(2, to=SHIP), topic=SHIP.name)
            assert not await settled_or_lost(slow.inbox, lost, Done(outputs=[output]))
            if scene.client.capabilities.atomic_settle:
                await scene.rest(SHIP, waiting=0)
            await other.done(taken)
            assert ids(await other.receive(1)) == ["event-1"]

    async def test_a_repeated_settlement_stores_nothing_twice(
        self, engine: EngineUnderTest
    ) -> None:
        """It is made again when its reply was lost, and says at worst that the event is gone."""
        async with Scene(engine, PAY, SHIP) as scene:
            needs(
                scene.client.capabilities.atomic_settle, "outputs and acknowledgement in one step"
            )
            worker = await scene.worker(PAY)
            await scene.client.publish([event(1)])
            [received] = await worker.receive(1)
            done = Done(outputs=[Output(event(2, to=SHIP), topic=SHIP.name)])
            await worker.inbox.settle(received, done)
            shipped = await (await scene.worker(SHIP)).handle(1)
            for _ in range(3):
                await settled_or_lost(worker.inbox, received, done)
            assert ids(shipped) == ["event-2"]
            await scene.rest(SHIP, waiting=0, in_hand=0)
            await scene.rest(PAY, waiting=0, in_hand=0)

    async def test_a_cancelled_settlement_is_made_or_not(self, engine: EngineUnderTest) -> None:
        """Cancelled at any await, the event comes again or its output is there."""
        async with Scene(engine, PAY, SHIP) as scene:
            worker = await scene.worker(PAY)
            for turns in range(15):
                await scene.client.publish([event(turns)])
                [received] = await worker.receive(1)
                output = Output(event(100 + turns, to=SHIP), topic=SHIP.name)
                settling = worker.inbox.settle(received, Done(outputs=[output]))
                if not await cancelled_after(turns, settling):
                    with suppress(DeliveryLostError):
                        await worker.done(received, output)
            seen: set[str] = set()
            shipper = await scene.worker(SHIP)
            while len(seen) < 15:
                seen |= set(ids(await shipper.handle(1)))
            assert seen == {f"event-{100 + turns}" for turns in range(15)}
            await scene.rest(PAY, waiting=0, in_hand=0)
            if scene.client.capabilities.atomic_settle:
                await scene.rest(SHIP, waiting=0, in_hand=0)

    async def test_outputs_are_stored_when_settle_returns(self, engine: EngineUnderTest) -> None:
        """The worker may die in the next moment."""
        async with Scene(engine, PAY, SHIP, patience=SHORT) as scene:
            await scene.client.publish([event(1)])
            dying = await scene.worker(PAY)
            [received] = await dying.receive(1)
            await dying.done(received, Output(event(2, to=SHIP), topic=SHIP.name))
            await dying.kill()
            assert ids(await (await scene.worker(SHIP)).receive(1)) == ["event-2"]

    async def test_nothing_is_lost_when_workers_die_one_after_the_other(
        self, engine: EngineUnderTest
    ) -> None:
        """Each settles some of what it has, and dies with the rest."""
        async with Scene(engine, PAY, patience=SHORT) as scene:
            await scene.client.publish([event(number) for number in range(24)])
            handled: list[str] = []
            for _ in range(3):
                dying = await scene.worker(PAY)
                held = await dying.receive(6)
                await asyncio.gather(*(dying.done(each) for each in held[::2]))
                handled += ids(held[::2])
                await dying.kill()
            last = await scene.worker(PAY)
            handled += ids(await last.handle(24 - len(handled)))
            assert sorted(handled) == sorted(f"event-{number}" for number in range(24))
            await scene.rest(PAY, waiting=0, in_hand=0)

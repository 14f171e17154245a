"""What must hold for events on their way to a worker."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from arvo_transport import Dead, Later

from ._engine_under_test import EngineUnderTest
from ._events import ORDER, PAY, SHIP, event, letter_of, needs
from ._scene import SHORT, Scene, cancelled_after, ids

_A_WHILE = timedelta(milliseconds=300)
_PRECISION = timedelta(milliseconds=20)


class Receiving:
    """What `receive`, `extend`, `release` and `stop` promise."""

    async def test_a_first_delivery_says_so(self, engine: EngineUnderTest) -> None:
        """It counts from 1, nothing has failed, and it is not a copy on purpose."""
        async with Scene(engine, PAY) as scene:
            await scene.client.publish([event(1)])
            [received] = await (await scene.worker(PAY)).receive(1)
            assert (received.deliveries, received.failed, received.again) == (1, 0, "")

    async def test_a_delivery_says_when_its_event_was_stored(self, engine: EngineUnderTest) -> None:
        """Where the engine knows it: when it was published, and not when it is handed out."""
        async with Scene(engine, PAY) as scene:
            begun = engine.clock.now()
            await scene.client.publish([event(1)])
            ended = engine.clock.now()
            await scene.let_pass(_A_WHILE)
            [received] = await (await scene.worker(PAY)).receive(1)
            needs(received.stored_at, "the time at which an event was stored")
            assert received.stored_at is not None
            assert begun - _PRECISION <= received.stored_at <= ended + _PRECISION

    async def test_receive_waits_for_an_event(self, engine: EngineUnderTest) -> None:
        """One that waits is woken by a publication of another client."""
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            waiting = asyncio.ensure_future(worker.inbox.receive(5))
            await scene.let_pass(_A_WHILE)
            assert not waiting.done(), "receive must wait while there is nothing"
            await scene.client.publish([event(1)])
            assert ids(await scene.ends(waiting, what="receive after a publication")) == ["event-1"]

    async def test_receive_returns_no_more_than_its_limit(self, engine: EngineUnderTest) -> None:
        """What is beyond it waits, for anybody."""
        async with Scene(engine, PAY) as scene:
            await scene.client.publish([event(number) for number in range(10)])
            worker = await scene.worker(PAY)
            got = await scene.ends(worker.inbox.receive(3))
            assert 1 <= len(got) <= 3
            other = await scene.worker(PAY)
            assert len(await other.receive(10 - len(got))) == 10 - len(got)

    async def test_a_limit_below_one_is_refused(self, engine: EngineUnderTest) -> None:
        """By `receive`, `peek` and `dead_letters`, as it would never return anything."""
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "receive": lambda: worker.inbox.receive(0),
                "peek": lambda: scene.client.peek(PAY.name, limit=0),
                "dead_letters": lambda: scene.client.dead_letters(limit=0),
            }
            for name, call in calls.items():
                try:
                    await scene.ends(call(), what=f"{name} with a limit of 0")
                except ValueError:
                    continue
                raise AssertionError(f"{name} must refuse a limit of 0")

    async def test_each_event_goes_to_one_worker(self, engine: EngineUnderTest) -> None:
        """However many receive concurrently, by several calls of one inbox too."""
        async with Scene(engine, PAY) as scene:
            workers = [await scene.worker(PAY) for _ in range(3)]
            handled: list[str] = []

            async def work(number: int) -> None:
                inbox = workers[number % 3].inbox
                while held := await inbox.receive(4):
                    for received in held:
                        handled.append(received.event.id)
                        await workers[number % 3].done(received)

            tasks = [scene.start(work(number)) for number in range(6)]
            await scene.client.publish([event(number) for number in range(100)])
            await scene.until(lambda: len(handled) >= 100, what="100 events handled")
            for worker in workers:
                await worker.inbox.stop()
            await scene.ends(asyncio.gather(*tasks), what="workers that were stopped")
            assert sorted(handled) == sorted(f"event-{number}" for number in range(100))
            await scene.rest(PAY, waiting=0, in_hand=0)

    async def test_without_order_nothing_waits_for_others(self, engine: EngineUnderTest) -> None:
        """Events of one subject are in hand at several workers at once."""
        async with Scene(engine, PAY) as scene:
            await scene.client.publish([event(number) for number in range(3)])
            workers = [await scene.worker(PAY) for _ in range(3)]
            held = [(await worker.receive(1))[0] for worker in workers]
            assert len(set(ids(held))) == 3
            await scene.rest(PAY, waiting=0, in_hand=3)

    async def test_topics_do_not_wait_for_each_other(self, engine: EngineUnderTest) -> None:
        """What is in hand of one holds up nothing of another."""
        async with Scene(engine, PAY, SHIP) as scene:
            await scene.client.publish([event(1), event(2, to=SHIP)])
            payer, shipper = await scene.worker(PAY), await scene.worker(SHIP)
            await payer.receive(1)
            assert ids(await shipper.handle(1)) == ["event-2"]

    async def test_a_cancelled_receive_loses_nothing(self, engine: EngineUnderTest) -> None:
        """Cancelled at any await, what it may have taken comes again."""
        async with Scene(engine, PAY, patience=SHORT) as scene:
            worker = await scene.worker(PAY)
            for turns in range(20):
                await scene.client.publish([event(turns)])
                if await cancelled_after(turns, worker.inbox.receive(1)):
                    break  # it returned before it was cancelled
            await scene.client.publish([event(100)])
            await worker.inbox.stop()
            other = await scene.worker(PAY)
            wanted = {f"event-{number}" for number in range(turns + 1)} | {"event-100"}
            seen: set[str] = set()
            while not wanted <= seen:
                seen |= set(ids(await other.handle(1)))

    # --- in hand ------------------------------------------------------------

    async def test_what_is_in_hand_is_given_to_nobody_else(self, engine: EngineUnderTest) -> None:
        """Nor to the same worker again."""
        async with Scene(engine, PAY) as scene:
            worker, other = await scene.worker(PAY), await scene.worker(PAY)
            await scene.client.publish([event(1)])
            held = await worker.receive(1)
            async with worker.keeping(held):
                await scene.client.publish([event(2), event(3)])
                rest = await other.receive(1) + await worker.receive(1)
                assert sorted(ids(rest)) == ["event-2", "event-3"]

    async def test_what_is_extended_stays_in_hand(self, engine: EngineUnderTest) -> None:
        """For several times the patience; it is settled as its first delivery."""
        async with Scene(engine, PAY, patience=SHORT) as scene:
            worker, other = await scene.worker(PAY), await scene.worker(PAY)
            await scene.client.publish([event(number) for number in range(3)])
            held = await worker.receive(3)
            async with worker.keeping(held):
                await scene.nothing_for(
                    3 * worker.inbox.patience, other.inbox.receive(1), what="extended events stay"
                )
                assert not await worker.inbox.extend(held)
                for received in held:
                    await worker.done(received)
            await scene.rest(PAY, waiting=0, in_hand=0)

    async def test_extend_names_what_was_lost(self, engine: EngineUnderTest) -> None:
        """That is what was settled, and what another has now; the rest is kept."""
        async with Scene(engine, PAY, patience=SHORT) as scene:
            worker, other = await scene.worker(PAY), await scene.worker(PAY)
            await scene.client.publish([event(1), event(2)])
            first, second = await worker.receive(2)
            await worker.done(first)
            assert [*await worker.inbox.extend([first, second])] == [first]
            await scene.let_pass(worker.inbox.patience)
            [taken] = await other.receive(1)
            async with other.keeping([taken]):
                assert [*await worker.inbox.extend([second])] == [second]
                assert not await other.inbox.extend([taken])

    # --- given back ---------------------------------------------------------

    async def test_what_is_released_is_there_for_others_immediately(
        self, engine: EngineUnderTest
    ) -> None:
        """Long before the patience ends, and the former holder has it no more."""
        async with Scene(engine, PAY) as scene:
            worker, other = await scene.worker(PAY), await scene.worker(PAY)
            await scene.client.publish([event(1), event(2)])
            held = await worker.receive(2)
            began = engine.clock.monotonic()
            await worker.inbox.release(held[:1])
            [again] = await other.receive(1)
            assert engine.clock.monotonic() - began < worker.inbox.patience.total_seconds()
            assert again.event == held[0].event
            assert ids(await worker.inbox.extend(held)) == ids(held[:1])

    async def test_a_release_is_not_a_delivery(self, engine: EngineUnderTest) -> None:
        """Given back any number of times, it is still the first."""
        async with Scene(engine, PAY) as scene:
            needs(not scene.client.capabilities.counts_returns, "returns that do not count")
            worker = await scene.worker(PAY)
            await scene.client.publish([event(1)])
            for _ in range(4):
                held = await worker.receive(1)
                assert held[0].deliveries == 1
                await worker.inbox.release(held)

    async def test_a_release_of_what_was_begun_is_a_delivery(self, engine: EngineUnderTest) -> None:
        """Something may have been stored on the way, so who gets it next knows by the count.

        No worker died of it, so the count rises no further, unless the engine counts each return.
        """
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            await scene.client.publish([event(1)])
            counts_returns = scene.client.capabilities.counts_returns
            for number in range(1, 5):
                held = await worker.receive(1)
                assert held[0].deliveries == (number if counts_returns else min(number, 2))
                await worker.inbox.release(held, begun=True)

    async def test_a_pause_is_for_who_released(self, engine: EngineUnderTest) -> None:
        """Others have the event immediately; the inbox itself does not take it so soon."""
        async with Scene(engine, PAY) as scene:
            worker, other = await scene.worker(PAY), await scene.worker(PAY)
            pause = worker.inbox.patience
            await scene.client.publish([event(1)])
            await worker.inbox.release(await worker.receive(1), pause=pause)
            began = engine.clock.monotonic()
            held = await other.receive(1)
            assert engine.clock.monotonic() - began < pause.total_seconds()
            await other.inbox.release(held, pause=3 * pause)
            third = await scene.worker(PAY)
            await third.inbox.release(await third.receive(1), pause=SHORT)
            began = engine.clock.monotonic()
            assert ids(await third.receive(1)) == ["event-1"]
            assert engine.clock.monotonic() - began >= SHORT.total_seconds() - 0.05

    async def test_releasing_what_was_lost_changes_nothing(self, engine: EngineUnderTest) -> None:
        """It is passed over, and who has it keeps it."""
        async with Scene(engine, PAY, patience=SHORT) as scene:
            worker, other = await scene.worker(PAY), await scene.worker(PAY)
            await scene.client.publish([event(1)])
            lost = await worker.receive(1)
            await scene.let_pass(worker.inbox.patience)
            taken = await other.receive(1)
            await worker.inbox.release(lost)
            assert not await other.inbox.extend(taken)
            await other.done(taken[0])
            await scene.rest(PAY, waiting=0, in_hand=0)

    async def test_the_end_of_an_inbox_releases_what_it_has(self, engine: EngineUnderTest) -> None:
        """As begun: others have it immediately, and know that it was delivered before."""
        async with Scene(engine, PAY) as scene:
            await scene.client.publish([event(1), event(2)])
            began = engine.clock.monotonic()
            async with scene.client.inbox(PAY, prefetch=5) as inbox:
                [held] = await scene.ends(inbox.receive(1))
                patience = inbox.patience
            received = await (await scene.worker(PAY)).receive(2)
            assert {each.event.id: each.deliveries for each in received} == {
                each.id: 1 + (each == held.event) for each in (event(1), event(2))
            }
            assert engine.clock.monotonic() - began < patience.total_seconds()

    # --- paused -------------------------------------------------------------

    async def test_a_paused_inbox_gets_nothing(self, engine: EngineUnderTest) -> None:
        """What comes is for others, and was not given to a worker that ends meanwhile."""
        for topic in (PAY, ORDER):
            async with Scene(engine, topic) as scene:
                worker = await scene.worker(topic)
                waiting = asyncio.ensure_future(worker.inbox.receive(5))
                await scene.let_pass(_A_WHILE)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
                await scene.ends(worker.inbox.pause(), what="pause")
                await scene.client.publish(
                    [event(number, to=topic, subject=f"order-{number}") for number in range(3)]
                )
                await worker.kill()
                received = await (await scene.worker(topic)).receive(3)
                assert [each.deliveries for each in received] == [1, 1, 1]

    async def test_a_paused_inbox_receives_again(self, engine: EngineUnderTest) -> None:
        """By its next `receive`; what it has in hand stays there, and can be settled."""
        for topic in (PAY, ORDER):
            async with Scene(engine, topic) as scene:
                worker = await scene.worker(topic)
                await scene.client.publish([event(1, to=topic)])
                [held] = await worker.receive(1)
                await scene.ends(worker.inbox.pause(), what="pause")
                await scene.ends(worker.inbox.pause(), what="a second pause")
                await worker.done(held)
                await scene.client.publish([event(2, to=topic)])
                assert ids(await worker.handle(1)) == ["event-2"]

    # --- stopped ------------------------------------------------------------

    async def test_a_stopped_inbox_receives_nothing(self, engine: EngineUnderTest) -> None:
        """A call that waits ends, later ones return nothing, and what comes is for others."""
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            waiting = asyncio.ensure_future(worker.inbox.receive(5))
            await scene.let_pass(_A_WHILE)
            await scene.ends(worker.inbox.stop(), what="stop")
            assert [*await scene.ends(waiting, what="a receive that waited when stopped")] == []
            await worker.inbox.stop()
            began = engine.clock.monotonic()
            await scene.client.publish([event(1)])
            assert [*await scene.ends(worker.inbox.receive(5))] == []
            assert ids(await (await scene.worker(PAY)).receive(1)) == ["event-1"]
            assert engine.clock.monotonic() - began < worker.inbox.patience.total_seconds()

    async def test_what_is_in_hand_can_be_settled_after_stop(self, engine: EngineUnderTest) -> None:
        """That is how a worker drains."""
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            await scene.client.publish([event(1), event(2)])
            first, second = await worker.receive(2)
            await worker.inbox.stop()
            assert not await worker.inbox.extend([first, second])
            await worker.done(first)
            await worker.inbox.release([second])
            await scene.rest(PAY, waiting=1, in_hand=0)

    # --- looks --------------------------------------------------------------

    async def test_looking_takes_and_counts_nothing(self, engine: EngineUnderTest) -> None:
        """`peek`, `depth`, `topics`, `dead_letters` and `ping`, any number of times."""
        async with Scene(engine, PAY) as scene:
            await scene.client.publish([event(1), event(2)])
            worker = await scene.worker(PAY)
            for _ in range(5):
                await scene.client.peek(PAY.name)
                await scene.client.depth(PAY.name)
                await scene.client.topics()
                await scene.client.dead_letters()
                await scene.client.ping()
            received = await worker.receive(2)
            assert [each.deliveries for each in received] == [1, 1]

    async def test_peek_shows_the_oldest_that_wait(self, engine: EngineUnderTest) -> None:
        """In the order in which they were stored, up to its limit, and nothing that is in hand."""
        async with Scene(engine, PAY) as scene:
            for number in range(6):
                await scene.client.publish([event(number)])
            [held] = await (await scene.worker(PAY)).receive(1)
            wanted = [
                f"event-{number}" for number in range(6) if f"event-{number}" != held.event.id
            ]
            assert [each.id for each in await scene.client.peek(PAY.name)] == wanted
            assert [each.id for each in await scene.client.peek(PAY.name, limit=2)] == wanted[:2]

    async def test_depth_is_exact_at_rest(self, engine: EngineUnderTest) -> None:
        """Each event is counted once, where it is."""
        async with Scene(engine, PAY) as scene:
            before = engine.clock.now()
            await scene.client.publish([event(number) for number in range(9)])
            assert (await scene.client.depth(PAY.name)).workers == 0
            worker = await scene.worker(PAY)
            held = await worker.receive(4)
            await worker.done(held[0])
            await worker.inbox.settle(held[1], Dead(letter=letter_of(held[1].event)))
            await worker.inbox.settle(held[2], Later(delay=timedelta(hours=1), failed=1))
            depth = await scene.client.depth(PAY.name)
            assert (depth.waiting, depth.in_hand, depth.delayed, depth.dead) == (5, 1, 1, 1)
            assert depth.workers == 1
            assert depth.oldest is not None
            assert abs(depth.oldest - before) < timedelta(minutes=5)
            await worker.handle(5)
            assert (await scene.client.depth(PAY.name)).oldest is None

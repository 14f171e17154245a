"""What must hold for topics with an order. Skipped on engines that have none."""

from datetime import timedelta

from arvo_core import ArvoEvent
from arvo_transport import Later, TopicSpec

from ._engine_under_test import EngineUnderTest
from ._events import KEYED, ORDER, event, needs_order, subjects_apart
from ._order_ledger import OrderLedger
from ._scene import SHORT, Scene, ids

_SUBJECTS = 6


def _load(topic: TopicSpec, *, each: int, start: int = 0) -> list[ArvoEvent]:
    """Return events of six subjects in turn; a number is once per topic."""
    numbers = range(start * _SUBJECTS, (start + each) * _SUBJECTS)
    return [event(number, to=topic, subject=f"order-{number % _SUBJECTS}") for number in numbers]


def _in_order(*, each: int) -> dict[str, list[int]]:
    """Return the numbers of such events by subject."""
    return {
        f"order-{subject}": [subject + _SUBJECTS * turn for turn in range(each)]
        for subject in range(_SUBJECTS)
    }


class Ordering:
    """What holds for topics of order `subject` and `key`."""

    async def test_events_of_a_subject_come_in_order(self, engine: EngineUnderTest) -> None:
        """In that of their publication, by one call and by several."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            await scene.client.publish([event(number, to=ORDER) for number in range(10)])
            for number in range(10, 15):
                await scene.client.publish([event(number, to=ORDER)])
            handled = await (await scene.worker(ORDER)).handle(15)
            assert ids(handled) == [f"event-{number}" for number in range(15)]

    async def test_one_worker_at_a_time_has_a_subject(self, engine: EngineUnderTest) -> None:
        """While one has its first event, no other gets its second."""
        async with Scene(engine, ORDER, patience=SHORT) as scene:
            needs_order(scene.client)
            worker = await scene.worker(ORDER)
            await scene.client.publish([event(number, to=ORDER) for number in range(2)])
            held = await worker.receive(1)
            async with worker.keeping(held):
                other = await scene.worker(ORDER)
                await scene.nothing_for(
                    2 * worker.inbox.patience,
                    other.inbox.receive(1),
                    what="a subject is with the worker that has it",
                )
                assert ids(held) == ["event-0"]

    async def test_a_subject_goes_on_when_its_event_is_settled(
        self, engine: EngineUnderTest
    ) -> None:
        """It does not wait for the patience."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            worker = await scene.worker(ORDER)
            await scene.client.publish([event(number, to=ORDER) for number in range(5)])
            began = engine.clock.monotonic()
            await worker.handle(5)
            assert engine.clock.monotonic() - began < worker.inbox.patience.total_seconds()

    async def test_subjects_of_other_partitions_do_not_wait(self, engine: EngineUnderTest) -> None:
        """What is in hand holds up its own partition at most."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            first, second = await subjects_apart(scene.client, ORDER, count=2)
            worker = await scene.worker(ORDER)
            await scene.client.publish([event(1, to=ORDER, subject=first)])
            held = await worker.receive(1)
            async with worker.keeping(held):
                await scene.client.publish([event(2, to=ORDER, subject=second)])
                began = engine.clock.monotonic()
                assert ids(await worker.receive(1)) == ["event-2"]
                waited = engine.clock.monotonic() - began
                assert waited < worker.inbox.patience.total_seconds()

    async def test_a_take_over_keeps_the_order(self, engine: EngineUnderTest) -> None:
        """What a killed worker had comes first, in order, and then what came later."""
        async with Scene(engine, ORDER, patience=SHORT) as scene:
            needs_order(scene.client)
            dying = await scene.worker(ORDER)
            await scene.client.publish([event(number, to=ORDER) for number in range(4)])
            await dying.receive(1)
            await scene.ends(dying.inbox.extend([]), what="extend of nothing")
            await dying.kill()
            await scene.client.publish([event(number, to=ORDER) for number in range(4, 8)])
            handled = await (await scene.worker(ORDER)).handle(8)
            assert ids(handled) == [f"event-{number}" for number in range(8)]
            assert handled[0].deliveries == 2

    async def test_a_release_keeps_the_order(self, engine: EngineUnderTest) -> None:
        """What was given back comes again before what was stored after it."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            worker = await scene.worker(ORDER)
            await scene.client.publish([event(number, to=ORDER) for number in range(4)])
            held = [*await scene.ends(worker.inbox.receive(3))]
            await worker.inbox.release(held)
            await scene.client.publish([event(4, to=ORDER)])
            assert ids(await worker.handle(5)) == [f"event-{number}" for number in range(5)]

    async def test_a_release_with_a_pause_holds_up_what_comes_after(
        self, engine: EngineUnderTest
    ) -> None:
        """The inbox gets nothing of the subject before the pause ends, and then all in order."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            worker = await scene.worker(ORDER)
            await scene.client.publish([event(number, to=ORDER) for number in range(3)])
            pause = SHORT
            held = await worker.receive(1)
            await worker.inbox.release(held, pause=pause)
            began = engine.clock.monotonic()
            handled = await worker.handle(3)
            assert engine.clock.monotonic() - began >= pause.total_seconds() - 0.05
            assert ids(handled) == ["event-0", "event-1", "event-2"]

    async def test_a_paused_subject_goes_to_others(self, engine: EngineUnderTest) -> None:
        """Who gave it up for a while does not stand in their way."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            worker = await scene.worker(ORDER)
            await scene.client.publish([event(number, to=ORDER) for number in range(3)])
            pause = 20 * worker.inbox.patience
            await worker.inbox.release(await worker.receive(1), pause=pause)
            other = await scene.worker(ORDER)
            began = engine.clock.monotonic()
            assert ids(await other.handle(3)) == ["event-0", "event-1", "event-2"]
            assert engine.clock.monotonic() - began < pause.total_seconds()

    async def test_order_holds_while_workers_work(self, engine: EngineUnderTest) -> None:
        """Each subject is handled in order, by one worker at a time."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            ledger = OrderLedger(scene)
            workers = [await scene.worker(ORDER) for _ in range(3)]
            for worker in workers:
                ledger.start(worker)
            for turn in range(10):
                await scene.client.publish(_load(ORDER, each=1, start=turn))
            await ledger.until(10 * _SUBJECTS)
            await ledger.stop(*workers)
            ledger.check(_in_order(each=10))
            await scene.rest(ORDER, waiting=0, in_hand=0)

    async def test_order_holds_while_workers_join_and_leave(self, engine: EngineUnderTest) -> None:
        """One joins, one leaves in good order, one is killed, under load."""
        async with Scene(engine, ORDER, patience=SHORT) as scene:
            needs_order(scene.client)
            ledger = OrderLedger(scene)
            leaving, dying = await scene.worker(ORDER), await scene.worker(ORDER)
            await scene.client.publish(_load(ORDER, each=4))
            ledger.start(leaving)
            ledger.start(dying)
            await ledger.until(6)
            joining = await scene.worker(ORDER)
            ledger.start(joining)
            await scene.client.publish(_load(ORDER, each=4, start=4))
            await leaving.inbox.stop()
            await ledger.until(12)
            await ledger.kill(dying)
            await scene.client.publish(_load(ORDER, each=4, start=8))
            await leaving.client.aclose()
            await ledger.until(12 * _SUBJECTS)
            await ledger.stop(joining)
            ledger.check(_in_order(each=12))

    async def test_order_key_goes_by_the_partition_key(self, engine: EngineUnderTest) -> None:
        """Events of one `partitionkey` wait for each other, whatever their subjects."""
        async with Scene(engine, KEYED, patience=SHORT) as scene:
            needs_order(scene.client)
            worker = await scene.worker(KEYED)
            for number in range(3):
                await scene.client.publish(
                    [
                        event(
                            number,
                            to=KEYED,
                            subject=f"order-{number}",
                            extensions={"partitionkey": "tenant-7"},
                        )
                    ]
                )
            held = await worker.receive(1)
            async with worker.keeping(held):
                other = await scene.worker(KEYED)
                await scene.nothing_for(
                    worker.inbox.patience, other.inbox.receive(1), what="a key is with its holder"
                )
            await other.inbox.stop()
            await worker.inbox.release(held)
            assert ids(await worker.handle(3)) == ["event-0", "event-1", "event-2"]

    async def test_order_key_goes_by_the_subject_without_a_partition_key(
        self, engine: EngineUnderTest
    ) -> None:
        """So that nothing is without a place."""
        async with Scene(engine, KEYED) as scene:
            needs_order(scene.client)
            await scene.client.publish([event(number, to=KEYED) for number in range(4)])
            handled = await (await scene.worker(KEYED)).handle(4)
            assert ids(handled) == ["event-0", "event-1", "event-2", "event-3"]

    async def test_an_ordered_event_cannot_be_postponed(self, engine: EngineUnderTest) -> None:
        """`Later` is refused, and the event stays in hand."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            worker = await scene.worker(ORDER)
            await scene.client.publish([event(1, to=ORDER)])
            [received] = await worker.receive(1)
            try:
                await worker.inbox.settle(received, Later(delay=timedelta(seconds=1), failed=1))
            except ValueError:
                pass
            else:
                raise AssertionError("an ordered topic must refuse Later")
            assert not await worker.inbox.extend([received])
            await worker.done(received)

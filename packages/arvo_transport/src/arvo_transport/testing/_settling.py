"""What must hold for what is stored with an acknowledgement."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import DeadLetterReason
from arvo_transport import Done, Later, Output, TopicSpec, domain_topic, topic_of_output

from ._engine_under_test import EngineUnderTest
from ._events import ORDER, PAY, SHIP, UNDECLARED, event, event_of_size, letter_of, needs
from ._scene import SHORT, Scene, Worker, ids

_DELAY = timedelta(seconds=1)


class Settling:
    """What `settle` promises of `Done` and `Later`."""

    async def test_outputs_are_stored_and_the_input_is_gone(self, engine: EngineUnderTest) -> None:
        """Each output once, in its topic."""
        async with Scene(engine, PAY, SHIP) as scene:
            await scene.client.publish([event(1), event(2)])
            worker = await scene.worker(PAY)
            first, second = await worker.receive(2)
            await worker.done(first, Output(event(3, to=SHIP), topic=SHIP.name))
            await scene.rest(PAY, waiting=0, in_hand=1)
            await worker.done(second, Output(event(4), topic=PAY.name))
            await scene.rest(PAY, waiting=1, in_hand=0)
            await scene.rest(SHIP, waiting=1, in_hand=0)
            assert ids(await worker.handle(1)) == ["event-4"]

    async def test_outputs_arrive_in_order(self, engine: EngineUnderTest) -> None:
        """Those of one settlement in that of the settlement, and of later ones after them."""
        async with Scene(engine, PAY, ORDER) as scene:
            topic = ORDER if scene.client.capabilities.ordered else PAY
            await scene.client.publish([event(1), event(2)])
            worker = await scene.worker(PAY)
            for received in await worker.receive(2):
                start = 10 * received.event.data["number"]
                outputs = [
                    Output(event(start + number, to=topic), topic=topic.name)
                    for number in range(10)
                ]
                await worker.done(received, *outputs)
            waiting = [each.id for each in await scene.client.peek(topic.name)]
            halves = waiting[:10], waiting[10:]
            assert [sorted(half) for half in halves] == [[*half] for half in halves]
            assert len(waiting) == 20

    async def test_an_output_goes_to_the_topic_it_names(self, engine: EngineUnderTest) -> None:
        """Of an event with a domain that is the domain's topic, and not its `to`."""
        human = domain_topic("human")
        spec = TopicSpec(human, kind="domain")
        async with Scene(engine, PAY, SHIP, spec) as scene:
            await scene.client.publish([event(1)])
            worker = await scene.worker(PAY)
            [received] = await worker.receive(1)
            asked = event(2, to=SHIP, domain="human")
            await worker.done(received, Output(asked, topic=topic_of_output(asked)))
            assert [each.id for each in await scene.client.peek(human)] == ["event-2"]
            await scene.rest(SHIP, waiting=0)
            # The listener passes it on: the same event, now to its address.
            listener = await scene.worker(spec)
            [received] = await listener.receive(1)
            await listener.done(received, Output(received.event, topic=SHIP.name))
            assert ids(await (await scene.worker(SHIP)).receive(1)) == ["event-2"]

    async def test_outputs_are_copies_of_the_same_name(self, engine: EngineUnderTest) -> None:
        """What comes of a copy on purpose is one too, or it would be dropped as a repetition."""
        async with Scene(engine, PAY, SHIP) as scene:
            worker, shipper = await scene.worker(PAY), await scene.worker(SHIP)
            for again in ("", "client:2"):
                await scene.client.publish([event(1)], again=again)
                [received] = await worker.receive(1)
                await worker.done(received, Output(event(2, to=SHIP), topic=SHIP.name))
                [output] = await shipper.handle(1)
                assert (output.event.id, output.again) == ("event-2", again)

    async def test_outputs_may_be_copies_of_another_name(self, engine: EngineUnderTest) -> None:
        """What is asked anew is stored though it was before: `settle` says by what name."""
        async with Scene(engine, PAY, SHIP) as scene:
            worker, shipper = await scene.worker(PAY), await scene.worker(SHIP)
            for number, again in ((1, ""), (2, "by:event-2")):
                await scene.client.publish([event(number)])
                [received] = await worker.receive(1)
                asked = Output(event(3, to=SHIP), topic=SHIP.name)
                await worker.done(replace(received, again=again), asked)
                [output] = await shipper.handle(1)
                assert (output.event.id, output.again) == ("event-3", again)

    async def test_an_output_to_an_undeclared_topic_is_a_letter(
        self, engine: EngineUnderTest
    ) -> None:
        """`unroutable`; all else is stored, and the input is settled."""
        async with Scene(engine, PAY, SHIP) as scene:
            lost, kept = event(2, to=UNDECLARED), event(3, to=SHIP)
            await scene.client.publish([event(1)])
            await _settle(
                await scene.worker(PAY),
                Done(outputs=[_output(lost), _output(kept)]),
            )
            await scene.rest(PAY, waiting=0, in_hand=0)
            await scene.rest(SHIP, waiting=1)
            [letter] = await scene.client.dead_letters(reason="unroutable")
            assert letter.event == lost
            assert letter.error.name == "UnroutableError"

    async def test_an_output_that_is_too_large_is_a_letter(self, engine: EngineUnderTest) -> None:
        """`too large`; all else is stored, and the input is settled."""
        async with Scene(engine, PAY, SHIP) as scene:
            large = event_of_size(scene.client.capabilities.max_event_bytes + 1, number=2, to=SHIP)
            await scene.client.publish([event(1)])
            await _settle(
                await scene.worker(PAY),
                Done(outputs=[_output(large), _output(event(3, to=SHIP))]),
            )
            await scene.rest(PAY, waiting=0, in_hand=0)
            await scene.rest(SHIP, waiting=1)
            [letter] = await scene.client.dead_letters(reason="too large")
            assert letter.event is not None
            assert letter.event.id == "event-2"

    async def test_the_largest_output_is_carried(self, engine: EngineUnderTest) -> None:
        """One of exactly `max_event_bytes`."""
        async with Scene(engine, PAY, SHIP) as scene:
            largest = event_of_size(scene.client.capabilities.max_event_bytes, number=2, to=SHIP)
            await scene.client.publish([event(1)])
            await _settle(await scene.worker(PAY), Done(outputs=[_output(largest)]))
            [received] = await (await scene.worker(SHIP)).receive(1)
            assert received.event == largest

    async def test_letters_of_a_settlement_are_kept(self, engine: EngineUnderTest) -> None:
        """Each with its reason, beside the outputs."""
        async with Scene(engine, PAY, SHIP) as scene:
            refused = event(2, to=SHIP)
            letter = letter_of(
                refused, handler=SHIP.name, reason=DeadLetterReason.OUTPUT_MIDDLEWARE
            )
            await scene.client.publish([event(1)])
            await _settle(
                await scene.worker(PAY),
                Done(outputs=[_output(event(3, to=SHIP))], letters=[letter]),
            )
            [kept] = await scene.client.dead_letters()
            assert (kept.event, kept.reason) == (refused, DeadLetterReason.OUTPUT_MIDDLEWARE)
            await scene.rest(SHIP, waiting=1)
            await scene.rest(PAY, waiting=0, in_hand=0)

    async def test_many_settlements_at_once_are_all_made(self, engine: EngineUnderTest) -> None:
        """The settlements of one turn go to the engine together."""
        async with Scene(engine, PAY, SHIP) as scene:
            await scene.client.publish([event(number) for number in range(60)])
            worker = await scene.worker(PAY)
            held = await worker.receive(60)
            settlements = [
                worker.done(each, Output(event(1000 + number, to=SHIP), topic=SHIP.name))
                for number, each in enumerate(held)
            ]
            await scene.ends(asyncio.gather(*settlements), what="60 settlements at once")
            await scene.rest(PAY, waiting=0, in_hand=0)
            await scene.rest(SHIP, waiting=60)

    async def test_work_needs_a_database(self, engine: EngineUnderTest) -> None:
        """Where the transport joins none, it is refused, and the event stays in hand."""
        async with Scene(engine, PAY, SHIP) as scene:
            needs(scene.client.capabilities.joins is None, "a transport without a database")
            await scene.client.publish([event(1)])
            worker = await scene.worker(PAY)
            [received] = await worker.receive(1)
            done = Done(outputs=[_output(event(2, to=SHIP))], work=[object()])
            try:
                await worker.inbox.settle(received, done)
            except TypeError:
                pass
            else:
                raise AssertionError("work must be refused where no database is joined")
            assert not await worker.inbox.extend([received])
            await scene.rest(SHIP, waiting=0)

    # --- later --------------------------------------------------------------

    async def test_a_postponed_event_does_not_come_early(self, engine: EngineUnderTest) -> None:
        """It is delayed, not waiting, until its time has come."""
        async with Scene(engine, PAY) as scene:
            await scene.client.publish([event(1), event(2)])
            worker = await scene.worker(PAY)
            first, second = await worker.receive(2)
            began = engine.clock.monotonic()
            await worker.inbox.settle(first, Later(delay=_DELAY, failed=1))
            await worker.done(second)
            await scene.rest(PAY, waiting=0, in_hand=0, delayed=1)
            [again] = await worker.receive(1)
            assert again.event == first.event
            assert engine.clock.monotonic() - began >= _DELAY.total_seconds() - 0.05

    async def test_a_postponed_event_is_a_new_delivery(self, engine: EngineUnderTest) -> None:
        """The count begins anew, and what has failed so far is kept."""
        async with Scene(engine, PAY, patience=SHORT) as scene:
            await scene.client.publish([event(1)])
            for failed in range(4):
                dying, worker = await scene.worker(PAY), await scene.worker(PAY)
                [received] = await dying.receive(1)
                assert (received.deliveries, received.failed) == (1, failed)
                if failed == 2:
                    await dying.kill()
                    [received] = await worker.receive(1)
                    assert (received.deliveries, received.failed) == (2, failed)
                    dying = worker
                later = Later(delay=timedelta(milliseconds=10), failed=failed + 1)
                await dying.inbox.settle(received, later)
                await dying.inbox.stop()
                await worker.inbox.stop()

    async def test_a_postponed_event_is_not_lost(self, engine: EngineUnderTest) -> None:
        """The worker may die in the next moment; others have it when it is due."""
        async with Scene(engine, PAY, patience=SHORT) as scene:
            await scene.client.publish([event(1)], again="client:7")
            dying = await scene.worker(PAY)
            [received] = await dying.receive(1)
            await dying.inbox.settle(received, Later(delay=_DELAY, failed=2))
            await dying.kill()
            [again] = await (await scene.worker(PAY)).receive(1)
            assert (again.event, again.deliveries, again.failed) == (received.event, 1, 2)

    async def test_a_postponed_copy_is_still_a_copy(self, engine: EngineUnderTest) -> None:
        """What comes of it is not dropped as a repetition of what came of the first."""
        async with Scene(engine, PAY, SHIP) as scene:
            worker, shipper = await scene.worker(PAY), await scene.worker(SHIP)
            output = _output(event(2, to=SHIP))
            await scene.client.publish([event(1)])
            await worker.done((await worker.receive(1))[0], output)
            await shipper.handle(1)
            await scene.client.publish([event(1)], again="client:7")
            [received] = await worker.receive(1)
            await worker.inbox.settle(received, Later(delay=timedelta(0), failed=1))
            await worker.done((await worker.receive(1))[0], output)
            assert ids(await shipper.handle(1)) == ["event-2"]

    async def test_a_delay_below_zero_is_refused(self, engine: EngineUnderTest) -> None:
        """And the event stays in hand."""
        async with Scene(engine, PAY) as scene:
            await scene.client.publish([event(1)])
            worker = await scene.worker(PAY)
            [received] = await worker.receive(1)
            try:
                await worker.inbox.settle(received, Later(delay=timedelta(seconds=-1), failed=1))
            except ValueError:
                pass
            else:
                raise AssertionError("a delay below zero must be refused")
            assert not await worker.inbox.extend([received])


async def _settle(worker: Worker, done: Done) -> None:
    [received] = await worker.receive(1)
    await worker.inbox.settle(received, done)


def _output(event: ArvoEvent) -> Output:
    return Output(event, topic=topic_of_output(event))

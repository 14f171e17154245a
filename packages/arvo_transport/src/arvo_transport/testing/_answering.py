"""What must hold for answers to those who ask from outside. Skipped on engines that keep none."""

import asyncio
from contextlib import AsyncExitStack

from arvo_core import ArvoEvent
from arvo_transport import IAnswerBox, IAnsweringTransport, IEventTransport, Output, TopicSpec

from ._engine_under_test import EngineUnderTest
from ._events import PAY, SHOP, answer, event, needs
from ._scene import SHORT, Scene, cancelled_after

_OTHER = TopicSpec("com.shop.phone", kind="answers")


def _answering(client: IEventTransport) -> IAnsweringTransport:
    needs(client.capabilities.keeps_answers, "answer boxes")
    assert isinstance(client, IAnsweringTransport), "what keeps answers has answers()"
    return client


class Answering:
    """What `answers` promises."""

    async def test_an_answer_is_found_by_its_request(self, engine: EngineUnderTest) -> None:
        """In whatever process, any number of times; None while there is none."""
        async with Scene(engine, SHOP) as scene, AsyncExitStack() as stack:
            box = await _box(scene.client, stack)
            assert await box.get("request-1") is None
            await scene.client.publish([answer(1, request="request-1")])
            other = await _box(await scene.connect(), stack)
            for each in (box, other, box):
                assert await each.get("request-1") == answer(1, request="request-1")
            assert await box.get("request-2") is None

    async def test_who_waits_gets_the_answer(self, engine: EngineUnderTest) -> None:
        """All who do, of several clients, and who asks when it is there already."""
        async with Scene(engine, SHOP) as scene, AsyncExitStack() as stack:
            boxes = [await _box(scene.client, stack), await _box(await scene.connect(), stack)]
            waiting = [asyncio.ensure_future(box.wait("request-1")) for box in (*boxes, boxes[0])]
            for _ in range(10):
                await asyncio.sleep(0)
            await scene.client.publish([answer(1, request="request-1")])
            wanted = answer(1, request="request-1")
            got = await scene.ends(asyncio.gather(*waiting), what="waiting for an answer")
            assert got == [wanted] * 3
            assert await scene.ends(boxes[1].wait("request-1")) == wanted

    async def test_the_first_answer_stays(self, engine: EngineUnderTest) -> None:
        """A second one, or a failure after it, changes nothing."""
        async with Scene(engine, SHOP) as scene, AsyncExitStack() as stack:
            box = await _box(scene.client, stack)
            first = answer(1, request="request-1")
            failure = answer(3, request="request-1", failure=True)
            for each in (first, answer(2, request="request-1"), failure):
                await scene.client.publish([each])
            assert await box.get("request-1") == first

    async def test_a_system_error_gives_way(self, engine: EngineUnderTest) -> None:
        """To an answer, as of a workflow that was retried, but not to another system error."""
        async with Scene(engine, SHOP) as scene, AsyncExitStack() as stack:
            box = await _box(scene.client, stack)
            first, second = [answer(each, request="request-1", failure=True) for each in (1, 2)]
            await scene.client.publish([first])
            await scene.client.publish([second])
            assert await box.get("request-1") == first
            completed = answer(3, request="request-1")
            await scene.client.publish([completed])
            assert await box.get("request-1") == completed

    async def test_addresses_have_boxes_of_their_own(self, engine: EngineUnderTest) -> None:
        """Also when the requests have equal ids."""
        async with Scene(engine, SHOP, _OTHER) as scene, AsyncExitStack() as stack:
            await scene.client.publish(
                [answer(1, request="request-1"), answer(2, request="request-1", to=_OTHER)]
            )
            for topic, number in ((SHOP, 1), (_OTHER, 2)):
                box = await _box(scene.client, stack, topic)
                found = await box.get("request-1")
                assert found == answer(number, request="request-1", to=topic)

    async def test_an_output_may_be_an_answer(self, engine: EngineUnderTest) -> None:
        """It is in the box when `settle` returns."""
        async with Scene(engine, SHOP, PAY, patience=SHORT) as scene, AsyncExitStack() as stack:
            box = await _box(scene.client, stack)
            await scene.client.publish([event(1)])
            dying = await scene.worker(PAY)
            [received] = await dying.receive(1)
            reply = answer(1, request="event-1")
            await dying.done(received, Output(reply, topic=SHOP.name))
            await dying.kill()
            assert await box.get("event-1") == reply

    async def test_an_answer_to_nothing_is_a_letter(self, engine: EngineUnderTest) -> None:
        """`answers nothing`, by publication and as an output, which is settled."""
        async with Scene(engine, SHOP, PAY) as scene:
            _answering(scene.client)
            lost = [_without_parent(answer(number, request="x")) for number in (1, 2)]
            await scene.client.publish([lost[0], event(1)])
            worker = await scene.worker(PAY)
            [received] = await worker.receive(1)
            await worker.done(received, Output(lost[1], topic=SHOP.name))
            letters = await scene.client.dead_letters(reason="answers nothing")
            assert [each.event for each in letters] == lost
            await scene.rest(PAY, waiting=0, in_hand=0)

    async def test_answers_do_not_wait_in_their_topic(self, engine: EngineUnderTest) -> None:
        """They are in the box, and there is nothing to receive."""
        async with Scene(engine, SHOP) as scene:
            _answering(scene.client)
            await scene.client.publish([answer(1, request="request-1")])
            await scene.rest(SHOP, waiting=0, in_hand=0, delayed=0, dead=0)
            assert not await scene.client.peek(SHOP.name)

    async def test_a_cancelled_wait_ends_only_the_waiting(self, engine: EngineUnderTest) -> None:
        """Cancelled at any await; others go on, and the answer is there."""
        async with Scene(engine, SHOP) as scene, AsyncExitStack() as stack:
            box = await _box(scene.client, stack)
            other = asyncio.ensure_future(box.wait("request-1"))
            for turns in range(10):
                await cancelled_after(turns, box.wait("request-1"))
            await scene.client.publish([answer(1, request="request-1")])
            wanted = answer(1, request="request-1")
            assert await scene.ends(other, what="a wait beside one that was cancelled") == wanted
            assert await box.get("request-1") == wanted


async def _box(
    client: IEventTransport, stack: AsyncExitStack, topic: TopicSpec = SHOP
) -> IAnswerBox:
    return await stack.enter_async_context(_answering(client).answers(topic.name))


def _without_parent(event: ArvoEvent) -> ArvoEvent:
    return ArvoEvent.from_dict({**event.to_dict(), "parentid": None})

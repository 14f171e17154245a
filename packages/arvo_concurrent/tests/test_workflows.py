"""Workflows over the concurrent broker and memory."""

import asyncio
from datetime import timedelta

import pytest
from opentelemetry import trace
from typing_extensions import override

from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory
from arvo_core import PARENT_SUBJECT, ArvoEvent
from arvo_event_handler import (
    ConfigViolation,
    Emit,
    ExecutionViolation,
    HandlerInput,
    IArvoEventHandler,
    ResolveError,
)
from arvo_event_handler.delivery import (
    DeadLetter,
    DeadLetterReason,
    HandlerConfig,
    HandlerDefaults,
    Middleware,
    Order,
)
from arvo_event_handler.delivery._dead_letter import dead_letter_reply
from arvo_event_handler.memory import MachineLease
from arvo_time import RetryPolicy
from arvo_time.testing import FakeClock, MetricRecorder, SpanRecorder

from .broker_owner import Gate
from .expenses import Part, claim, claiming, price_v1, pricing
from .stub_handler import ONE, StubHandler, event, failing


@pytest.mark.parametrize("order", ["subject", "none"])
async def test_fifty_concurrent_answers_to_one_workflow_never_back_off(
    clock: FakeClock, order: Order
) -> None:
    """With lanes they run one by one; without, the memory hands the lease over immediately."""
    memory = ConcurrentMachineMemory(clock=clock)
    workflow = HandlerConfig(claiming(memory), order=order, prefetch=50)
    started = clock.monotonic()
    async with ConcurrentEventBroker([workflow, pricing()], clock=clock) as broker:
        answer = await broker.resolve(claim(50))
    assert answer is not None
    assert answer.data == {"total": sum(range(50))}
    assert clock.monotonic() == started, "something waited for time to pass"
    assert memory.held == frozenset()


async def test_many_concurrent_workflows_complete(clock: FakeClock) -> None:
    handlers = [claiming(ConcurrentMachineMemory(clock=clock)), pricing()]
    async with ConcurrentEventBroker(handlers, clock=clock) as broker:
        answers = await asyncio.gather(*(broker.resolve(claim(3)) for _ in range(200)))
    assert [answer and answer.data for answer in answers] == [{"total": 3}] * 200


def letter_of(dead: ArvoEvent) -> DeadLetter:
    return DeadLetter(
        event=dead,
        error=ConnectionError("no"),
        attempts=1,
        handler=dead.to,
        reason=DeadLetterReason.EXHAUSTED,
    )


class TestDeadLetterReply:
    @staticmethod
    async def refuse(call: HandlerInput[Part]) -> Emit:
        if call.data.number == 1:
            raise ExecutionViolation("the price list is closed", retryable=False)
        return await price_v1(call)

    async def test_a_workflow_gets_an_error_for_its_dead_request(self, clock: FakeClock) -> None:
        letters: list[DeadLetter] = []

        async def keep(letter: DeadLetter) -> None:
            letters.append(letter)

        handlers: list[HandlerConfig | IArvoEventHandler] = [
            claiming(ConcurrentMachineMemory(clock=clock)),
            HandlerConfig(pricing(self.refuse), dead_letter_reply=True),
        ]
        async with ConcurrentEventBroker(handlers, on_dead_letter=keep, clock=clock) as broker:
            answer = await broker.resolve(claim(3))
        assert answer is not None
        assert answer.type == "sys.arvo.orc.claim.error"
        assert "the price list is closed" in answer.data["errorMessage"]
        assert answer.data["errorStack"] is None
        assert [letter.reason for letter in letters] == [DeadLetterReason.NOT_RETRYABLE]

    async def test_the_asker_of_a_dead_workflow_gets_an_error(self, clock: FakeClock) -> None:
        class Broken(ConcurrentMachineMemory):
            @override
            async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
                raise ConnectionError("gone")

        workflow = claiming(Broken(clock=clock))
        defaults = HandlerDefaults(dead_letter_reply=True, retry=RetryPolicy(retries=0))
        async with ConcurrentEventBroker(
            [workflow, pricing()], defaults=defaults, clock=clock
        ) as broker:
            request = claim(3).model_copy(update={"accesscontrol": "finance only"})
            answer = await broker.resolve(request)
        assert answer is not None
        assert (answer.type, answer.parentid) == ("sys.arvo.orc.claim.error", request.id)
        assert answer.subject == request.subject
        assert answer.accesscontrol == "finance only"
        assert answer.data["errorStack"] is None

    async def test_the_same_letter_gives_the_same_reply(self, clock: FakeClock) -> None:
        ids: list[str] = []
        request = claim(2)
        for _ in range(2):
            handlers: list[HandlerConfig | IArvoEventHandler] = [
                HandlerConfig(pricing(self.refuse), dead_letter_reply=True),
                claiming(ConcurrentMachineMemory(clock=clock)),
            ]
            seen: list[ArvoEvent] = []

            async def note(letter: DeadLetter, seen: list[ArvoEvent] = seen) -> None:
                seen.append(letter.event)

            async with ConcurrentEventBroker(handlers, on_dead_letter=note, clock=clock) as broker:
                answer = await broker.resolve(request)
            assert answer is not None
            ids.append(answer.id)
        assert ids[0] == ids[1]

    async def test_a_handled_request_gets_no_dead_letter_reply(self, clock: FakeClock) -> None:
        """Its answer died, and may still be published from the dead letter."""
        letters: list[DeadLetter] = []

        async def keep(letter: DeadLetter) -> None:
            letters.append(letter)

        def leave(output: ArvoEvent, cause: ArvoEvent) -> None:
            raise ConnectionError("no")

        handlers: list[HandlerConfig | IArvoEventHandler] = [
            claiming(ConcurrentMachineMemory(clock=clock)),
            HandlerConfig(pricing(), middleware=Middleware(output=leave), dead_letter_reply=True),
        ]
        async with ConcurrentEventBroker(handlers, on_dead_letter=keep, clock=clock) as broker:
            with pytest.raises(ResolveError):
                await broker.resolve(claim(1))
        assert [letter.reason for letter in letters] == [DeadLetterReason.OUTPUT_MIDDLEWARE]

    async def test_a_closing_broker_sends_no_dead_letter_reply(self, clock: FakeClock) -> None:
        letters: list[str] = []

        async def keep(letter: DeadLetter) -> None:
            letters.append(letter.event.type)

        async def never(call: HandlerInput[Part]) -> Emit:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

        handlers: list[HandlerConfig | IArvoEventHandler] = [
            claiming(ConcurrentMachineMemory(clock=clock)),
            HandlerConfig(pricing(never), dead_letter_reply=True),
        ]
        async with ConcurrentEventBroker(handlers, on_dead_letter=keep, clock=clock) as broker:
            await broker.publish(claim(1))
            await clock.settle()
            await broker.aclose(grace=timedelta(0))
        assert letters == ["com.part.price"]

    def test_the_reply_to_a_child_is_for_its_parent_and_in_its_trace(self) -> None:
        traceparent = f"00-{'1' * 32}-{'2' * 16}-01"
        start = claim(1).model_copy(update={"traceparent": traceparent, "tracestate": "a=b"})
        child = start.model_copy(update={"data": {**start.data, PARENT_SUBJECT: "parent"}})
        contract = claiming(ConcurrentMachineMemory()).contract
        [reply] = dead_letter_reply(letter_of(child), contract=contract)
        assert reply is not None
        assert (reply.subject, reply.parentid, reply.to) == ("parent", child.id, child.source)
        assert (reply.traceparent, reply.tracestate) == (traceparent, "a=b")

    def test_a_dead_answer_gets_no_reply(self) -> None:
        contract = claiming(ConcurrentMachineMemory()).contract
        assert dead_letter_reply(letter_of(event("e1")), contract=contract) == []

    async def test_dead_letter_reply_needs_a_contract(self) -> None:
        with pytest.raises(ConfigViolation, match="needs a handler with a `contract`"):
            ConcurrentEventBroker([HandlerConfig(StubHandler(), dead_letter_reply=True)])


class TestTelemetry:
    async def test_retries_dead_letters_and_depths_are_counted(self, clock: FakeClock) -> None:
        config = HandlerConfig(
            failing(99, ConnectionError("no"), stateful=True), retry=RetryPolicy(retries=2)
        )
        with MetricRecorder() as recorder:
            async with ConcurrentEventBroker([config], clock=clock) as broker:
                for number in range(3):
                    await broker.publish(event(f"e{number}"))
                await clock.settle()
                depth = recorder.find(name="arvo.broker.queue.depth")
                await clock.run_until_complete(broker.wait_idle())
            retries = recorder.find(name="arvo.broker.retries")
            dead = recorder.find(name="arvo.broker.dead_letters")
        assert (depth.value, depth.attributes) == (3, {"arvo.topic": ONE})
        assert (retries.value, retries.attributes) == (6, {"arvo.topic": ONE})
        assert (dead.value, dead.attributes) == (
            3,
            {"arvo.topic": ONE, "arvo.reason": "exhausted"},
        )

    async def test_depths_of_brokers_with_equal_topics_add_up(self, clock: FakeClock) -> None:
        gate = Gate()
        config = HandlerConfig(StubHandler(gate.act), prefetch=1)
        with MetricRecorder() as recorder:
            async with (
                ConcurrentEventBroker([config], clock=clock) as one,
                ConcurrentEventBroker([config], clock=clock) as two,
            ):
                for number, broker in enumerate((one, one, one, two, two)):
                    await broker.publish(event(f"e{number}"))
                await clock.settle()
                assert recorder.find(name="arvo.broker.queue.depth").value == 3
                gate.open()

    async def test_a_broker_that_is_closed_is_not_measured(self, clock: FakeClock) -> None:
        topic = "com.svc.measured"  # no other broker has it
        with MetricRecorder() as recorder:

            def depths() -> list[float | None]:
                found = [each for each in recorder.metrics if "depth" in each.name]
                return [each.value for each in found if topic in each.attributes.values()]

            async with ConcurrentEventBroker([StubHandler(source=topic)], clock=clock) as broker:
                assert depths() == [0]
            assert depths() == []
            assert broker.stats.topics[topic].queued == 0

    async def test_the_current_span_follows_the_event(self, clock: FakeClock) -> None:
        with SpanRecorder() as recorder:
            async with ConcurrentEventBroker(
                [claiming(ConcurrentMachineMemory(clock=clock)), pricing()], clock=clock
            ) as broker:
                start = claim(1)
                with trace.get_tracer("test").start_as_current_span("request"):
                    await broker.resolve(start.model_copy(update={"traceparent": None}))
        (request,) = [span for span in recorder.spans if span.name == "request"]
        handled = [span for span in recorder.spans if span.name != "request"]
        assert len(handled) == 3
        assert {span.trace_id for span in handled} == {request.trace_id}

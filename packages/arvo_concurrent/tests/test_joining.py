"""An event that is published again while it is queued or running is handled once for all."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from typing_extensions import override

from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory, QueueFullError
from arvo_core import (
    PARENT_SUBJECT,
    ArvoEvent,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
)
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    Emit,
    ExecutionViolation,
    HandlerInput,
    Reply,
    ResolveError,
    Start,
    Step,
    UndeliveredError,
)
from arvo_event_handler.delivery import (
    BrokerClosedError,
    Bulk,
    DeadLetterReason,
    HandlerConfig,
    Middleware,
    Publish,
)
from arvo_time import RetryPolicy
from arvo_time.testing import FakeClock

from .broker_owner import SECOND, STEADY, Gate, Owner, broker_of, left_inside
from .expenses import CLAIM, CLAIM_V1, Count, Part, Sum, claim, claiming, price_v1, pricing
from .stub_handler import APP, TWO, StubHandler, answering, emitted, event, failing

PAUSE = timedelta(milliseconds=100)
Ask = Callable[[ConcurrentEventBroker, ArvoEvent], Awaitable[ArvoEvent | None]]


class Prices:
    """The service of the workflow: counts its runs, each of which takes a second."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.runs: list[str] = []
        self.handler = pricing(self._price)

    async def _price(self, call: HandlerInput[Part]) -> Emit:
        self.runs.append(call.event.id)
        await self._clock.sleep(SECOND)
        return await price_v1(call)


class TestRepeatedStart:
    @pytest.mark.parametrize("prefetch", [1, 16])
    @pytest.mark.parametrize("pause", [timedelta(0), PAUSE])
    async def test_two_callers_get_one_completion_of_services_that_ran_once(
        self, owner: Owner, clock: FakeClock, pause: timedelta, prefetch: int
    ) -> None:
        prices, start = Prices(clock), claim(3)

        async def again() -> ArvoEvent | None:
            await clock.sleep(pause)
            return await broker.resolve(start)

        async with broker_of(
            owner,
            clock,
            claiming(ConcurrentMachineMemory(clock=clock)),
            HandlerConfig(prices.handler, prefetch=prefetch),
        ) as broker:
            both = asyncio.gather(broker.resolve(start), again())
            first, second = await clock.run_until_complete(both)
        assert first is not None
        assert first.data == {"total": 3}
        assert second == first
        assert len(prices.runs) == 3
        assert owner.unclaimed == []
        assert owner.letters == []
        assert left_inside(broker) == {}

    async def test_published_twice_it_completes_once(self, owner: Owner, clock: FakeClock) -> None:
        prices, start = Prices(clock), claim(3)
        workflow = claiming(ConcurrentMachineMemory(clock=clock))
        async with broker_of(owner, clock, workflow, prices.handler) as broker:
            await broker.publish(start)
            await clock.settle()
            clock.advance(PAUSE)
            await broker.publish(start)
            await clock.run_until_complete(broker.wait_idle())
        assert len(prices.runs) == 3
        assert len(owner.unclaimed) == 1

    async def test_published_and_then_resolved_the_caller_gets_the_completion(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        prices, start = Prices(clock), claim(2)
        workflow = claiming(ConcurrentMachineMemory(clock=clock))
        async with broker_of(owner, clock, workflow, prices.handler) as broker:
            await broker.publish(start)
            await clock.settle()
            clock.advance(PAUSE)
            answer = await clock.run_until_complete(broker.resolve(start))
        assert answer is not None
        assert len(prices.runs) == 2
        assert owner.unclaimed == []

    async def test_services_that_are_tried_again_run_once(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        """The start is repeated while one of its requests sleeps until its next try."""
        runs: list[int] = []

        async def price(call: HandlerInput[Part]) -> Emit:
            runs.append(call.data.number)
            if len(runs) <= 2:
                raise ExecutionViolation("not now", retryable=True)
            return await price_v1(call)

        start = claim(1)
        workflow = claiming(ConcurrentMachineMemory(clock=clock))
        config = HandlerConfig(pricing(price), retry=RetryPolicy(retries=5, backoff=STEADY))
        async with broker_of(owner, clock, workflow, config) as broker:
            first = asyncio.create_task(broker.resolve(start))
            await clock.settle()
            second = asyncio.create_task(broker.resolve(start))
            await clock.settle()
            assert broker.stats.topics["com.part.price"].sleeping == 1
            both = await clock.run_until_complete(asyncio.gather(first, second))
        assert both[0] is not None
        assert both[0] == both[1]
        assert len(runs) == 3

    async def test_a_start_that_its_own_work_overtakes_runs_nothing_twice(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        """The answer of the service waits behind the repeated start, for the lane of both."""
        prices, start, gates = Prices(clock), claim(1), [Gate(), Gate()]
        memory = ConcurrentMachineMemory(clock=clock)
        slow = claiming(memory)

        async def hold(event: ArvoEvent) -> None:
            if event == start and (gate := next(held, None)) is not None:
                await gate.opened()

        held = iter(gates)
        config = HandlerConfig(slow, middleware=Middleware(input=hold))
        async with broker_of(owner, clock, config, prices.handler) as broker:
            first = asyncio.create_task(broker.resolve(start))
            await clock.settle()
            gates[0].open()
            await clock.settle()
            second = asyncio.create_task(broker.resolve(start))
            await clock.settle()
            clock.advance(SECOND)  # the service answers while the second start is held
            await clock.settle()
            gates[1].open()
            both = await clock.run_until_complete(asyncio.gather(first, second))
        assert both[0] is not None
        assert both[0] == both[1]
        assert len(prices.runs) == 1
        assert owner.unclaimed == []
        assert left_inside(broker) == {}

    async def test_a_start_told_to_be_redelivered_resumes_what_was_lost(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        start, memory = claim(2), ConcurrentMachineMemory(clock=clock)
        assert len(await claiming(memory).execute(start)) == 2  # and never published
        async with broker_of(owner, clock, claiming(memory), pricing()) as broker:
            assert await broker.resolve(start) is None
            await broker.publish(start)
            await broker.wait_idle()
            assert owner.unclaimed == []
            answer = await broker.resolve(start, redelivered=True)
        assert answer is not None
        assert answer.data == {"total": 1}

    async def test_a_start_is_redelivered_after_a_failed_try(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        """The try has stored its step, and what came of it was lost with the try."""
        handler = claiming(ConcurrentMachineMemory(clock=clock))

        class Forgetful(ArvoResumable):
            @override
            async def execute(self, event: ArvoEvent, **options: Any) -> list[ArvoEvent]:
                outputs = await super().execute(event, **options)
                if event == start and not options.get("redelivered", True):
                    raise ConnectionError("lost")
                return outputs

        start = claim(2)
        handler.__class__ = Forgetful
        config = HandlerConfig(handler, retry=RetryPolicy(retries=1, backoff=STEADY))
        async with broker_of(owner, clock, config, pricing()) as broker:
            answer = await clock.run_until_complete(broker.resolve(start))
        assert answer is not None

    async def test_a_child_workflow_is_started_once(self, owner: Owner, clock: FakeClock) -> None:
        prices = Prices(clock)
        memory = ConcurrentMachineMemory(clock=clock)
        starts: list[str] = []
        contract = ArvoOrchestratorContract(
            uri="#/office/trip",
            name="trip",
            versions=[trip_v1 := OrchestratorVersion("1.0.0", init=Count, complete=Sum)],
        )

        async def travel(call: Start[Count] | Reply[Count]) -> Step[Count]:
            if isinstance(call, Start):
                starts.append(call.event.id)
                data = {"parts": call.data.parts, PARENT_SUBJECT: call.event.subject}
                return Step(context=call.data, services=[Emit(CLAIM.type, data)])
            [done] = call.collected[f"{CLAIM.type}.done"]
            return Step(output=Complete(Sum(total=done.data["total"])))

        trip = ArvoResumable(
            contract=contract,
            services=[CLAIM.version(CLAIM_V1)],
            memory=memory,
            handler={"1.0.0": travel},
        )
        start = ArvoOrchestratorEventFactory(contract.version(trip_v1)).init(
            source=APP, data=Count(parts=4)
        )
        async with broker_of(owner, clock, trip, claiming(memory), prices.handler) as broker:
            first = asyncio.create_task(broker.resolve(start))
            await clock.settle()
            clock.advance(PAUSE)
            second = asyncio.create_task(broker.resolve(start))
            both = await clock.run_until_complete(asyncio.gather(first, second))
        assert both[0] is not None
        assert both[0].data == {"total": 6}
        assert both[0] == both[1]
        assert len(starts) == 1
        assert len(prices.runs) == 4

    async def test_an_event_that_waits_for_its_lane_is_joined(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act, stateful=True)
        async with broker_of(owner, clock, handler) as broker:
            await broker.publish(event("e1"))
            first = asyncio.create_task(broker.resolve(event("e2")))
            second = asyncio.create_task(broker.resolve(event("e2")))
            await clock.settle()
            assert broker.stats.queued == 1
            gate.open()
            answers = await asyncio.gather(first, second)
        assert handler.tried == ["e1", "e2"]
        assert [answer and answer.id for answer in answers] == ["e2>0", "e2>0"]


class TestJoining:
    async def test_a_stateless_service_runs_once_for_two_callers(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        async with broker_of(owner, clock, handler) as broker:
            first = asyncio.create_task(broker.resolve(event("e1")))
            await clock.settle()
            assert handler.running == 1
            second = asyncio.create_task(broker.resolve(event("e1")))
            await clock.settle()
            gate.open()
            answers = await asyncio.gather(first, second)
        assert handler.tried == ["e1"]
        assert [answer and answer.id for answer in answers] == ["e1>0", "e1>0"]
        assert owner.unclaimed == []

    async def test_a_further_answer_is_unclaimed_once(self, owner: Owner, clock: FakeClock) -> None:
        async with broker_of(owner, clock, answering(2)) as broker:
            answers = await asyncio.gather(*(broker.resolve(event("e1")) for _ in range(3)))
        assert [answer and answer.id for answer in answers] == ["e1>0"] * 3
        assert owner.unclaimed == ["e1>1"]

    async def test_without_an_answer_each_caller_gets_none(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = StubHandler()
        async with broker_of(owner, clock, handler) as broker:
            answers = await asyncio.gather(*(broker.resolve(event("e1")) for _ in range(2)))
        assert answers == [None, None]
        assert handler.tried == ["e1"]

    async def test_each_caller_gets_what_is_addressed_to_it(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, 0), emitted(cause, 1, to="com.someone.else")]

        async with broker_of(owner, clock, StubHandler(act)) as broker:
            answers = await asyncio.gather(
                broker.resolve(event("e1")),
                broker.resolve(event("e1"), answer_to="com.someone.else"),
            )
        assert [answer and answer.id for answer in answers] == ["e1>0", "e1>1"]
        assert owner.letters == []

    async def test_what_comes_back_from_outside_answers_each_caller(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            await gate.opened()
            return [emitted(cause, to="com.far.away", domain="outside")]

        async def outside(question: ArvoEvent, publish: Publish) -> None:
            await publish(event("back", to=APP, source="com.far.away"))

        async with ConcurrentEventBroker(
            [StubHandler(act)], on_domained_event=outside, clock=clock
        ) as broker:
            asking = [asyncio.create_task(broker.resolve(event("e1"))) for _ in range(2)]
            await clock.settle()
            gate.open()
            answers = await asyncio.gather(*asking)
        assert [answer and answer.id for answer in answers] == ["back", "back"]

    @pytest.mark.parametrize(
        "other",
        [event("e2"), event("e1", source="com.app.other"), event("e1", to=TWO)],
        ids=["id", "source", "address"],
    )
    async def test_another_event_is_not_joined(
        self, owner: Owner, clock: FakeClock, other: ArvoEvent
    ) -> None:
        handlers = StubHandler(), StubHandler(source=TWO)
        async with broker_of(owner, clock, *handlers) as broker:
            await broker.publish(event("e1"))
            await broker.publish(other)
        assert sum(len(handler.tried) for handler in handlers) == 2

    async def test_an_event_that_is_handled_already_runs_again(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = answering()
        async with broker_of(owner, clock, handler) as broker:
            await broker.resolve(event("e1"))
            await broker.resolve(event("e1"))
        assert handler.tried == ["e1", "e1"]

    async def test_an_event_that_its_own_handler_emits_again_runs_again(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [cause] if len(handler.tried) < 3 else [emitted(cause)]

        handler = StubHandler(act, stateful=True)
        async with broker_of(owner, clock, handler) as broker:
            answer = await broker.resolve(event("e1"))
        assert answer is not None
        assert handler.tried == ["e1"] * 3
        assert left_inside(broker) == {}

    async def test_an_event_that_one_handler_emits_twice_runs_once(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, to=TWO)] * 2

        async def reply(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, to=APP)]

        service = StubHandler(reply, source=TWO)
        async with broker_of(owner, clock, StubHandler(act), service) as broker:
            answer = await broker.resolve(event("e1"))
        assert answer is not None
        assert len(service.tried) == 1


class TestCancelling:
    @pytest.mark.parametrize("cancelled", [0, 1])
    async def test_one_caller_leaves_the_work_and_the_answer_to_the_other(
        self, owner: Owner, clock: FakeClock, cancelled: int
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        async with broker_of(owner, clock, handler) as broker:
            asking = [asyncio.create_task(broker.resolve(event("e1"))) for _ in range(2)]
            await clock.settle()
            asking[cancelled].cancel()
            await clock.settle()
            gate.open()
            answer = await asking[1 - cancelled]
        assert answer is not None
        assert handler.tried == ["e1"]
        assert owner.unclaimed == []

    async def test_both_callers_make_the_answer_unclaimed_once(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        async with broker_of(owner, clock, StubHandler(gate.act)) as broker:
            asking = [asyncio.create_task(broker.resolve(event("e1"))) for _ in range(2)]
            await clock.settle()
            for task in asking:
                task.cancel()
            await clock.settle()
            gate.open()
        assert owner.unclaimed == ["e1>0"]

    @pytest.mark.parametrize(("cancelled", "unclaimed"), [([0], []), ([1], []), ([0, 1], ["e1>0"])])
    async def test_as_the_answer_comes_it_is_unclaimed_only_if_no_caller_is_left(
        self, owner: Owner, clock: FakeClock, cancelled: list[int], unclaimed: list[str]
    ) -> None:
        asking: list[asyncio.Task[ArvoEvent | None]] = []

        async def cancel(answer: list[ArvoEvent], cause: ArvoEvent) -> None:
            for number in cancelled:
                asyncio.get_running_loop().call_soon(asking[number].cancel)

        config = HandlerConfig(answering(), middleware=Middleware(output=Bulk(cancel)))
        async with broker_of(owner, clock, config) as broker:
            asking += [asyncio.create_task(broker.resolve(event("e1"))) for _ in range(2)]
            answers = await asyncio.gather(*asking, return_exceptions=True)
        assert owner.unclaimed == unclaimed
        assert sum(isinstance(answer, ArvoEvent) for answer in answers) == 2 - len(cancelled)

    async def test_a_timeout_of_one_caller_is_not_the_others(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        async with broker_of(owner, clock, StubHandler(gate.act)) as broker:
            patient = asyncio.create_task(broker.resolve(event("e1")))
            with pytest.raises(TimeoutError):
                await clock.run_until_complete(broker.resolve(event("e1"), timeout=SECOND))
            gate.open()
            assert await patient is not None


class TestFailing:
    async def test_both_callers_hear_of_one_dead_letter(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = failing(9, ConnectionError("no"))
        config = HandlerConfig(handler, retry=RetryPolicy(retries=1, backoff=STEADY))
        async with broker_of(owner, clock, config) as broker:
            asking = asyncio.gather(
                *(broker.resolve(event("e1")) for _ in range(2)), return_exceptions=True
            )
            errors = await clock.run_until_complete(asking)
        assert [type(error) for error in errors] == [ResolveError] * 2
        assert owner.reasons == [("e1", DeadLetterReason.EXHAUSTED)]
        assert owner.errors == [("e1", "no")]
        assert handler.tried == ["e1", "e1"]

    async def test_after_a_dead_letter_it_may_be_published_again(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = failing(1, ConnectionError("no"))
        config = HandlerConfig(handler, retry=RetryPolicy(retries=0))
        async with broker_of(owner, clock, config) as broker:
            with pytest.raises(ResolveError):
                await broker.resolve(event("e1"))
            assert await broker.resolve(event("e1")) is not None

    async def test_a_handler_that_is_cancelled_leaves_one_dead_letter(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
            return []

        async with broker_of(owner, clock, StubHandler(act)) as broker:
            errors = await asyncio.gather(
                *(broker.resolve(event("e1")) for _ in range(2)), return_exceptions=True
            )
        assert [type(error) for error in errors] == [ResolveError] * 2
        assert owner.reasons == [("e1", DeadLetterReason.CANCELLED)]
        assert left_inside(broker) == {}


class TestClosing:
    async def test_what_waits_is_one_dead_letter_and_both_callers_hear_of_it(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        async with broker_of(owner, clock, HandlerConfig(handler, prefetch=1)) as broker:
            await broker.publish(event("e1"))
            asking = [asyncio.create_task(broker.resolve(event("e2"))) for _ in range(2)]
            await clock.settle()
            gate.open()
            await broker.aclose()
            errors = await asyncio.gather(*asking, return_exceptions=True)
        assert handler.tried == ["e1"]
        assert [type(error) for error in errors] == [ResolveError] * 2
        assert [letter.event.id for letter in owner.letters if letter.event.id == "e2"] == ["e2"]
        assert isinstance(owner.letters[0].error, UndeliveredError)
        assert left_inside(broker) == {}

    @pytest.mark.parametrize("ask", ["publish", "resolve"])
    async def test_nothing_is_joined_from_outside_once_it_began(
        self, owner: Owner, clock: FakeClock, ask: str
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        async with broker_of(owner, clock, handler) as broker:
            first = asyncio.create_task(broker.resolve(event("e1")))
            await clock.settle()
            draining = asyncio.create_task(broker.drain())
            await clock.settle()
            with pytest.raises(BrokerClosedError):
                await getattr(broker, ask)(event("e1"))
            gate.open()
            assert await first is not None
            await draining
        assert handler.tried == ["e1"]

    async def test_an_output_that_runs_already_is_not_a_dead_letter(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate, service = Gate(), Gate()

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            await gate.opened()
            return [event("r1", to=TWO)]

        running = StubHandler(service.act, source=TWO)
        async with broker_of(owner, clock, StubHandler(act), running) as broker:
            await broker.publish(event("r1", to=TWO))
            await broker.publish(event("e1"))
            await clock.settle()
            closing = asyncio.create_task(broker.aclose())
            await clock.settle()
            gate.open()
            await clock.settle()
            service.open()
            await closing
        assert running.tried == ["r1"]
        assert owner.reasons == [("r1>0", DeadLetterReason.CLOSED)]
        assert left_inside(broker) == {}


class TestBackPressure:
    async def test_what_is_joined_takes_no_place_and_waits_for_none(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        config = HandlerConfig(handler, prefetch=1)
        async with broker_of(owner, clock, config, max_queued=1) as broker:
            await broker.publish(event("e1"))
            await clock.settle()
            await broker.publish(event("e2"))
            broker.publish_nowait(event("e2"))
            await broker.publish(event("e1"))
            with pytest.raises(QueueFullError):
                broker.publish_nowait(event("e3"))
            assert broker.stats.queued == 1
            assert broker.stats.unfinished == 2
            gate.open()
        assert handler.tried == ["e1", "e2"]
        assert left_inside(broker) == {}

    async def test_what_waits_for_a_place_joins_what_took_one_meanwhile(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate, last = Gate(), Gate()

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return await (last if cause.id == "e3" else gate).act(cause)

        handler = StubHandler(act)
        config = HandlerConfig(handler, prefetch=1)
        async with broker_of(owner, clock, config, max_queued=1) as broker:
            await broker.publish(event("e1"))
            await clock.settle()
            await broker.publish(event("e2"))
            asking = [asyncio.create_task(broker.resolve(event("e3"))) for _ in range(2)]
            await clock.settle()
            gate.open()
            await clock.settle()
            last.open()
            answers = await asyncio.gather(*asking)
        assert [answer and answer.id for answer in answers] == ["e3>0", "e3>0"]
        assert handler.tried == ["e1", "e2", "e3"]
        assert left_inside(broker) == {}


class TestSelfWait:
    async def test_a_handler_that_asks_for_what_it_handles_itself_does_not_wait_indefinitely(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        """An event that a handler waits for is queued for itself."""
        heard: list[ArvoEvent | None] = []

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            if len(handler.tried) == 1:
                heard.append(await broker.resolve(event("q", to=TWO), answer_to=APP))
            return [emitted(cause, to=APP)]

        async def pass_back(cause: ArvoEvent) -> list[ArvoEvent]:
            return [event("e1")]

        handler = StubHandler(act)
        passing = StubHandler(pass_back, source=TWO)
        async with broker_of(owner, clock, handler, passing) as broker:
            answer = await broker.resolve(event("e1"))
        assert answer is not None
        assert [each and each.id for each in heard] == ["e1>0"]
        assert handler.tried == ["e1", "e1"]
        assert left_inside(broker) == {}

    async def test_another_caller_may_join_what_a_handler_waits_for(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()

        async def ask(cause: ArvoEvent) -> list[ArvoEvent]:
            await broker.resolve(event("q", to=TWO))
            return [emitted(cause)]

        service = StubHandler(gate.act, source=TWO)
        async with broker_of(owner, clock, StubHandler(ask), service) as broker:
            first = asyncio.create_task(broker.resolve(event("e1")))
            await clock.settle()
            second = asyncio.create_task(broker.resolve(event("q", to=TWO)))
            await clock.settle()
            gate.open()
            answers = await asyncio.gather(first, second)
        assert [answer and answer.id for answer in answers] == ["e1>0", "q>0"]
        assert service.tried == ["q"]
        assert left_inside(broker) == {}

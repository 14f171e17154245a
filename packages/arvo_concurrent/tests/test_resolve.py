"""`resolve` returns the answer that its request led to."""

import asyncio

import pytest

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoEvent
from arvo_event_handler import (
    ConfigViolation,
    ExecutionViolation,
    ResolveError,
    UnroutableError,
)
from arvo_event_handler.delivery import Bulk, DeadLetterReason, HandlerConfig, Middleware
from arvo_time.testing import FakeClock

from .broker_owner import SECOND, Gate, Owner, broker_of
from .stub_handler import APP, ONE, TWO, StubHandler, answering, emitted, event, failing


class TestResolve:
    async def test_resolve_returns_the_first_answer(self, owner: Owner, clock: FakeClock) -> None:
        async with broker_of(owner, clock, answering(3)) as broker:
            answer = await broker.resolve(event("e1"))
        assert answer is not None
        assert answer.id == "e1>0"
        assert owner.unclaimed == ["e1>1", "e1>2"]

    async def test_one_source_can_resolve_any_number_concurrently(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async with broker_of(owner, clock, answering()) as broker:
            answers = await asyncio.gather(
                *(broker.resolve(event(f"e{number}")) for number in range(100))
            )
        assert [answer and answer.id for answer in answers] == [f"e{n}>0" for n in range(100)]

    async def test_resolve_waits_for_its_own_causal_tree_only(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        slow = StubHandler(gate.act, source=TWO)
        async with broker_of(owner, clock, StubHandler(), slow) as broker:
            await broker.publish(event("other", to=TWO))
            assert await broker.resolve(event("e1")) is None
            assert slow.running == 1
            gate.open()

    async def test_a_failure_without_an_answer_is_raised(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        error = ExecutionViolation("no", retryable=False)
        async with broker_of(owner, clock, failing(99, error)) as broker:
            with pytest.raises(ResolveError, match="no") as caught:
                await broker.resolve(event("e1"))
        assert [(failed.id, cause) for failed, cause in caught.value.failures] == [("e1", error)]
        assert caught.value.__cause__ is error

    async def test_an_unroutable_request_is_raised(self, owner: Owner, clock: FakeClock) -> None:
        async with broker_of(owner, clock, StubHandler()) as broker:
            with pytest.raises(ResolveError) as caught:
                await broker.resolve(event("e1", to="com.nobody.here"))
        assert isinstance(caught.value.__cause__, UnroutableError)

    async def test_an_answer_takes_precedence_over_a_failure(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, 0, to="com.nobody.here"), emitted(cause, 1)]

        async with broker_of(owner, clock, StubHandler(act)) as broker:
            answer = await broker.resolve(event("e1"))
        assert answer is not None
        assert answer.id == "e1>1"

    async def test_answer_to_may_name_another_address(self, owner: Owner, clock: FakeClock) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, to="com.someone.else")]

        async with broker_of(owner, clock, StubHandler(act)) as broker:
            answer = await broker.resolve(event("e1"), answer_to="com.someone.else")
        assert answer is not None

    @pytest.mark.parametrize(
        ("source", "answer_to"), [(ONE, None), (APP, ONE)], ids=["source", "answer_to"]
    )
    async def test_an_address_that_a_handler_listens_to_is_refused(
        self, owner: Owner, clock: FakeClock, source: str, answer_to: str | None
    ) -> None:
        async with broker_of(owner, clock, answering()) as broker:
            with pytest.raises(ConfigViolation, match="no handler listens to"):
                await broker.resolve(event("e1", source=source), answer_to=answer_to)

    async def test_after_a_timeout_the_late_answer_is_unclaimed(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        async with broker_of(owner, clock, StubHandler(gate.act)) as broker:
            with pytest.raises(TimeoutError):
                await clock.run_until_complete(broker.resolve(event("e1"), timeout=SECOND))
            gate.open()
        assert owner.unclaimed == ["e1>0"]

    async def test_cancelling_resolve_cancels_no_handler(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        async with broker_of(owner, clock, HandlerConfig(handler, prefetch=1)) as broker:
            first = asyncio.create_task(broker.resolve(event("e1")))
            second = asyncio.create_task(broker.resolve(event("e2")))
            await clock.settle()
            first.cancel()
            await clock.settle()
            assert handler.running == 1
            gate.open()
            answer = await second
        assert answer is not None
        assert owner.unclaimed == ["e1>0"]

    async def test_an_answer_that_arrives_while_resolve_is_cancelled_is_unclaimed(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        asking: list[asyncio.Task[ArvoEvent | None]] = []

        async def cancel(answer: list[ArvoEvent], cause: ArvoEvent) -> None:
            asyncio.get_running_loop().call_soon(asking[0].cancel)

        config = HandlerConfig(answering(), middleware=Middleware(output=Bulk(cancel)))
        async with broker_of(owner, clock, config) as broker:
            asking.append(asyncio.create_task(broker.resolve(event("e1"))))
            await asyncio.gather(*asking, return_exceptions=True)
        assert owner.unclaimed == ["e1>0"]

    async def test_an_unclaimed_answer_without_a_listener_is_a_dead_letter(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async with ConcurrentEventBroker(
            [answering()], on_dead_letter=owner.on_dead_letter, clock=clock
        ) as broker:
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1>0", DeadLetterReason.UNCLAIMED)]

"""What user code gets wrong stops no worker and loses no event."""

import asyncio
from typing import Any

import pytest

from arvo_concurrent import (
    Bulk,
    ConcurrentEventBroker,
    DeadLetterReason,
    HandlerConfig,
    Middleware,
)
from arvo_core import ArvoEvent
from arvo_event_handler import (
    ExecutionViolation,
    RetryPolicy,
)
from arvo_event_handler.testing import FakeClock

from .broker_owner import Gate, Owner, broker_of, left_inside, workers
from .stub_handler import TWO, StubHandler, answering, emitted, event, failing


class TestNonsense:
    """What user code returns must not stop a worker."""

    @pytest.mark.parametrize("returned", [None, ["no event"], 7])
    async def test_a_handler_that_returns_no_events_has_failed(
        self, owner: Owner, clock: FakeClock, returned: object
    ) -> None:
        async def act(cause: ArvoEvent) -> Any:
            return returned

        config = HandlerConfig(StubHandler(act), prefetch=1, retry=RetryPolicy(retries=0))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await broker.publish(event("e2"))
        assert [id for id, _ in owner.reasons] == ["e1", "e2"]
        assert all(isinstance(letter.error, TypeError) for letter in owner.letters)

    async def test_input_middleware_that_returns_no_event_is_a_failed_try(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        nonsense: Any = lambda cause: 7  # noqa: E731
        handler = answering()
        config = HandlerConfig(
            handler, middleware=Middleware(input=nonsense), retry=RetryPolicy(retries=0)
        )
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
        assert handler.tried == []
        assert str(owner.letters[0].error) == "input middleware must return events, got a int"

    @pytest.mark.parametrize("bulk", [False, True])
    async def test_output_middleware_that_returns_no_events_has_failed(
        self, owner: Owner, clock: FakeClock, bulk: bool
    ) -> None:
        nonsense: Any = 7
        output = Bulk(lambda outputs, cause: [nonsense]) if bulk else lambda *_: nonsense
        config = HandlerConfig(answering(), middleware=Middleware(output=output))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1>0", DeadLetterReason.OUTPUT_MIDDLEWARE)]

    async def test_an_on_error_that_answers_nonsense_changes_nothing(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        answer: Any = "PERHAPS"
        handler = failing(9, ExecutionViolation("no", retryable=False))
        config = HandlerConfig(handler, on_error=lambda failed: answer)
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1", DeadLetterReason.NOT_RETRYABLE)]
        assert "PERHAPS" in owner.errors[0][1]

    @pytest.mark.parametrize("name", ["on_dead_letter", "on_broker_error", "on_unclaimed"])
    async def test_a_listener_that_fails_stops_nothing(
        self, owner: Owner, clock: FakeClock, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail(*told: object) -> None:
            raise KeyError("broken")

        listeners: dict[str, Any] = {"on_broker_error": owner.on_broker_error, name: fail}
        async with ConcurrentEventBroker([answering()], clock=clock, **listeners) as broker:
            await broker.publish(event("e1"))
            await broker.publish(event("e2", to="com.nobody.here"))
        assert broker.stats.unfinished == 0
        told = [what for _, what in owner.errors]
        assert "'broken'" in told or "on_broker_error itself failed" in caplog.text


class OutcomeError(BaseException):
    """No `Exception`, as what test runners raise."""


async def await_what_was_cancelled(*told: object) -> None:
    cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    await cancelled


async def raise_no_exception(*told: object) -> None:
    raise OutcomeError("odd")


SAID = {
    await_what_was_cancelled: "cancelled from inside",
    raise_no_exception: "raised OutcomeError, which is no Exception: odd",
}


@pytest.mark.parametrize("fail", SAID)
class TestNoException:
    """Nobody but the broker ends its workers: whoever raises what would do so has failed."""

    async def test_a_handler(self, owner: Owner, clock: FakeClock, fail: Any) -> None:
        config = HandlerConfig(StubHandler(fail), retry=RetryPolicy(retries=0))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1", DeadLetterReason.EXHAUSTED)]
        assert SAID[fail] in str(owner.letters[0].error)

    async def test_on_error(self, owner: Owner, clock: FakeClock, fail: Any) -> None:
        handler = failing(9, ExecutionViolation("no", retryable=False))
        async with broker_of(owner, clock, HandlerConfig(handler, on_error=fail)) as broker:
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1", DeadLetterReason.NOT_RETRYABLE)]
        assert SAID[fail] in owner.errors[0][1]

    async def test_output_middleware(self, owner: Owner, clock: FakeClock, fail: Any) -> None:
        config = HandlerConfig(answering(), middleware=Middleware(output=Bulk(fail)))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1>0", DeadLetterReason.OUTPUT_MIDDLEWARE)]

    @pytest.mark.parametrize(
        "name", ["on_dead_letter", "on_broker_error", "on_unclaimed", "on_domained_event"]
    )
    async def test_a_listener(self, clock: FakeClock, name: str, fail: Any) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            outputs = (emitted(cause), emitted(cause, 1, domain="human"))
            return [*outputs, emitted(cause, 2, to="com.nobody.here")]

        listeners: dict[str, Any] = {name: fail}
        async with ConcurrentEventBroker([StubHandler(act)], clock=clock, **listeners) as broker:
            for number in range(40):  # more than are told at once
                await broker.publish(event(f"e{number}"))
        assert left_inside(broker) == {}


class TestCancelledTasks:
    """A worker's task that user code or the loop cancels ends, and its event is not lost."""

    async def test_a_handler_that_cancels_the_task_it_runs_in(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            if cause.id == "e1":
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)
            return [emitted(cause)]

        config = HandlerConfig(StubHandler(act, stateful=True), prefetch=1)
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await broker.publish(event("e2"))
            await broker.publish(event("e3", subject="another"))
        assert owner.reasons == [("e1", DeadLetterReason.CANCELLED)]
        assert sorted(owner.unclaimed) == ["e2>0", "e3>0"]
        assert left_inside(broker) == {}

    async def test_whoever_cancels_every_task_loses_no_event(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        """As `asyncio.run` does when its main function returns."""

        async def use() -> None:
            async with broker_of(owner, clock, StubHandler(Gate().act), answering_two()) as broker:
                await broker.publish(event("e1"))
                await broker.publish(event("e2", to=TWO))
                await asyncio.get_running_loop().create_future()

        before = asyncio.all_tasks()
        using = asyncio.create_task(use())
        await clock.settle()
        for task in asyncio.all_tasks() - before:
            task.cancel()
        await asyncio.wait([using])
        assert [id for id, _ in owner.reasons] == ["e1"]
        assert owner.unclaimed == ["e2>0"]
        assert workers() == []


def answering_two() -> StubHandler:
    async def act(cause: ArvoEvent) -> list[ArvoEvent]:
        return [emitted(cause)]

    return StubHandler(act, source=TWO)

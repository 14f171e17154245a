"""What user code gets wrong stops no worker and loses no event."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from typing_extensions import override

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoEvent
from arvo_event_handler import ExecutionViolation
from arvo_event_handler.delivery import (
    Bulk,
    DeadLetterReason,
    ErrorResponse,
    HandlerConfig,
    Middleware,
)
from arvo_time import ClockTimer, RetryPolicy
from arvo_time.testing import FakeClock

from .broker_owner import Gate, Owner, broker_of, left_inside, workers
from .stub_handler import ONE, TWO, StubHandler, answering, emitted, event, failing


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


async def raise_generator_exit(*told: object) -> None:
    raise GeneratorExit


async def raise_generator_exit_later(*told: object) -> None:
    await asyncio.sleep(0)
    raise GeneratorExit


def raise_generator_exit_at_once(*told: object) -> Any:
    raise GeneratorExit


async def raise_cancelled_error(*told: object) -> None:
    raise asyncio.CancelledError


async def raise_a_group(*told: object) -> None:
    raise BaseExceptionGroup("both", [GeneratorExit(), KeyError("x")])


async def raise_stop_iteration(*told: object) -> None:
    raise StopIteration(7)


def raise_stop_iteration_at_once(*told: object) -> Any:
    raise StopIteration([])


async def raise_stop_async_iteration(*told: object) -> None:
    raise StopAsyncIteration


SAID = {
    await_what_was_cancelled: "cancelled from inside",
    raise_no_exception: "raised OutcomeError, which does not derive from Exception: odd",
    raise_generator_exit: "raised GeneratorExit, which does not derive from Exception",
    raise_generator_exit_later: "raised GeneratorExit, which does not derive from Exception",
    raise_generator_exit_at_once: "raised GeneratorExit, which does not derive from Exception",
    raise_cancelled_error: "cancelled from inside",
    raise_a_group: "raised BaseExceptionGroup, which does not derive from Exception",
    raise_stop_iteration: "StopIteration",
    raise_stop_iteration_at_once: "StopIteration",
    raise_stop_async_iteration: "",
}


@pytest.mark.parametrize("fail", SAID)
class TestNoException:
    """Nobody but the broker ends its workers: whoever raises what would do so has failed."""

    async def test_a_handler(self, owner: Owner, clock: FakeClock, fail: Any) -> None:
        config = HandlerConfig(Bare(fail), retry=RetryPolicy(retries=0))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1", DeadLetterReason.EXHAUSTED)]
        assert SAID[fail] in str(owner.letters[0].error)

    async def test_input_middleware(self, owner: Owner, clock: FakeClock, fail: Any) -> None:
        config = HandlerConfig(
            answering(), middleware=Middleware(input=fail), retry=RetryPolicy(retries=0)
        )
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1", DeadLetterReason.EXHAUSTED)]

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

        async def listener(*told: object) -> None:
            await fail(*told)

        listeners: dict[str, Any] = {name: listener}
        async with ConcurrentEventBroker([StubHandler(act)], clock=clock, **listeners) as broker:
            for number in range(40):  # more than are told at once
                await broker.publish(event(f"e{number}"))
        assert left_inside(broker) == {}


class Bare:
    """A handler whose `execute` is the function itself, which need not be async."""

    source = ONE
    stateful = False
    contract = None

    def __init__(self, execute: Any) -> None:
        self.execute = execute


class TestSettingsThatFail:
    """A clock, a delay or a source of chance of one's own may fail: no event is lost, none hangs."""

    async def test_a_source_of_chance(self, owner: Owner, clock: FakeClock) -> None:
        class Broken(Random):
            @override
            def random(self) -> float:
                raise KeyError("no chance")

        broker = ConcurrentEventBroker(
            [failing(9, ConnectionError("no"))],
            on_dead_letter=owner.on_dead_letter,
            clock=clock,
            random=Broken(),
        )
        async with broker:
            await broker.publish(event("e1"))
            await broker.publish(event("e2"))
        assert owner.reasons == [(id, DeadLetterReason.CANCELLED) for id in ("e1", "e2")]
        assert [str(letter.error) for letter in owner.letters] == ["'no chance'"] * 2
        assert left_inside(broker) == {}

    async def test_a_clock(self, owner: Owner) -> None:
        class Broken(FakeClock):
            broken = True

            @override
            def call_later(self, delay: timedelta, callback: Callable[[], None]) -> ClockTimer:
                if self.broken:
                    raise OverflowError("too late")
                return super().call_later(delay, callback)

        clock = Broken()
        config = HandlerConfig(failing(1, ConnectionError("no")), prefetch=1)
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await clock.settle()
            clock.broken = False
            await broker.publish(event("e2"))
        assert owner.reasons == [("e1", DeadLetterReason.CANCELLED)]
        assert isinstance(owner.letters[0].error, OverflowError)
        assert owner.unclaimed == ["e2>0"]
        assert left_inside(broker) == {}


INTERRUPTS = [KeyboardInterrupt("now"), SystemExit(3)]


@pytest.mark.parametrize("interrupt", INTERRUPTS, ids=["keyboard", "exit"])
class TestInterrupts:
    """They end the program as anywhere in Python, and the event is not lost."""

    @pytest.mark.parametrize("where", ["handler", "on_error", "middleware"])
    def test_it_ends_the_program_and_the_event_is_a_dead_letter(
        self, interrupt: BaseException, where: str
    ) -> None:
        owner = Owner()

        async def end(*told: object) -> Any:
            raise interrupt

        async def use() -> None:
            handler = answering() if where == "middleware" else failing(9, KeyError("x"))
            config = HandlerConfig(
                StubHandler(end) if where == "handler" else handler,
                on_error=end if where == "on_error" else None,
                middleware=Middleware(output=Bulk(end)) if where == "middleware" else None,
            )
            async with ConcurrentEventBroker(
                [config], on_dead_letter=owner.on_dead_letter
            ) as broker:
                await broker.publish(event("e1"))

        with pytest.raises(type(interrupt)) as caught:
            asyncio.run(use())
        assert caught.value is interrupt
        assert owner.reasons == [("e1", DeadLetterReason.CANCELLED)]


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

    @pytest.mark.parametrize("how", ["returns", "fails", "is SUPPRESSed"])
    @pytest.mark.parametrize("prefetch", [1, 2])
    async def test_a_handler_that_cancels_its_task_and_ends_harms_no_other_event(
        self, owner: Owner, clock: FakeClock, how: str, prefetch: int
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            if cause.id == "e1" and handler.tried.count("e1") == 1:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                if how != "returns":
                    raise ConnectionError("no")
                return [emitted(cause)]
            await asyncio.sleep(0)
            return [emitted(cause)]

        handler = StubHandler(act)
        suppress = (lambda _: ErrorResponse.SUPPRESS) if how == "is SUPPRESSed" else None
        config = HandlerConfig(handler, prefetch=prefetch, on_error=suppress)
        async with broker_of(owner, clock, config) as broker:
            for id in ("e1", "e2", "e3"):
                await broker.publish(event(id))
            await clock.run_until_complete(broker.wait_idle())
        assert owner.letters == []
        expected = ["e2>0", "e3>0"] if how == "is SUPPRESSed" else ["e1>0", "e2>0", "e3>0"]
        assert sorted(owner.unclaimed) == expected
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

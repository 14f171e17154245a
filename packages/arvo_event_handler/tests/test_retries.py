"""What is tried again, and what is reported in the end, without a broker and with the plain one."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from opentelemetry.context import Context
from typing_extensions import override

from arvo_core import ArvoEvent, ArvoEventFactory
from arvo_event_handler import (
    ArvoEventHandler,
    Emit,
    ExecutionViolation,
    HandlerInput,
    IArvoEventHandler,
    Reply,
    ResolveError,
    RetryableFailure,
    RetryLater,
    SimpleEventBroker,
    Step,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_event_handler._handler import own_retry_policy
from arvo_event_handler.testing import ExpectedError, HandlerCase, HandlerStep, HandlerSuite
from arvo_time import Backoff, RetryPolicy
from arvo_time.testing import FakeClock, MetricRecorder, SpanRecorder

from .shop import (
    APP,
    RESERVE_V1,
    RESERVED,
    AnyCall,
    Reserve,
    Reserved,
    order,
    order_v1,
    reserve_contract,
    start,
)

SECOND = timedelta(seconds=1)
STEADY = Backoff(initial=SECOND, maximum=60 * SECOND, jitter=False)
SYSTEM_ERROR = "sys.com.stock.reserve.error"
WORKFLOW_ERROR = "sys.arvo.orc.shop.order.error"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Stock:
    """A service that fails as configured, call by call, and then answers."""

    def __init__(self, *failures: Callable[[], Exception]) -> None:
        self._failures = failures
        self.calls = 0

    async def reserve(self, call: HandlerInput[Reserve]) -> Emit:
        self.calls += 1
        if self.calls <= len(self._failures):
            raise self._failures[self.calls - 1]()
        return Emit(RESERVED, Reserved(price=1))

    def handler(self, **settings: Any) -> ArvoEventHandler:
        return ArvoEventHandler(
            contract=reserve_contract, handler={"1.0.0": self.reserve}, **settings
        )


def away() -> Exception:
    return ConnectionError("the warehouse is away")


def busy() -> Exception:
    return RetryLater("the warehouse is busy", after=90 * SECOND)


def ask(*, source: str = APP) -> ArvoEvent:
    return ArvoEventFactory(reserve_contract.version(RESERVE_V1)).accepts(
        source=source, data=Reserve(item="tea")
    )


class TestWithoutABroker:
    async def test_an_exception_of_retry_on_is_a_retryable_failure_with_the_replies(self) -> None:
        event = ask()
        error = away()
        handler = Stock(lambda: error).handler(retry_on=ConnectionError)
        with pytest.raises(RetryableFailure, match="ConnectionError: the warehouse") as caught:
            await handler.execute(event)
        [reply] = caught.value.replies
        assert (reply.type, reply.to, reply.parentid) == (SYSTEM_ERROR, APP, event.id)
        assert reply.data["errorMessage"] == "the warehouse is away"
        assert (caught.value.after, caught.value.retryable) == (None, True)
        assert caught.value.__cause__ is error

    async def test_the_replies_are_what_would_have_been_returned(self) -> None:
        event = ask()
        with pytest.raises(RetryableFailure) as caught:
            await Stock(away).handler(retry_on=ConnectionError).execute(event)
        [returned] = await Stock(away).handler().execute(event)
        [reply] = caught.value.replies
        for given in (reply, returned):
            given.data.pop("errorStack")
        assert reply.to_dict() | {"time": None} == returned.to_dict() | {"time": None}

    @pytest.mark.parametrize(
        "retry_on",
        [OSError, (KeyError, ConnectionError), (ConnectionResetError, OSError), Exception],
        ids=str,
    )
    async def test_retry_on_takes_what_except_takes(self, retry_on: Any) -> None:
        with pytest.raises(RetryableFailure):
            await Stock(away).handler(retry_on=retry_on).execute(ask())

    @pytest.mark.parametrize("retry_on", [(), KeyError, (KeyError, ConnectionResetError)], ids=str)
    async def test_without_a_match_nothing_changes(self, retry_on: Any) -> None:
        [reply] = await Stock(away).handler(retry_on=retry_on).execute(ask())
        assert reply.type == SYSTEM_ERROR

    async def test_a_group_is_matched_by_its_own_class_as_by_except(self) -> None:
        def group() -> Exception:
            return ExceptionGroup("two", [away(), away()])

        [reply] = await Stock(group).handler(retry_on=ConnectionError).execute(ask())
        assert reply.data["errorName"] == "ExceptionGroup"
        with pytest.raises(RetryableFailure):
            await Stock(group).handler(retry_on=ExceptionGroup).execute(ask())

    async def test_retry_later_needs_no_retry_on_and_brings_its_own_pause(self) -> None:
        with pytest.raises(RetryableFailure) as caught:
            await Stock(busy).handler().execute(ask())
        assert caught.value.after == 90 * SECOND
        [reply] = caught.value.replies
        assert reply.data["errorName"] == "RetryLater"
        assert reply.data["errorMessage"] == "the warehouse is busy"

    async def test_a_subclass_need_not_call_the_constructor(self, clock: FakeClock) -> None:
        class Busy(RetryLater):
            def __init__(self) -> None:
                """Leave the pause to the retry policy."""

        with pytest.raises(RetryableFailure) as raised:
            await Stock(Busy).handler().execute(ask())
        assert raised.value.after is None
        broker = SimpleEventBroker([Stock(Busy).handler()], clock=clock)
        answer = await clock.run_until_complete(broker.resolve(ask()))
        assert answer is not None
        assert answer.type == "evt.stock.reserve.success"
        assert clock.monotonic() > 0, "as the policy says"

    async def test_a_violation_stays_what_it_is(self) -> None:
        def refuse() -> Exception:
            return ExecutionViolation("no", retryable=True)

        with pytest.raises(ExecutionViolation):
            await Stock(refuse).handler(retry_on=Exception).execute(ask())

    async def test_an_error_that_cannot_say_what_it_is_is_tried_again_too(self) -> None:
        class Mute(Exception):
            @override
            def __str__(self) -> str:
                raise KeyError

        with pytest.raises(RetryableFailure, match="Mute"):
            await Stock(Mute).handler(retry_on=Mute).execute(ask())

    @pytest.mark.parametrize("grouped", [False, True])
    async def test_a_failure_of_a_handler_that_the_function_calls_is_the_functions_own(
        self, grouped: bool
    ) -> None:
        """Its replies are for that handler's asker: they must not be sent in this one's name."""
        inner = Stock(busy).handler()

        async def ask_another(call: HandlerInput[Reserve]) -> None:
            if not grouped:
                await inner.execute(ask(source="com.other.app"))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(inner.execute(ask(source="com.other.app")))

        outer = ArvoEventHandler(contract=reserve_contract, handler={"1.0.0": ask_another})
        if grouped:
            [reply] = await outer.execute(ask())
        else:
            with pytest.raises(RetryableFailure) as caught:
                await outer.execute(ask())
            assert caught.value.after == 90 * SECOND
            [reply] = caught.value.replies
        assert reply.to == APP
        assert reply.data["errorName"] == ("ExceptionGroup" if grouped else "RetryableFailure")

    async def test_a_suite_expects_it_as_an_error(self) -> None:
        case = HandlerCase(
            name="away",
            steps=[HandlerStep(input=ask(), expects=ExpectedError(type=RetryableFailure))],
        )
        suite = HandlerSuite(
            make_handler=lambda: Stock(away).handler(retry_on=OSError), cases=[case]
        )
        await suite.check(case)

    async def test_it_is_seen_in_spans_and_metrics_as_a_violation(self) -> None:
        with SpanRecorder() as spans, MetricRecorder() as metrics, pytest.raises(RetryableFailure):
            await Stock(away).handler(retry_on=OSError).execute(ask())
        [span] = spans.spans
        assert [happened.name for happened in span.events] == ["exception"]
        counted = metrics.find(name="arvo.executions")
        assert counted.attributes["arvo.outcome"] == "violation"


class TestWorkflows:
    @pytest.mark.parametrize("error", [busy, away], ids=["later", "connection"])
    async def test_in_the_body_of_a_workflow_it_is_an_ordinary_exception(
        self, error: Callable[[], Exception]
    ) -> None:
        async def fail(call: Any) -> Any:
            raise error()

        [reply] = await order(fail).execute(start("tea"))
        assert reply.type == WORKFLOW_ERROR
        assert reply.data["errorName"] == type(error()).__name__

    async def test_a_retryable_failure_of_a_handler_called_in_the_body_ends_it(self) -> None:
        async def call_directly(call: Any) -> Any:
            await Stock(away).handler(retry_on=OSError).execute(ask())

        [reply] = await order(call_directly).execute(start("tea"))
        assert reply.data["errorName"] == "RetryableFailure"


class TestPolicy:
    def test_a_handler_says_its_policy(self) -> None:
        policy = RetryPolicy(retries=7)
        assert own_retry_policy(Stock().handler(retry=policy)) is policy
        assert own_retry_policy(Stock().handler()) is None


class TestSimpleBroker:
    async def test_it_tries_again_by_the_handlers_policy_and_answers(
        self, clock: FakeClock
    ) -> None:
        stock = Stock(away, away)
        policy = RetryPolicy(retries=2, backoff=STEADY)
        broker = SimpleEventBroker([stock.handler(retry_on=OSError, retry=policy)], clock=clock)
        before = clock.monotonic()
        answer = await clock.run_until_complete(broker.resolve(ask()))
        assert answer is not None
        assert (answer.type, stock.calls, clock.monotonic() - before) == (RESERVED, 3, 1 + 2)

    @pytest.mark.parametrize(("retries", "calls"), [(0, 1), (1, 2), (4, 5)])
    async def test_when_the_tries_are_used_up_the_asker_is_notified_once_and_nothing_failed(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture, retries: int, calls: int
    ) -> None:
        stock = Stock(*[away] * 99)
        policy = RetryPolicy(retries=retries, backoff=STEADY)
        failed: list[Exception] = []

        async def on_error(event: ArvoEvent, error: Exception) -> None:
            failed.append(error)

        broker = SimpleEventBroker(
            [stock.handler(retry_on=OSError, retry=policy)], clock=clock, on_error=on_error
        )
        answer = await clock.run_until_complete(broker.resolve(ask()))
        assert answer is not None
        assert (answer.type, stock.calls) == (SYSTEM_ERROR, calls)
        assert (failed, caplog.records) == ([], [])

    async def test_without_a_policy_of_the_handler_there_are_three_more_tries(
        self, clock: FakeClock
    ) -> None:
        stock = Stock(*[away] * 99)
        broker = SimpleEventBroker([stock.handler(retry_on=OSError)], clock=clock, random=Random(7))
        await clock.run_until_complete(broker.resolve(ask()))
        assert stock.calls == 4

    async def test_retry_later_waits_as_long_as_it_says(self, clock: FakeClock) -> None:
        stock = Stock(busy)
        broker = SimpleEventBroker([stock.handler()], clock=clock)
        before = clock.monotonic()
        answer = await clock.run_until_complete(broker.resolve(ask()))
        assert answer is not None
        assert (answer.type, clock.monotonic() - before) == (RESERVED, 90)

    async def test_without_retry_on_nothing_changes(self, clock: FakeClock) -> None:
        stock = Stock(away)
        broker = SimpleEventBroker([stock.handler(retry=RetryPolicy(retries=9))], clock=clock)
        answer = await broker.resolve(ask())
        assert answer is not None
        assert (answer.type, stock.calls) == (SYSTEM_ERROR, 1)

    async def test_a_violation_that_is_retryable_is_still_reported_at_the_first_try(
        self, clock: FakeClock
    ) -> None:
        stock = Stock(lambda: ExecutionViolation("no", retryable=True))
        broker = SimpleEventBroker([stock.handler(retry=RetryPolicy(retries=9))], clock=clock)
        with pytest.raises(ResolveError):
            await broker.resolve(ask())
        assert stock.calls == 1

    async def test_a_handler_of_its_own_kind_may_raise_retry_later_too(
        self, clock: FakeClock
    ) -> None:
        handler = Custom(busy)
        broker = SimpleEventBroker([handler], clock=clock)
        before = clock.monotonic()
        with pytest.raises(ResolveError, match="RetryLater"):
            await clock.run_until_complete(broker.resolve(ask()))
        assert (handler.calls, clock.monotonic() - before) == (4, 3 * 90)

    async def test_contention_in_between_costs_no_try(self, clock: FakeClock) -> None:
        def moved() -> Exception:
            return TransactionViolation.version_moved("s")

        stock = Stock(away, moved, away, moved)
        policy = RetryPolicy(retries=2, backoff=STEADY)
        handler = stock.handler(retry_on=OSError, retry=policy)
        answer = await clock.run_until_complete(
            SimpleEventBroker([handler], clock=clock).resolve(ask())
        )
        assert answer is not None
        assert (answer.type, stock.calls) == (RESERVED, 5)

    async def test_a_failure_in_between_restarts_the_contention_timeout(
        self, clock: FakeClock
    ) -> None:
        def held() -> Exception:
            cause = TransactionViolationCause.LOCK_UNACQUIRED
            return TransactionViolation("held", cause=cause, subject="s")

        stock = Stock(held, busy, held)
        broker = SimpleEventBroker([stock.handler()], clock=clock, contention_timeout=10 * SECOND)
        answer = await clock.run_until_complete(broker.resolve(ask()))
        assert answer is not None
        assert (answer.type, stock.calls) == (RESERVED, 4)

    async def test_a_workflow_is_notified_of_its_service_once(self, clock: FakeClock) -> None:
        stock = Stock(*[away] * 99)

        async def give_up(call: AnyCall) -> Step[dict[str, Any]]:
            if isinstance(call, Reply) and call.error is not None:
                raise LookupError(call.error.error_message)
            return await order_v1(call)

        handlers = [order(give_up), stock.handler(retry_on=OSError, retry=RetryPolicy(retries=1))]
        broker = SimpleEventBroker(handlers, clock=clock)
        answer = await clock.run_until_complete(broker.resolve(start("tea")))
        assert stock.calls == 2
        assert answer is not None
        assert answer.type == WORKFLOW_ERROR


class Custom(IArvoEventHandler):
    """A handler other than `ArvoEventHandler`, which always fails."""

    def __init__(self, error: Callable[[], Exception]) -> None:
        self._error = error
        self.calls = 0

    @property
    @override
    def source(self) -> str:
        return "com.stock.reserve"

    @property
    @override
    def stateful(self) -> bool:
        return False

    @override
    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        self.calls += 1
        raise self._error()

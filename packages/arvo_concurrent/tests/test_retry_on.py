"""Which failures of a service are tried again, by which policy, and who is notified in the end."""

from typing import Any

import pytest
from pydantic import BaseModel

from arvo_core import ArvoEvent, ArvoEventFactory, SimpleArvoContract, SimpleVersion
from arvo_event_handler import (
    ArvoEventHandler,
    Emit,
    ExecutionViolation,
    HandlerInput,
    ResolveError,
    RetryableFailure,
    RetryLater,
)
from arvo_event_handler.delivery import (
    DeadLetterReason,
    ErrorResponse,
    FailedTry,
    HandlerConfig,
    HandlerDefaults,
    Middleware,
)
from arvo_time import RetryPolicy
from arvo_time.testing import FakeClock, MetricRecorder

from .broker_owner import SECOND, STEADY, Gate, Owner, broker_of, left_inside
from .stub_handler import APP, StubHandler, event


class Ask(BaseModel):
    n: int


class Answer(BaseModel):
    n: int


V1 = SimpleVersion("1.0.0", accepts=Ask, emits=Answer)
CONTRACT = SimpleArvoContract(uri="#/svc/one", type="svc.one", versions=[V1])
ANSWER, SYSTEM_ERROR = "evt.svc.one.success", "sys.com.svc.one.error"


def request() -> ArvoEvent:
    return ArvoEventFactory(CONTRACT.version(V1)).accepts(source=APP, data=Ask(n=1))


class Service:
    """Raises an error `times` times, and then answers."""

    def __init__(self, error: Exception, *, times: int = 99) -> None:
        self._error = error
        self._times = times
        self.calls = 0

    async def act(self, call: HandlerInput[Ask]) -> Emit:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        return Emit(ANSWER, Answer(n=call.data.n))

    def handler(self, **settings: Any) -> ArvoEventHandler:
        return ArvoEventHandler(contract=CONTRACT, handler={"1.0.0": self.act}, **settings)


AWAY = ConnectionError("away")


def policy(retries: int) -> RetryPolicy:
    return RetryPolicy(retries=retries, backoff=STEADY)


class TestAsker:
    async def test_a_service_that_raises_connection_error_is_tried_again_and_answers(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        service = Service(AWAY, times=3)
        config = HandlerConfig(service.handler(retry_on=ConnectionError), retry=policy(3))
        before = clock.monotonic()
        async with broker_of(owner, clock, config) as broker:
            answer = await clock.run_until_complete(broker.resolve(request()))
        assert answer is not None
        assert (answer.type, service.calls, clock.monotonic() - before) == (ANSWER, 4, 1 + 2 + 4)

    @pytest.mark.parametrize("replies", [True, False])
    async def test_a_dead_letter_reply_says_what_the_service_raised(
        self, owner: Owner, clock: FakeClock, replies: bool
    ) -> None:
        """Not that it may be retried, because it is not."""
        service = Service(AWAY).handler(retry_on=OSError)

        class Bare:
            source, stateful, contract = service.source, False, CONTRACT

            async def execute(self, event: ArvoEvent, **_: Any) -> list[ArvoEvent]:
                try:
                    return await service.execute(event)
                except RetryableFailure as failure:
                    kept = failure.replies if replies else ()
                    raise RetryableFailure("again", replies=kept) from failure.__cause__

        config = HandlerConfig(
            Bare(), on_error=lambda _: ErrorResponse.THROW, dead_letter_reply=True
        )
        async with broker_of(owner, clock, config) as broker:
            answer = await broker.resolve(request())
        assert answer is not None
        said = (answer.type, answer.data["errorName"], answer.data["errorMessage"])
        assert said == (SYSTEM_ERROR, "ConnectionError", "away")
        assert [reason for _, reason in owner.reasons] == [DeadLetterReason.THROWN]

    @pytest.mark.parametrize("reply", [False, True])
    async def test_after_the_last_try_the_asker_gets_one_error_and_there_is_no_dead_letter(
        self, owner: Owner, clock: FakeClock, reply: bool
    ) -> None:
        service = Service(AWAY)
        config = HandlerConfig(
            service.handler(retry_on=OSError), retry=policy(2), dead_letter_reply=reply
        )
        async with broker_of(owner, clock, config) as broker:
            answer = await clock.run_until_complete(broker.resolve(request()))
        assert answer is not None
        assert (answer.type, answer.data["errorMessage"]) == (SYSTEM_ERROR, "away")
        assert service.calls == 3
        assert (owner.letters, owner.errors, owner.unclaimed) == ([], [], [])

    async def test_without_retry_on_nothing_changes(self, owner: Owner, clock: FakeClock) -> None:
        service = Service(AWAY)
        config = HandlerConfig(service.handler(), retry=policy(9))
        async with broker_of(owner, clock, config) as broker:
            answer = await broker.resolve(request())
        assert answer is not None
        assert (answer.type, service.calls) == (SYSTEM_ERROR, 1)

    async def test_retry_later_waits_for_its_delay_and_counts_as_a_retry(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        service = Service(RetryLater("busy", after=90 * SECOND))
        config = HandlerConfig(service.handler(), retry=policy(2))
        before = clock.monotonic()
        async with broker_of(owner, clock, config) as broker:
            answer = await clock.run_until_complete(broker.resolve(request()))
        assert answer is not None
        assert answer.data["errorName"] == "RetryLater"
        assert (service.calls, clock.monotonic() - before) == (3, 2 * 90)
        assert owner.letters == []

    async def test_the_delay_of_retry_later_holds_no_slot(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        service = Service(RetryLater(after=90 * SECOND), times=1)
        config = HandlerConfig(service.handler(), prefetch=1)
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(request())
            await clock.settle()
            assert broker.stats.topics["com.svc.one"].sleeping == 1
            answer = await broker.resolve(request())
            assert answer is not None
            await clock.run_until_complete(broker.wait_idle())
        assert service.calls == 3

    async def test_the_system_error_passes_the_output_middleware(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        def mark(output: ArvoEvent, cause: ArvoEvent) -> ArvoEvent:
            return output.model_copy(update={"accesscontrol": "seen"})

        config = HandlerConfig(
            Service(AWAY).handler(retry_on=OSError),
            retry=policy(0),
            middleware=Middleware(output=mark),
        )
        async with broker_of(owner, clock, config) as broker:
            answer = await broker.resolve(request())
        assert answer is not None
        assert (answer.type, answer.accesscontrol) == (SYSTEM_ERROR, "seen")

    async def test_an_event_that_sleeps_when_the_broker_closes_is_a_dead_letter(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        asked = request()
        config = HandlerConfig(Service(AWAY).handler(retry_on=OSError), retry=policy(9))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(asked)
            await clock.settle()
            await broker.aclose()
        assert owner.reasons == [(asked.id, DeadLetterReason.CLOSED)]
        assert left_inside(broker) == {}

    async def test_the_timeout_of_the_broker_does_not_match_retry_on(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        """The event is retried as without `retry_on`, and a dead letter in the end."""

        async def wait(call: HandlerInput[Ask]) -> None:
            await Gate().opened()

        handler = ArvoEventHandler(
            contract=CONTRACT, handler={"1.0.0": wait}, retry_on=TimeoutError
        )
        config = HandlerConfig(handler, timeout=SECOND, retry=policy(1))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(request())
            await clock.run_until_complete(broker.wait_idle())
        assert [letter.reason for letter in owner.letters] == [DeadLetterReason.EXHAUSTED]
        assert isinstance(owner.letters[0].error, TimeoutError)


class TestPolicy:
    @pytest.mark.parametrize(
        ("config", "handler", "defaults", "calls"),
        [(0, 1, 2, 1), (None, 1, 2, 2), (None, None, 2, 3), (3, None, 2, 4)],
    )
    async def test_the_first_policy_that_is_set_applies(
        self,
        owner: Owner,
        clock: FakeClock,
        config: int | None,
        handler: int | None,
        defaults: int,
        calls: int,
    ) -> None:
        service = Service(AWAY)
        own = None if handler is None else policy(handler)
        made = service.handler(retry_on=OSError, retry=own)
        said = HandlerConfig(made, retry=None if config is None else policy(config))
        given = HandlerDefaults(retry=policy(defaults))
        async with broker_of(owner, clock, said, defaults=given) as broker:
            await clock.run_until_complete(broker.resolve(request()))
        assert service.calls == calls

    async def test_the_policy_of_the_handler_applies_to_every_failure(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        service = Service(ExecutionViolation("no", retryable=True))
        async with broker_of(owner, clock, service.handler(retry=policy(1))) as broker:
            await broker.publish(request())
            await clock.run_until_complete(broker.wait_idle())
        assert service.calls == 2
        assert [letter.reason for letter in owner.letters] == [DeadLetterReason.EXHAUSTED]

    async def test_tries_of_both_kinds_are_counted_together(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        """The last failure is the one that is reported: a violation there is a dead letter."""
        errors = [AWAY, RetryLater(after=SECOND), ExecutionViolation("no", retryable=True)]

        async def act(call: HandlerInput[Ask]) -> None:
            raise errors.pop(0)

        handler = ArvoEventHandler(contract=CONTRACT, handler={"1.0.0": act}, retry_on=OSError)
        async with broker_of(owner, clock, HandlerConfig(handler, retry=policy(2))) as broker:
            await broker.publish(request())
            await clock.run_until_complete(broker.wait_idle())
        assert errors == []
        assert [(letter.attempts, letter.reason) for letter in owner.letters] == [
            (3, DeadLetterReason.EXHAUSTED)
        ]

    async def test_a_retry_is_counted(self, owner: Owner, clock: FakeClock) -> None:
        config = HandlerConfig(Service(AWAY).handler(retry_on=OSError), retry=policy(2))
        with MetricRecorder() as metrics:
            async with broker_of(owner, clock, config) as broker:
                await clock.run_until_complete(broker.resolve(request()))
        assert metrics.find(name="arvo.broker.retries").value == 2
        assert metrics.find_all(name="arvo.broker.dead_letters") == []


class TestOnError:
    @pytest.mark.parametrize(
        ("response", "reasons"),
        [
            (ErrorResponse.THROW, [DeadLetterReason.THROWN]),
            (ErrorResponse.SUPPRESS, []),
        ],
    )
    async def test_on_error_decides_and_the_asker_gets_no_reply(
        self,
        owner: Owner,
        clock: FakeClock,
        response: ErrorResponse,
        reasons: list[DeadLetterReason],
    ) -> None:
        reported: list[FailedTry] = []

        def on_error(failed: FailedTry) -> ErrorResponse:
            reported.append(failed)
            return response

        config = HandlerConfig(Service(AWAY).handler(retry_on=OSError), on_error=on_error)
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(request())
            await clock.run_until_complete(broker.wait_idle())
        [failed] = reported
        assert isinstance(failed.error, RetryableFailure)
        assert failed.error.__cause__ is AWAY
        assert [letter.reason for letter in owner.letters] == reasons
        assert owner.unclaimed == []

    async def test_retry_ends_as_without_on_error(self, owner: Owner, clock: FakeClock) -> None:
        config = HandlerConfig(
            Service(AWAY).handler(retry_on=OSError),
            retry=policy(1),
            on_error=lambda failed: ErrorResponse.RETRY,
        )
        async with broker_of(owner, clock, config) as broker:
            answer = await clock.run_until_complete(broker.resolve(request()))
        assert answer is not None
        assert (answer.type, owner.letters) == (SYSTEM_ERROR, [])


class TestOutsideOfAService:
    """Other user code may raise `RetryLater` too, but then the asker gets no system error."""

    @pytest.mark.parametrize("where", ["handler", "middleware"])
    async def test_retry_later_waits_for_its_delay_and_ends_as_a_dead_letter(
        self, owner: Owner, clock: FakeClock, where: str
    ) -> None:
        async def fail(cause: ArvoEvent) -> Any:
            raise RetryLater(after=90 * SECOND)

        handler = StubHandler(fail if where == "handler" else None)
        middleware = Middleware(input=fail) if where == "middleware" else None
        config = HandlerConfig(handler, middleware=middleware, retry=policy(2))
        before = clock.monotonic()
        async with broker_of(owner, clock, config) as broker:
            asking = broker.resolve(event("e1"))
            with pytest.raises(ResolveError, match="RetryLater"):
                await clock.run_until_complete(asking)
        assert clock.monotonic() - before == 2 * 90
        assert owner.reasons == [("e1", DeadLetterReason.EXHAUSTED)]

"""What the broker promises: each class one promise."""

import asyncio
import logging
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest

from arvo_concurrent import (
    BrokerClosedError,
    Bulk,
    ConcurrentEventBroker,
    DeadLetter,
    DeadLetterReason,
    ErrorResponse,
    FailedTry,
    HandlerConfig,
    HandlerDefaults,
    Middleware,
    QueueFullError,
    RetryPolicy,
)
from arvo_core import ArvoEvent
from arvo_event_handler import (
    Backoff,
    ConfigViolation,
    ExecutionViolation,
    IArvoEventHandler,
    Publish,
    ResolveError,
    TransactionViolation,
    UnroutableError,
)
from arvo_event_handler.testing import FakeClock

from .stub_handler import APP, ONE, TWO, StubHandler, answering, emitted, event, failing

SECOND = timedelta(seconds=1)
STEADY = Backoff(initial=SECOND, maximum=60 * SECOND, jitter=False)


class OutcomeError(BaseException):
    """No `Exception`, as what test runners raise."""


NO_EXCEPTIONS = [asyncio.CancelledError(), OutcomeError("odd")]


class Owner:
    """Keeps what the broker tells its owner."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.errors: list[tuple[str, str]] = []
        self.unclaimed: list[str] = []

    async def on_dead_letter(self, letter: DeadLetter) -> None:
        self.letters.append(letter)

    async def on_broker_error(self, failed: ArvoEvent, error: Exception) -> None:
        self.errors.append((failed.id, str(error)))

    async def on_unclaimed(self, answer: ArvoEvent) -> None:
        self.unclaimed.append(answer.id)

    @property
    def reasons(self) -> list[tuple[str, DeadLetterReason]]:
        return [(letter.event.id, letter.reason) for letter in self.letters]


@pytest.fixture
def owner() -> Owner:
    return Owner()


def broker_of(
    owner: Owner,
    clock: FakeClock,
    *handlers: HandlerConfig | IArvoEventHandler,
    defaults: HandlerDefaults | None = None,
    max_queued: int | None = None,
) -> ConcurrentEventBroker:
    return ConcurrentEventBroker(
        handlers,
        defaults=defaults,
        on_dead_letter=owner.on_dead_letter,
        on_broker_error=owner.on_broker_error,
        on_unclaimed=owner.on_unclaimed,
        max_queued=max_queued,
        clock=clock,
    )


def workers() -> list[str]:
    """What of a broker still runs."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("arvo ")]


class Gate:
    """Holds handlers until it is opened."""

    def __init__(self) -> None:
        self._open = asyncio.Event()

    async def act(self, cause: ArvoEvent) -> list[ArvoEvent]:
        await self._open.wait()
        return [emitted(cause)]

    def open(self) -> None:
        self._open.set()


class TestRouting:
    async def test_an_event_goes_to_the_handler_it_is_for(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        one, two = StubHandler(), StubHandler(source=TWO)
        async with broker_of(owner, clock, one, two) as broker:
            await broker.publish(event("e1", to=TWO))
        assert (one.tried, two.tried) == ([], ["e1"])

    async def test_what_a_handler_emits_goes_on(self, owner: Owner, clock: FakeClock) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, to=TWO)]

        two = StubHandler(source=TWO)
        async with broker_of(owner, clock, StubHandler(act), two) as broker:
            await broker.publish(event("e1"))
        assert two.tried == ["e1>0"]

    async def test_an_event_for_nobody_is_a_dead_letter(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async with broker_of(owner, clock, StubHandler()) as broker:
            await broker.publish(event("e1", to="com.nobody.here"))
        assert owner.reasons == [("e1", DeadLetterReason.UNROUTABLE)]
        assert "com.nobody.here" in owner.errors[0][1]

    async def test_without_listeners_a_dead_letter_is_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with ConcurrentEventBroker([StubHandler()]) as broker:
            await broker.publish(event("e1", to="com.nobody.here"))
        assert any("is dead (unroutable)" in record.message for record in caplog.records)

    async def test_two_handlers_of_one_source_are_refused(self) -> None:
        with pytest.raises(ConfigViolation, match="two handlers"):
            ConcurrentEventBroker([StubHandler(), StubHandler()])


class TestRetries:
    @pytest.mark.parametrize("retries", [0, 1, 3])
    async def test_so_many_retries_follow_the_first_try(
        self, owner: Owner, clock: FakeClock, retries: int
    ) -> None:
        handler = failing(99, ConnectionError("no"))
        config = HandlerConfig(handler, retry=RetryPolicy(retries=retries, backoff=STEADY))
        started = clock.monotonic()
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await clock.run_until_complete(broker.wait_idle())
        assert handler.tried == ["e1"] * (retries + 1)
        assert owner.reasons == [("e1", DeadLetterReason.EXHAUSTED)]
        assert owner.letters[0].attempts == retries + 1
        # 1 + 2 + 4 seconds: each wait stands before a try, none after the last.
        assert clock.monotonic() - started == 2**retries - 1

    async def test_the_last_retry_may_succeed(self, owner: Owner, clock: FakeClock) -> None:
        config = HandlerConfig(
            failing(3, ConnectionError("no")), retry=RetryPolicy(retries=3, backoff=STEADY)
        )
        async with broker_of(owner, clock, config) as broker:
            answer = await clock.run_until_complete(broker.resolve(event("e1")))
        assert answer is not None
        assert answer.id == "e1>0"

    async def test_a_violation_that_says_so_is_not_retried(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = failing(99, ExecutionViolation("no", retryable=False))
        async with broker_of(owner, clock, handler) as broker:
            await broker.publish(event("e1"))
        assert handler.tried == ["e1"]
        assert owner.reasons == [("e1", DeadLetterReason.NOT_RETRYABLE)]

    async def test_a_try_past_its_timeout_has_failed(self, owner: Owner, clock: FakeClock) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            await clock.sleep(60 * SECOND)
            return []

        config = HandlerConfig(StubHandler(act), timeout=SECOND, retry=RetryPolicy(retries=0))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await clock.run_until_complete(broker.wait_idle())
        assert isinstance(owner.letters[0].error, TimeoutError)

    @pytest.mark.parametrize(
        ("raised", "told"),
        [
            (asyncio.CancelledError(), "was cancelled from inside"),
            (OutcomeError("odd"), "raised OutcomeError, which is no Exception: odd"),
        ],
    )
    async def test_a_handler_that_raises_no_exception_has_failed_too(
        self, owner: Owner, clock: FakeClock, raised: BaseException, told: str
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            raise raised

        config = HandlerConfig(StubHandler(act), retry=RetryPolicy(retries=0))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
        assert told in str(owner.letters[0].error)
        assert owner.letters[0].error.__cause__ is raised

    @pytest.mark.parametrize("retries", [-1, -100])
    async def test_negative_retries_are_refused(self, retries: int) -> None:
        with pytest.raises(ValueError, match="must not be negative"):
            RetryPolicy(retries=retries)


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

    @pytest.mark.parametrize("raised", NO_EXCEPTIONS, ids=repr)
    async def test_nor_does_one_that_raises_no_exception(
        self, owner: Owner, clock: FakeClock, raised: BaseException
    ) -> None:
        def fail(failed: FailedTry) -> ErrorResponse:
            raise raised

        handler = failing(9, ExecutionViolation("no", retryable=False))
        config = HandlerConfig(handler, on_error=fail)
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1", DeadLetterReason.NOT_RETRYABLE)]
        assert "on_error of" in owner.errors[0][1]

    @pytest.mark.parametrize("raised", NO_EXCEPTIONS, ids=repr)
    async def test_output_middleware_that_raises_no_exception_has_failed_too(
        self, owner: Owner, clock: FakeClock, raised: BaseException
    ) -> None:
        def fail(output: ArvoEvent, cause: ArvoEvent) -> ArvoEvent:
            raise raised

        config = HandlerConfig(answering(), middleware=Middleware(output=fail))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1>0", DeadLetterReason.OUTPUT_MIDDLEWARE)]

    @pytest.mark.parametrize("raised", [KeyError("broken"), *NO_EXCEPTIONS], ids=repr)
    @pytest.mark.parametrize("name", ["on_dead_letter", "on_broker_error", "on_unclaimed"])
    async def test_a_listener_that_fails_stops_nothing(
        self,
        owner: Owner,
        clock: FakeClock,
        name: str,
        caplog: pytest.LogCaptureFixture,
        raised: BaseException,
    ) -> None:
        async def fail(*told: object) -> None:
            raise raised

        listeners: dict[str, Any] = {"on_broker_error": owner.on_broker_error, name: fail}
        async with ConcurrentEventBroker([answering()], clock=clock, **listeners) as broker:
            await broker.publish(event("e1"))
            await broker.publish(event("e2", to="com.nobody.here"))
        assert broker.stats.unfinished == 0
        told = [what for _, what in owner.errors]
        if name == "on_broker_error":
            assert "on_broker_error itself failed" in caplog.text
        else:
            assert any(what == "'broken'" or what.startswith(name) for what in told)


class TestOnError:
    async def test_retry_goes_on_while_the_budget_lasts(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        told: list[tuple[int, int]] = []

        async def on_error(failed: FailedTry) -> ErrorResponse:
            told.append((failed.attempts, failed.retries))
            return ErrorResponse.RETRY

        handler = failing(99, ExecutionViolation("no", retryable=False))
        config = HandlerConfig(
            handler, on_error=on_error, retry=RetryPolicy(retries=2, backoff=STEADY)
        )
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await clock.run_until_complete(broker.wait_idle())
        assert told == [(1, 2), (2, 2), (3, 2)]
        assert owner.reasons == [("e1", DeadLetterReason.EXHAUSTED)]

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_suppress_drops_the_event_with_a_warning(
        self, owner: Owner, clock: FakeClock, caplog: pytest.LogCaptureFixture, is_async: bool
    ) -> None:
        async def later(failed: FailedTry) -> ErrorResponse:
            return ErrorResponse.SUPPRESS

        def at_once(failed: FailedTry) -> ErrorResponse:
            return ErrorResponse.SUPPRESS

        handler = failing(99, ConnectionError("no"))
        config = HandlerConfig(handler, on_error=later if is_async else at_once)
        async with broker_of(owner, clock, config) as broker:
            assert await broker.resolve(event("e1")) is None
        assert handler.tried == ["e1"]
        assert (owner.letters, owner.errors) == ([], [])
        assert [record.levelno for record in caplog.records] == [logging.WARNING]

    async def test_throw_gives_up_now(self, owner: Owner, clock: FakeClock) -> None:
        handler = failing(99, ConnectionError("no"))
        config = HandlerConfig(handler, on_error=lambda failed: ErrorResponse.THROW)
        async with broker_of(owner, clock, config) as broker:
            with pytest.raises(ResolveError, match="no"):
                await broker.resolve(event("e1"))
        assert handler.tried == ["e1"]
        assert owner.reasons == [("e1", DeadLetterReason.THROWN)]
        assert owner.errors == [("e1", "no")]

    async def test_an_on_error_that_fails_itself_is_told_and_changes_nothing(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        def on_error(failed: FailedTry) -> ErrorResponse:
            raise KeyError("broken")

        config = HandlerConfig(failing(99, ExecutionViolation("no")), on_error=on_error)
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await clock.run_until_complete(broker.wait_idle())
            assert broker.stats.unfinished == 0
        assert ("e1", "'broken'") in owner.errors
        assert [id for id, _ in owner.reasons] == ["e1"]


class TestContention:
    @pytest.mark.parametrize(
        "error", [TransactionViolation.version_moved("s"), TransactionViolation.lease_lost("s")]
    )
    async def test_it_costs_no_try_and_asks_nobody(
        self, owner: Owner, clock: FakeClock, error: Exception
    ) -> None:
        told: list[FailedTry] = []

        def on_error(failed: FailedTry) -> ErrorResponse:
            told.append(failed)
            return ErrorResponse.THROW

        config = HandlerConfig(failing(20, error), on_error=on_error, retry=RetryPolicy(retries=0))
        async with broker_of(owner, clock, config) as broker:
            answer = await clock.run_until_complete(broker.resolve(event("e1")))
        assert answer is not None
        assert (told, owner.letters) == ([], [])

    async def test_it_holds_no_slot(self, owner: Owner, clock: FakeClock) -> None:
        handler = failing(1, TransactionViolation.lease_lost("s"))
        async with broker_of(owner, clock, HandlerConfig(handler, prefetch=1)) as broker:
            await broker.publish(event("e1"))
            await broker.publish(event("e2"))
            await clock.settle()
            assert handler.tried == ["e1", "e2"]
            assert broker.stats.topics[ONE].sleeping == 1
            await clock.run_until_complete(broker.wait_idle())

    async def test_it_ends_after_the_contention_timeout(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = failing(10**9, TransactionViolation.lease_lost("s"))
        broker = ConcurrentEventBroker(
            [handler],
            contention_timeout=10 * SECOND,
            on_dead_letter=owner.on_dead_letter,
            on_broker_error=owner.on_broker_error,
            clock=clock,
        )
        started = clock.monotonic()
        async with broker:
            await broker.publish(event("e1"))
            await clock.run_until_complete(broker.wait_idle())
        assert owner.reasons == [("e1", DeadLetterReason.CONTENTION)]
        assert 10 <= clock.monotonic() - started <= 11


class TestSlotsAndLanes:
    async def test_at_most_prefetch_events_are_handled_at_once(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        async with broker_of(owner, clock, HandlerConfig(handler, prefetch=3)) as broker:
            for number in range(10):
                await broker.publish(event(f"e{number}"))
            await clock.settle()
            assert (handler.running, broker.stats.topics[ONE].queued) == (3, 7)
            gate.open()
        assert (len(handler.tried), handler.most_at_once) == (10, 3)

    async def test_a_sleeping_retry_holds_no_slot(self, owner: Owner, clock: FakeClock) -> None:
        handler = failing(1, ConnectionError("no"))
        config = HandlerConfig(handler, prefetch=1, retry=RetryPolicy(backoff=STEADY))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await broker.publish(event("e2"))
            await clock.settle()
            assert handler.tried == ["e1", "e2"]
            await clock.run_until_complete(broker.wait_idle())
        assert handler.tried == ["e1", "e2", "e1"]

    async def test_a_lane_stays_closed_behind_its_sleeping_head(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = failing(1, ConnectionError("no"), stateful=True)
        config = HandlerConfig(handler, retry=RetryPolicy(backoff=STEADY))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1", subject="a"))
            await broker.publish(event("e2", subject="a"))
            await broker.publish(event("e3", subject="b"))
            await clock.settle()
            assert handler.tried == ["e1", "e3"]
            await clock.run_until_complete(broker.wait_idle())
        assert handler.tried == ["e1", "e3", "e1", "e2"]

    async def test_a_dead_head_opens_its_lane(self, owner: Owner, clock: FakeClock) -> None:
        handler = failing(1, ExecutionViolation("no", retryable=False), stateful=True)
        async with broker_of(owner, clock, handler) as broker:
            await broker.publish(event("e1"))
            await broker.publish(event("e2"))
        assert handler.tried == ["e1", "e2"]

    @pytest.mark.parametrize(
        ("stateful", "order", "at_once"),
        [(True, None, 1), (False, None, 5), (True, "none", 5), (False, "subject", 1)],
    )
    async def test_the_order_of_a_subject(
        self, owner: Owner, clock: FakeClock, stateful: bool, order: str | None, at_once: int
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            await clock.sleep(SECOND)
            return []

        handler = StubHandler(act, stateful=stateful)
        config = HandlerConfig(handler, order=order)  # type: ignore[arg-type] # one of the two
        async with broker_of(owner, clock, config) as broker:
            for number in range(5):
                await broker.publish(event(f"e{number}"))
            await clock.run_until_complete(broker.wait_idle())
        assert handler.tried == [f"e{number}" for number in range(5)]
        assert handler.most_at_once == at_once

    @pytest.mark.parametrize("prefetch", [0, -1])
    async def test_a_prefetch_below_one_is_refused(self, prefetch: int) -> None:
        with pytest.raises(ConfigViolation, match="prefetch must be at least 1"):
            HandlerConfig(StubHandler(), prefetch=prefetch)
        with pytest.raises(ConfigViolation, match="prefetch must be at least 1"):
            HandlerDefaults(prefetch=prefetch)


class TestResolve:
    async def test_it_returns_the_first_answer(self, owner: Owner, clock: FakeClock) -> None:
        async with broker_of(owner, clock, answering(3)) as broker:
            answer = await broker.resolve(event("e1"))
        assert answer is not None
        assert answer.id == "e1>0"
        assert owner.unclaimed == ["e1>1", "e1>2"]

    async def test_any_number_at_once_from_one_source(self, owner: Owner, clock: FakeClock) -> None:
        async with broker_of(owner, clock, answering()) as broker:
            answers = await asyncio.gather(
                *(broker.resolve(event(f"e{number}")) for number in range(100))
            )
        assert [answer and answer.id for answer in answers] == [f"e{n}>0" for n in range(100)]

    async def test_it_waits_for_its_own_tree_only(self, owner: Owner, clock: FakeClock) -> None:
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

    async def test_a_request_for_nobody_is_raised(self, owner: Owner, clock: FakeClock) -> None:
        async with broker_of(owner, clock, StubHandler()) as broker:
            with pytest.raises(ResolveError) as caught:
                await broker.resolve(event("e1", to="com.nobody.here"))
        assert isinstance(caught.value.__cause__, UnroutableError)

    async def test_an_answer_beats_a_failure_beside_it(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, 0, to="com.nobody.here"), emitted(cause, 1)]

        async with broker_of(owner, clock, StubHandler(act)) as broker:
            answer = await broker.resolve(event("e1"))
        assert answer is not None
        assert answer.id == "e1>1"

    async def test_answers_may_be_for_somebody_else(self, owner: Owner, clock: FakeClock) -> None:
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

    async def test_cancelling_it_cancels_nobody_elses_work(
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

    async def test_an_answer_that_comes_as_it_is_cancelled_is_unclaimed(
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


class TestDomains:
    def emitting(self, domain: str) -> StubHandler:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, to="com.human.review", domain=domain)]

        return StubHandler(act)

    async def test_what_comes_back_belongs_to_the_tree(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def outside(question: ArvoEvent, publish: Publish) -> None:
            await clock.sleep(SECOND)
            await publish(emitted(question, to=TWO))

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, to=APP)]

        broker = ConcurrentEventBroker(
            [self.emitting("human.review"), StubHandler(act, source=TWO)],
            on_domained_event=outside,
            clock=clock,
        )
        async with broker:
            answer = await clock.run_until_complete(broker.resolve(event("e1")))
        assert answer is not None
        assert answer.id == "e1>0>0>0"

    async def test_a_listener_that_fails_is_told_and_fails_the_tree(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def outside(question: ArvoEvent, publish: Publish) -> None:
            raise ConnectionError("mail server")

        broker = ConcurrentEventBroker(
            [self.emitting("human.review")],
            on_domained_event=outside,
            on_broker_error=owner.on_broker_error,
            clock=clock,
        )
        async with broker:
            with pytest.raises(ResolveError, match="mail server"):
                await broker.resolve(event("e1"))
        assert owner.errors == [("e1>0", "mail server")]

    async def test_without_a_listener_it_is_a_dead_letter(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async with broker_of(owner, clock, self.emitting("human.review")) as broker:
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1>0", DeadLetterReason.UNROUTABLE)]

    async def test_an_event_from_outside_goes_to_its_topic_whatever_its_domain(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = StubHandler()
        async with broker_of(owner, clock, handler) as broker:
            await broker.publish(event("e1", domain="human.review"))
        assert handler.tried == ["e1"]


class TestSettings:
    async def test_defaults_apply_where_a_handler_says_nothing(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handlers: list[HandlerConfig | IArvoEventHandler] = [
            StubHandler(),
            HandlerConfig(StubHandler(source=TWO), prefetch=7),
        ]
        defaults = HandlerDefaults(prefetch=3)
        async with broker_of(owner, clock, *handlers, defaults=defaults) as broker:
            topics = broker.stats.topics
        assert (topics[ONE].prefetch, topics[TWO].prefetch) == (3, 7)

    async def test_middleware_is_overridden_side_by_side(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        passed: list[str] = []

        def noting(name: str) -> Middleware:
            return Middleware(
                input=lambda cause: passed.append(f"{name} in"),
                output=lambda output, cause: passed.append(f"{name} out"),
            )

        own = Middleware(input=noting("own").input)
        config = HandlerConfig(answering(), middleware=own)
        defaults = HandlerDefaults(middleware=noting("default"))
        async with broker_of(owner, clock, config, defaults=defaults) as broker:
            await broker.publish(event("e1"))
        assert passed == ["own in", "default out"]


class TestMiddleware:
    async def test_functions_are_called_in_order_and_change_events(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def first(cause: ArvoEvent) -> ArvoEvent:
            return cause.model_copy(update={"data": {"notes": ["first"]}})

        def second(cause: ArvoEvent) -> ArvoEvent:
            notes = [*cause.data["notes"], "second"]
            return cause.model_copy(update={"data": {"notes": notes}})

        seen: list[object] = []

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            seen.append(cause.data["notes"])
            return []

        config = HandlerConfig(StubHandler(act), middleware=Middleware(input=[first, second]))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
        assert seen == [["first", "second"]]

    async def test_input_middleware_that_fails_is_a_failed_try(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        tried: list[str] = []

        def enter(cause: ArvoEvent) -> None:
            tried.append(cause.id)
            if len(tried) == 1:
                raise ConnectionError("no")

        handler = answering()
        config = HandlerConfig(
            handler, middleware=Middleware(input=enter), retry=RetryPolicy(backoff=STEADY)
        )
        async with broker_of(owner, clock, config) as broker:
            assert await clock.run_until_complete(broker.resolve(event("e1"))) is not None
        assert (tried, handler.tried) == (["e1", "e1"], ["e1"])

    @pytest.mark.parametrize("response", list(ErrorResponse))
    async def test_outputs_of_failing_output_middleware_become_dead_letters(
        self, owner: Owner, clock: FakeClock, response: ErrorResponse
    ) -> None:
        told: list[str] = []

        def on_error(failed: FailedTry) -> ErrorResponse:
            told.append(failed.event.id)
            return response

        def leave(output: ArvoEvent, cause: ArvoEvent) -> None:
            raise ConnectionError("no")

        handler = answering(2)
        config = HandlerConfig(handler, middleware=Middleware(output=leave), on_error=on_error)
        async with broker_of(owner, clock, config) as broker:
            with pytest.raises(ResolveError):
                await broker.resolve(event("e1"))
        assert told == ["e1"]
        assert handler.tried == ["e1"]
        lost = DeadLetterReason.OUTPUT_MIDDLEWARE
        assert owner.reasons == [("e1>0", lost), ("e1>1", lost)]

    async def test_bulk_middleware_sees_all_outputs_at_once(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def newest(outputs: list[ArvoEvent], cause: ArvoEvent) -> list[ArvoEvent]:
            return outputs[-1:]

        config = HandlerConfig(answering(3), middleware=Middleware(output=Bulk(newest)))
        async with broker_of(owner, clock, config) as broker:
            answer = await broker.resolve(event("e1"))
        assert answer is not None
        assert answer.id == "e1>2"
        assert owner.unclaimed == []


class TestBackPressure:
    async def test_publish_waits_for_a_place_first_come_first_served(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        config = HandlerConfig(handler, prefetch=1)
        async with broker_of(owner, clock, config, max_queued=1) as broker:
            tasks = [
                asyncio.create_task(broker.publish(event(f"e{number}"))) for number in range(5)
            ]
            await clock.settle()
            assert (broker.stats.queued, handler.running) == (1, 1)
            assert [task.done() for task in tasks].count(False) == 3
            gate.open()
            await asyncio.gather(*tasks)
        assert handler.tried == [f"e{number}" for number in range(5)]

    async def test_publish_nowait_raises(self, owner: Owner, clock: FakeClock) -> None:
        async with broker_of(owner, clock, StubHandler(), max_queued=1) as broker:
            broker.publish_nowait(event("e1"))
            with pytest.raises(QueueFullError, match="max_queued"):
                broker.publish_nowait(event("e2"))

    async def test_outputs_are_always_taken(self, owner: Owner, clock: FakeClock) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, index, to=TWO) for index in range(10)]

        two = StubHandler(source=TWO)
        async with broker_of(owner, clock, StubHandler(act), two, max_queued=1) as broker:
            for number in range(3):
                await broker.publish(event(f"e{number}"))
        assert len(two.tried) == 30

    async def test_who_stops_waiting_leaves_the_place_to_the_next(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        config = HandlerConfig(handler, prefetch=1)
        async with broker_of(owner, clock, config, max_queued=1) as broker:
            tasks = [
                asyncio.create_task(broker.publish(event(f"e{number}"))) for number in range(4)
            ]
            await clock.settle()
            tasks[2].cancel()
            gate.open()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert handler.tried == ["e0", "e1", "e3"]
        assert broker.stats.queued == 0


class TestEnding:
    async def test_leaving_the_block_finishes_everything(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = StubHandler()
        async with broker_of(owner, clock, HandlerConfig(handler, prefetch=1)) as broker:
            for number in range(50):
                await broker.publish(event(f"e{number}"))
        assert len(handler.tried) == 50
        assert workers() == []

    async def test_outside_of_the_block_nothing_is_taken(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        broker = broker_of(owner, clock, StubHandler())
        with pytest.raises(BrokerClosedError):
            await broker.publish(event("e1"))
        async with broker:
            pass
        with pytest.raises(BrokerClosedError):
            broker.publish_nowait(event("e1"))
        with pytest.raises(BrokerClosedError):
            broker.subscribe(StubHandler(source=TWO))

    async def test_aclose_finishes_what_runs_and_buries_the_rest(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act, stateful=True)
        async with broker_of(owner, clock, handler) as broker:
            for number in range(3):
                await broker.publish(event(f"e{number}"))
            await clock.settle()
            closing = asyncio.create_task(broker.aclose(grace=10 * SECOND))
            await clock.settle()
            gate.open()
            await closing
        closed = DeadLetterReason.CLOSED
        assert owner.reasons == [("e1", closed), ("e2", closed), ("e0>0", closed)]
        assert broker.stats.unfinished == 0

    async def test_aclose_cancels_what_runs_after_the_grace(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = StubHandler(Gate().act)
        async with broker_of(owner, clock, handler) as broker:
            asking = asyncio.create_task(broker.resolve(event("e1")))
            await clock.settle()
            await clock.run_until_complete(broker.aclose(grace=SECOND))
            with pytest.raises(ResolveError):
                await asking
        assert handler.running == 0
        assert owner.reasons == [("e1", DeadLetterReason.CLOSED)]
        assert workers() == []

    async def test_aclose_buries_what_sleeps(self, owner: Owner, clock: FakeClock) -> None:
        config = HandlerConfig(failing(9, ConnectionError("no")), retry=RetryPolicy(backoff=STEADY))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await clock.settle()
            await broker.aclose()
        assert owner.reasons == [("e1", DeadLetterReason.CLOSED)]
        assert clock.pending == 0

    async def test_an_exception_closes(self, owner: Owner, clock: FakeClock) -> None:
        async def use() -> None:
            async with broker_of(owner, clock, StubHandler(Gate().act)) as broker:
                await broker.publish(event("e1"))
                await asyncio.sleep(0)
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            await clock.run_until_complete(use())
        assert owner.reasons == [("e1", DeadLetterReason.CLOSED)]

    async def test_a_cancelled_drain_leaves_nothing_behind(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def use() -> None:
            async with broker_of(owner, clock, StubHandler(Gate().act)) as broker:
                await broker.publish(event("e1"))

        using = asyncio.create_task(use())
        await clock.settle()
        using.cancel()
        await asyncio.gather(using, return_exceptions=True)
        assert using.cancelled()
        assert owner.reasons == [("e1", DeadLetterReason.CLOSED)]
        assert workers() == []

    async def test_closing_turns_away_who_waits_for_a_place(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        config = HandlerConfig(StubHandler(Gate().act), prefetch=1)
        async with broker_of(owner, clock, config, max_queued=1) as broker:
            tasks = [
                asyncio.create_task(broker.publish(event(f"e{number}"))) for number in range(3)
            ]
            await clock.settle()
            await broker.aclose(grace=timedelta(0))
            with pytest.raises(BrokerClosedError):
                await tasks[2]

    async def test_unsubscribing_finishes_what_is_queued(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act, source=TWO)
        async with broker_of(owner, clock, StubHandler()) as broker:
            subscription = broker.subscribe(HandlerConfig(handler, prefetch=1))
            await broker.publish(event("e1", to=TWO))
            await broker.publish(event("e2", to=TWO))
            ending = asyncio.create_task(subscription.unsubscribe())
            await clock.settle()
            await broker.publish(event("e3", to=TWO))
            gate.open()
            await ending
            await broker.wait_idle()
            assert broker.stats.unfinished == 0
            await subscription.unsubscribe()
            assert subscription.topic == TWO
        assert handler.tried == ["e1", "e2"]
        assert owner.reasons == [("e3", DeadLetterReason.UNROUTABLE)]

    async def test_wait_idle_ends_by_its_timeout(self, owner: Owner, clock: FakeClock) -> None:
        gate = Gate()
        async with broker_of(owner, clock, StubHandler(gate.act)) as broker:
            await broker.publish(event("e1"))
            with pytest.raises(TimeoutError):
                await clock.run_until_complete(broker.wait_idle(timeout=SECOND))
            gate.open()


class TestGrowth:
    async def test_a_fan_out_of_a_thousand(self, owner: Owner, clock: FakeClock) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, index, to=TWO) for index in range(1_000)]

        two = StubHandler(source=TWO)
        async with broker_of(owner, clock, StubHandler(act), two) as broker:
            await broker.publish(event("e1"))
        assert len(two.tried) == 1_000

    async def test_a_chain_of_a_thousand_hops(self, owner: Owner, clock: FakeClock) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            number = int(cause.id)
            if number == 1_000:
                return [event("answer", to=APP)]
            return [event(str(number + 1))]

        async with broker_of(owner, clock, StubHandler(act)) as broker:
            answer = await broker.resolve(event("1"))
        assert answer is not None

    async def test_a_thousand_subjects_leave_no_lane(self, owner: Owner, clock: FakeClock) -> None:
        handler = StubHandler(stateful=True)
        async with broker_of(owner, clock, handler) as broker:
            for number in range(1_000):
                await broker.publish(event(f"e{number}", subject=f"s{number}"))
            await broker.wait_idle()
            assert broker._router.topics[ONE]._lanes == {}


REQUEST = ContextVar("REQUEST", default="none")


class TestContext:
    async def test_context_variables_follow_the_event(self, owner: Owner, clock: FakeClock) -> None:
        seen: dict[str, str] = {}

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            seen[cause.id] = REQUEST.get()
            REQUEST.set(f"{REQUEST.get()}, one")
            await asyncio.sleep(0)
            return [emitted(cause, to=TWO)]

        async def then(cause: ArvoEvent) -> list[ArvoEvent]:
            seen[cause.id] = REQUEST.get()
            return []

        handlers: list[HandlerConfig | IArvoEventHandler] = [
            HandlerConfig(StubHandler(act), prefetch=1),
            StubHandler(then, source=TWO),
        ]
        async with broker_of(owner, clock, *handlers) as broker:
            for name in ("a", "b"):
                REQUEST.set(name)
                await broker.publish(event(name))
        assert seen == {"a": "a", "b": "b", "a>0": "a, one", "b>0": "b, one"}

    async def test_tasks_of_a_handler_inherit_the_context(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        seen: list[str] = []

        async def note() -> None:
            seen.append(REQUEST.get())

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            await asyncio.create_task(note())
            return []

        async with broker_of(owner, clock, StubHandler(act)) as broker:
            REQUEST.set("mine")
            await broker.publish(event("e1"))
        assert seen == ["mine"]

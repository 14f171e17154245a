"""What happens when handling an event fails."""

import logging
from itertools import pairwise
from random import Random

import pytest

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoEvent
from arvo_event_handler import (
    ContractViolation,
    ExecutionViolation,
    ResolveError,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_event_handler.delivery import (
    DeadLetterBox,
    DeadLetterReason,
    ErrorResponse,
    FailedTry,
    HandlerConfig,
)
from arvo_time import Backoff, RetryPolicy
from arvo_time.testing import FakeClock

from .broker_owner import SECOND, STEADY, Owner, broker_of
from .stub_handler import ONE, StubHandler, emitted, event, failing

HELD = TransactionViolation(
    "another worker holds it", cause=TransactionViolationCause.LOCK_UNACQUIRED, subject="s"
)


class TestRetries:
    @pytest.mark.parametrize("retries", [0, 1, 3])
    async def test_the_set_number_of_retries_follows_the_first_try(
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
        # 1 + 2 + 4 seconds: there is a wait before each retry, and none after the last.
        assert clock.monotonic() - started == 2**retries - 1

    async def test_delays_are_drawn_between_zero_and_a_growing_bound(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        tried: list[float] = []

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            tried.append(clock.monotonic())
            raise ConnectionError("no")

        backoff = Backoff(initial=SECOND, maximum=3 * SECOND)
        config = HandlerConfig(StubHandler(act), retry=RetryPolicy(retries=4, backoff=backoff))
        async with ConcurrentEventBroker([config], clock=clock, random=Random(7)) as broker:
            await broker.publish(event("e1"))
            await clock.run_until_complete(broker.wait_idle())
        drawn = Random(7)
        delays = [bound * drawn.random() for bound in (1, 2, 3, 3)]
        assert [after - before for before, after in pairwise(tried)] == pytest.approx(
            delays, abs=1e-6
        )

    async def test_the_last_retry_may_succeed(self, owner: Owner, clock: FakeClock) -> None:
        config = HandlerConfig(
            failing(3, ConnectionError("no")), retry=RetryPolicy(retries=3, backoff=STEADY)
        )
        async with broker_of(owner, clock, config) as broker:
            answer = await clock.run_until_complete(broker.resolve(event("e1")))
        assert answer is not None
        assert answer.id == "e1>0"

    async def test_a_violation_that_is_not_retryable_is_not_retried(
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

    @pytest.mark.parametrize("retries", [-1, -100])
    async def test_negative_retries_are_refused(self, retries: int) -> None:
        with pytest.raises(ValueError, match="retries must not be negative"):
            RetryPolicy(retries=retries)


class TestOnError:
    async def test_retry_is_followed_until_the_retries_are_used_up(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        reported: list[tuple[int, int]] = []

        async def on_error(failed: FailedTry) -> ErrorResponse:
            reported.append((failed.attempts, failed.retries))
            return ErrorResponse.RETRY

        handler = failing(99, ExecutionViolation("no", retryable=False))
        config = HandlerConfig(
            handler, on_error=on_error, retry=RetryPolicy(retries=2, backoff=STEADY)
        )
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await clock.run_until_complete(broker.wait_idle())
        assert reported == [(1, 2), (2, 2), (3, 2)]
        assert owner.reasons == [("e1", DeadLetterReason.EXHAUSTED)]

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_suppress_drops_the_event_with_a_warning(
        self, owner: Owner, clock: FakeClock, caplog: pytest.LogCaptureFixture, is_async: bool
    ) -> None:
        async def later(failed: FailedTry) -> ErrorResponse:
            return ErrorResponse.SUPPRESS

        def immediately(failed: FailedTry) -> ErrorResponse:
            return ErrorResponse.SUPPRESS

        handler = failing(99, ConnectionError("no"))
        config = HandlerConfig(handler, on_error=later if is_async else immediately)
        async with broker_of(owner, clock, config) as broker:
            assert await broker.resolve(event("e1")) is None
        assert handler.tried == ["e1"]
        assert (owner.letters, owner.errors) == ([], [])
        assert [record.levelno for record in caplog.records] == [logging.WARNING]

    async def test_throw_gives_up_immediately(self, owner: Owner, clock: FakeClock) -> None:
        handler = failing(99, ConnectionError("no"))
        config = HandlerConfig(handler, on_error=lambda failed: ErrorResponse.THROW)
        async with broker_of(owner, clock, config) as broker:
            with pytest.raises(ResolveError, match="no"):
                await broker.resolve(event("e1"))
        assert handler.tried == ["e1"]
        assert owner.reasons == [("e1", DeadLetterReason.THROWN)]
        assert owner.errors == [("e1", "no")]

    async def test_an_on_error_that_fails_is_reported_and_changes_nothing(
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
        "error",
        [
            TransactionViolation("lost", cause=TransactionViolationCause.LEASE_LOST, subject="s"),
            TransactionViolation.version_moved("s"),
            TransactionViolation(
                "held", cause=TransactionViolationCause.LOCK_UNACQUIRED, subject="s"
            ),
        ],
        ids=lambda error: error.cause,
    )
    async def test_contention_costs_no_try_and_does_not_call_on_error(
        self, owner: Owner, clock: FakeClock, error: Exception
    ) -> None:
        reported: list[FailedTry] = []

        def on_error(failed: FailedTry) -> ErrorResponse:
            reported.append(failed)
            return ErrorResponse.THROW

        config = HandlerConfig(failing(20, error), on_error=on_error, retry=RetryPolicy(retries=0))
        async with broker_of(owner, clock, config) as broker:
            answer = await clock.run_until_complete(broker.resolve(event("e1")))
        assert answer is not None
        assert (reported, owner.letters) == ([], [])

    async def test_contention_holds_no_slot(self, owner: Owner, clock: FakeClock) -> None:
        handler = failing(1, TransactionViolation.version_moved("s"))
        async with broker_of(owner, clock, HandlerConfig(handler, prefetch=1)) as broker:
            await broker.publish(event("e1"))
            await broker.publish(event("e2"))
            await clock.settle()
            assert handler.tried == ["e1", "e2"]
            assert broker.stats.topics[ONE].sleeping == 1
            assert broker.stats.queued == 1
            await clock.run_until_complete(broker.wait_idle())

    async def test_contention_is_a_dead_letter_after_its_timeout(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = failing(10**9, HELD)
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

    async def test_another_failure_restarts_the_contention_timeout(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        started = clock.monotonic()

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            spent = clock.monotonic() - started
            if spent >= 24:
                return [emitted(cause)]
            if 8 <= spent < 9:
                raise ConnectionError("no")
            raise HELD

        retry = RetryPolicy(backoff=Backoff(initial=8 * SECOND, maximum=8 * SECOND, jitter=False))
        broker = ConcurrentEventBroker(
            [HandlerConfig(StubHandler(act), retry=retry)],
            contention_timeout=10 * SECOND,
            on_dead_letter=owner.on_dead_letter,
            on_unclaimed=owner.on_unclaimed,
            clock=clock,
        )
        async with broker:
            await broker.publish(event("e1"))
            await clock.run_until_complete(broker.wait_idle())
        assert (owner.unclaimed, owner.letters) == (["e1>0"], [])


async def test_a_dead_letter_box_stores_letters_and_publishes_them_again(clock: FakeClock) -> None:
    box, tried = DeadLetterBox(clock=clock), list[str]()

    async def fail_once(cause: ArvoEvent) -> list[ArvoEvent]:
        tried.append(cause.id)
        if len(tried) == 1:
            raise ContractViolation("not yet")
        return []

    async with ConcurrentEventBroker(
        [StubHandler(fail_once)], on_dead_letter=box, clock=clock
    ) as broker:
        box.publish_with(broker.publish)
        await broker.publish(event("e1"))
        await broker.wait_idle()
        [stored] = await box.dead_letters(topic=ONE, reason="not retryable")
        assert await box.redrive([stored.key]) == 1
        await broker.wait_idle()
    assert tried == ["e1", "e1"]
    assert len(box) == 0

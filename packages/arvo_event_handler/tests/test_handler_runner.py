"""A runner decides what follows a try, and does nothing about it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from opentelemetry.context import Context
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import (
    ConfigViolation,
    ContractViolation,
    IArvoEventHandler,
    RetryableFailure,
    RetryLater,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_event_handler.delivery import (
    Bulk,
    DeadLetterReason,
    ErrorResponse,
    GiveUp,
    Handled,
    HandlerConfig,
    HandlerDefaults,
    HandlerRunner,
    Middleware,
    Trial,
    TryAgain,
    Verdict,
)
from arvo_time import Backoff, RetryPolicy
from arvo_time.testing import FakeClock

SECOND = timedelta(seconds=1)
ONCE = RetryPolicy(retries=1, backoff=Backoff(initial=SECOND, maximum=SECOND, jitter=False))
LOGGER = logging.getLogger("test_handler_runner")


def event(id: str, *, to: str = "com.svc.one") -> ArvoEvent:
    return ArvoEvent.create(
        id=id, source="com.app", type="com.svc.one", subject="order-7", to=to, data={},

    )  # fmt: skip


class Acting(IArvoEventHandler):
    def __init__(self, act: Callable[[], Awaitable[list[ArvoEvent]]]) -> None:
        self._act = act

    @property
    @override
    def source(self) -> str:
        return "com.svc.one"

    @property
    @override
    def stateful(self) -> bool:
        return False

    @override
    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        return await self._act()


def raising(error: BaseException) -> Callable[[], Awaitable[list[ArvoEvent]]]:
    async def act() -> list[ArvoEvent]:
        raise error

    return act


def giving(*outputs: ArvoEvent) -> Callable[[], Awaitable[list[ArvoEvent]]]:
    async def act() -> list[ArvoEvent]:
        return [*outputs]

    return act


def runner_of(
    act: Callable[[], Awaitable[list[ArvoEvent]]], *, clock: FakeClock, **settings: Any
) -> HandlerRunner:
    handler = Acting(act)
    return HandlerRunner(
        handler,
        settings=HandlerConfig(handler, **settings).settled(HandlerDefaults(retry=ONCE)),
        contention_timeout=10 * SECOND,
        clock=clock,
        random=Random(1),
        logger=LOGGER,
    )


async def verdicts(runner: HandlerRunner, trial: Trial, clock: FakeClock) -> Sequence[Verdict]:
    """Try until the verdict is not another try."""
    found = [await runner.run(trial)]
    while isinstance(found[-1], TryAgain):
        clock.advance(found[-1].after)
        found.append(await runner.run(trial))
    return found


def contended(cause: TransactionViolationCause) -> TransactionViolation:
    return TransactionViolation("another event was faster", cause=cause, subject="order-7")


class TestDecision:
    async def test_what_the_handler_returns_is_to_be_published(self) -> None:
        output = event("out")
        runner = runner_of(giving(output), clock=FakeClock())
        assert await runner.run(Trial(event("e1"), context=None)) == Handled(outputs=[output])

    async def test_a_failed_try_is_followed_by_another_and_then_by_a_letter(self) -> None:
        clock, error, trial = FakeClock(), ConnectionError("no"), Trial(event("e1"), context=None)
        first, second = await verdicts(runner_of(raising(error), clock=clock), trial, clock)
        assert first == TryAgain(after=SECOND, counts=True, error=error)
        assert isinstance(second, GiveUp)
        assert (second.letter.event, second.letter.error) == (trial.event, error)
        assert (second.letter.reason, second.letter.attempts) == (DeadLetterReason.EXHAUSTED, 2)
        assert second.replies == ()

    async def test_contention_costs_nothing_and_ends(self) -> None:
        clock, trial = FakeClock(), Trial(event("e1"), context=None)
        error = contended(TransactionViolationCause.LOCK_UNACQUIRED)
        runner = runner_of(raising(error), clock=clock)
        *again, last = await verdicts(runner, trial, clock)
        assert len(again) > 10
        assert all(isinstance(each, TryAgain) and not each.counts for each in again)
        assert isinstance(last, GiveUp)
        assert (last.letter.reason, last.letter.attempts) == (DeadLetterReason.CONTENTION, 0)

    async def test_a_violation_that_is_not_retryable_ends_immediately(self) -> None:
        runner = runner_of(raising(ContractViolation("no")), clock=FakeClock())
        verdict = await runner.run(Trial(event("e1"), context=None))
        assert isinstance(verdict, GiveUp)
        assert verdict.letter.reason is DeadLetterReason.NOT_RETRYABLE

    async def test_an_asked_for_pause_is_kept(self) -> None:
        error = RetryLater(after=timedelta(minutes=5))
        runner = runner_of(raising(error), clock=FakeClock())
        verdict = await runner.run(Trial(event("e1"), context=None))
        assert verdict == TryAgain(after=timedelta(minutes=5), counts=True, error=error)

    async def test_the_replies_of_a_failure_are_published_when_no_try_is_left(self) -> None:
        clock, reply = FakeClock(), event("reply")
        runner = runner_of(raising(RetryableFailure("no", replies=[reply])), clock=clock)
        *_, last = await verdicts(runner, Trial(event("e1"), context=None), clock)
        assert last == Handled(outputs=[reply])

    @pytest.mark.parametrize("odd", [GeneratorExit(), BaseException("odd")])
    async def test_a_base_exception_is_a_failed_try(self, odd: BaseException) -> None:
        verdict = await runner_of(raising(odd), clock=FakeClock()).run(
            Trial(event("e1"), context=None)
        )
        assert isinstance(verdict, TryAgain)
        assert isinstance(verdict.error, RuntimeError)

    async def test_an_event_given_up_meanwhile_is_not_judged(self) -> None:
        trial, asked = Trial(event("e1"), context=None), list[object]()

        async def act() -> list[ArvoEvent]:
            trial.given_up = True
            raise ConnectionError("no")

        def on_error(failed: object) -> ErrorResponse:
            asked.append(failed)
            return ErrorResponse.RETRY

        verdict = await runner_of(act, clock=FakeClock(), on_error=on_error).run(trial)
        assert (verdict, asked) == (Handled(outputs=()), [])


class TestRefused:
    """What the broker could not store is judged like a failed try."""

    async def test_counts_as_a_try(self) -> None:
        clock, trial = FakeClock(), Trial(event("e1"), context=None)
        runner, error = runner_of(giving(event("out")), clock=clock), ConnectionError("disk full")
        assert isinstance(await runner.run(trial), Handled)
        assert await runner.refused(trial, error=error) == TryAgain(
            after=SECOND, counts=True, error=error
        )
        verdict = await runner.refused(trial, error=error)
        assert isinstance(verdict, GiveUp)
        assert verdict.letter.reason is DeadLetterReason.EXHAUSTED

    async def test_a_version_that_moved_is_contention(self) -> None:
        trial = Trial(event("e1"), context=None)
        error = contended(TransactionViolationCause.VERSION_MOVED)
        verdict = await runner_of(giving(), clock=FakeClock()).refused(trial, error=error)
        assert isinstance(verdict, TryAgain)
        assert (verdict.counts, trial.failed) == (False, 0)


class TestOnError:
    async def test_its_own_failure_is_reported_beside_the_verdict(self) -> None:
        second = KeyError("on_error")

        def on_error(failed: object) -> ErrorResponse:
            raise second

        runner = runner_of(raising(ConnectionError("no")), clock=FakeClock(), on_error=on_error)
        verdict = await runner.run(Trial(event("e1"), context=None))
        assert isinstance(verdict, TryAgain)
        assert list(verdict.errors) == [second]

    async def test_its_own_failure_outlives_the_cancellation_of_the_try(self) -> None:
        second = KeyError("on_error")
        failed = RetryableFailure("no", replies=[event("reply")])

        def on_error(_: object) -> ErrorResponse:
            raise second

        async def leave(outputs: list[ArvoEvent], cause: ArvoEvent) -> list[ArvoEvent]:
            await asyncio.get_running_loop().create_future()
            return outputs

        runner = runner_of(
            raising(failed),
            clock=FakeClock(),
            on_error=on_error,
            retry=RetryPolicy(retries=0),
            middleware=Middleware(output=Bulk(leave)),
        )
        trial = Trial(event("e1"), context=None)
        trying = asyncio.create_task(runner.run(trial))
        await asyncio.sleep(0)
        trying.cancel()
        await asyncio.wait([trying])
        assert trying.cancelled()
        verdict = runner.give_up(trial, error=failed, reason=DeadLetterReason.CANCELLED)
        assert list(verdict.errors) == [second]
        later = runner.give_up(trial, error=failed, reason=DeadLetterReason.CANCELLED)
        assert list(later.errors) == [], "reported once"

    async def test_what_it_suppresses_is_done(self) -> None:
        runner = runner_of(
            raising(ConnectionError("no")),
            clock=FakeClock(),
            on_error=lambda _: ErrorResponse.SUPPRESS,
        )
        assert await runner.run(Trial(event("e1"), context=None)) == Handled(outputs=[])


class TestOutputMiddleware:
    async def test_outputs_it_fails_for_are_letters_of_their_own(self) -> None:
        error = ConnectionError("no")

        def leave(outputs: list[ArvoEvent], cause: ArvoEvent) -> None:
            raise error

        outputs = [event("out-1"), event("out-2")]
        middleware = Middleware(output=Bulk(leave))
        runner = runner_of(giving(*outputs), clock=FakeClock(), middleware=middleware)
        verdict = await runner.run(Trial(event("e1"), context=None))
        assert isinstance(verdict, Handled)
        letters = [trouble.letter for trouble in verdict.troubles]
        assert [letter.event for letter in letters] == outputs
        assert {letter.reason for letter in letters} == {DeadLetterReason.OUTPUT_MIDDLEWARE}
        assert (list(verdict.outputs), list(verdict.errors)) == ([], [])

    async def test_does_not_see_an_event_that_is_given_up(self) -> None:
        """It runs once a handler has committed, and here none has."""
        seen: list[object] = []

        def leave(outputs: list[ArvoEvent], cause: ArvoEvent) -> None:
            seen.append(cause)

        middleware = Middleware(output=Bulk(leave))
        clock = FakeClock()
        runner = runner_of(raising(ConnectionError("no")), clock=clock, middleware=middleware)
        await verdicts(runner, Trial(event("e1"), context=None), clock)
        assert seen == []

    async def test_does_not_see_an_event_that_was_given_up_while_on_error_ran(self) -> None:
        seen: list[object] = []
        trial = Trial(event("e1"), context=None)

        def leave(outputs: list[ArvoEvent], cause: ArvoEvent) -> None:
            seen.append(cause)

        async def on_error(failed: object) -> ErrorResponse:
            trial.given_up = True
            return ErrorResponse.SUPPRESS

        runner = runner_of(
            raising(ConnectionError("no")),
            clock=FakeClock(),
            on_error=on_error,
            middleware=Middleware(output=Bulk(leave)),
        )
        await runner.run(trial)
        assert seen == []


def test_a_reply_needs_a_contract() -> None:
    with pytest.raises(
        ConfigViolation, match=r"'com\.svc\.one': dead_letter_reply needs a handler"
    ):
        runner_of(giving(), clock=FakeClock(), dead_letter_reply=True)

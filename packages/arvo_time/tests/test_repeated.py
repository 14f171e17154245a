"""A call that fails is tried again, and what is known about its effect is never lost."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import pytest

from arvo_time import BackendError, Backoff, Judgement, Outcome, repeated
from arvo_time._repeated import outcome_after
from arvo_time.testing import FakeClock

BACKOFF: Final = Backoff(
    initial=timedelta(seconds=1), maximum=timedelta(seconds=60), factor=3, jitter=False
)


class RefusedError(Exception):
    """Nothing has happened, and another try may succeed."""


class LostError(Exception):
    """The answer was lost, and another try may succeed."""


class WrongError(Exception):
    """Nothing has happened, and no other try will succeed."""


class SlowError(Exception):
    """The answer did not come in time; another try would only wait as long again."""


def judged(error: Exception) -> Judgement:
    outcome: Outcome = "unknown" if isinstance(error, (LostError, SlowError)) else "failed"

    def translated(outcome: Outcome) -> BackendError:
        return BackendError(str(error), retryable=True, outcome=outcome)

    return Judgement(
        outcome=outcome,
        again=isinstance(error, (RefusedError, LostError)),
        translated=translated,
    )


class Tries:
    """Fails with one error after the other, then answers."""

    def __init__(self, errors: Sequence[BaseException]) -> None:
        self._errors = list(errors)
        self.made = 0
        self.clock = FakeClock()
        self.times: list[float] = []

    async def __call__(self) -> str:
        self.made += 1
        self.times.append(self.clock.monotonic())
        if self._errors:
            raise self._errors.pop(0)
        return "an answer"

    async def repeated(self, *, failed: Exception | None = None) -> tuple[str, Exception | None]:
        return await self.clock.run_until_complete(
            repeated(self, judge=judged, backoff=BACKOFF, clock=self.clock, failed=failed)
        )


async def test_a_call_that_succeeds_is_made_once() -> None:
    tries = Tries([])
    assert await tries.repeated() == ("an answer", None)
    assert tries.made == 1


async def test_two_failed_tries_are_followed_by_a_third() -> None:
    tries = Tries([RefusedError(), RefusedError()])
    assert await tries.repeated() == ("an answer", None)
    assert tries.times == [0, 1, 4]


async def test_the_third_failed_try_ends_the_call() -> None:
    last = RefusedError("the third")
    tries = Tries([RefusedError("the first"), RefusedError("the second"), last])
    with pytest.raises(BackendError, match="the third") as caught:
        await tries.repeated()
    assert tries.times == [0, 1, 4]
    assert (caught.value.outcome, caught.value.__cause__) == ("failed", last)


async def test_an_error_that_no_other_try_can_mend_ends_the_call() -> None:
    tries = Tries([RefusedError(), WrongError("wrong")])
    with pytest.raises(BackendError, match="wrong") as caught:
        await tries.repeated()
    assert (tries.made, caught.value.outcome) == (2, "failed")


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [
        ([SlowError()], "unknown"),
        ([LostError(), LostError(), LostError()], "unknown"),
        ([LostError(), RefusedError(), RefusedError()], "unknown"),
        ([RefusedError(), LostError(), WrongError()], "unknown"),
        ([LostError(), BackendError("closed", retryable=False, outcome="failed")], "unknown"),
        ([RefusedError(), BackendError("closed", retryable=False, outcome="failed")], "failed"),
        ([BackendError("in doubt", retryable=True, outcome="unknown")], "unknown"),
        ([RefusedError(), RefusedError(), WrongError()], "failed"),
    ],
    ids=lambda value: "-".join(type(each).__name__ for each in value) if value[0] != "u" else value,
)
async def test_an_outcome_that_was_unknown_once_stays_unknown(
    errors: list[Exception], outcome: Outcome
) -> None:
    tries = Tries(errors)
    with pytest.raises(BackendError) as caught:
        await tries.repeated()
    assert caught.value.outcome == outcome
    assert tries.made == len(errors)


async def test_an_answer_comes_with_the_error_of_an_earlier_try_that_may_have_taken_effect() -> (
    None
):
    lost = LostError()
    assert await Tries([lost, RefusedError()]).repeated() == ("an answer", lost)
    assert await Tries([RefusedError(), lost]).repeated() == ("an answer", lost)


async def test_a_backend_error_of_the_call_itself_is_final() -> None:
    """It is translated already."""
    closed = BackendError("closed", retryable=True, outcome="failed")
    tries = Tries([closed])
    with pytest.raises(BackendError) as caught:
        await tries.repeated()
    assert caught.value is closed
    assert tries.made == 1


async def test_a_first_try_may_have_been_made_by_the_caller() -> None:
    lost = LostError()
    tries = Tries([RefusedError()])
    assert await tries.repeated(failed=lost) == ("an answer", lost)
    assert tries.times == [1, 4], "it counts, and the pause follows it"


async def test_a_first_try_of_the_caller_may_be_the_last() -> None:
    tries = Tries([])
    with pytest.raises(BackendError, match="wrong"):
        await tries.repeated(failed=WrongError("wrong"))
    assert tries.made == 0


async def test_an_error_that_is_not_of_the_driver_propagates_unchanged() -> None:
    error = KeyError("ours")
    tries = Tries([LostError(), error])
    with pytest.raises(KeyError) as caught:
        await tries.clock.run_until_complete(
            repeated(tries, judge=judged, backoff=BACKOFF, clock=tries.clock, errors=(LostError,))
        )
    assert caught.value is error


async def test_a_cancelled_call_is_not_tried_again() -> None:
    tries = Tries([asyncio.CancelledError()])
    with pytest.raises(asyncio.CancelledError):
        await repeated(tries, judge=judged, backoff=BACKOFF, clock=tries.clock)
    assert tries.made == 1


async def test_no_error_is_the_context_of_the_next_one() -> None:
    """So each is judged only by what led to it."""
    handled: list[BaseException | None] = []

    def judge(error: Exception) -> Judgement:
        assert error.__context__ is None
        return judged(error)

    async def call() -> None:
        handled.append(sys.exception())
        raise RefusedError

    clock = FakeClock()
    tried = repeated(call, judge=judge, backoff=BACKOFF, clock=clock, failed=LostError())
    with pytest.raises(BackendError):
        await clock.run_until_complete(tried)
    assert handled == [None, None]


@pytest.mark.parametrize(
    ("earlier", "last", "outcome"),
    [
        ("failed", "failed", "failed"),
        ("failed", "unknown", "unknown"),
        ("unknown", "failed", "unknown"),
        ("unknown", "unknown", "unknown"),
    ],
)
def test_an_unknown_outcome_outlasts_later_tries(
    earlier: Outcome, last: Outcome, outcome: Outcome
) -> None:
    assert outcome_after(last, earlier=earlier) == outcome

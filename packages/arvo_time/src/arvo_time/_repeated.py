"""Repeats calls to a database or server, and reports what is known about their effect.

A call is *in doubt* once one of its tries may have taken effect: its answer was lost, or the server
failed in the middle. Later tries cannot undo that, even if the last one was refused.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from ._backoff import Backoff
from ._clock import Clock
from ._errors import BackendError, Outcome

T = TypeVar("T")

_TRIES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What an error of a driver means for the one try that raised it."""

    outcome: Outcome
    """The effect of this try alone."""
    again: bool
    """Whether another try may succeed within moments."""
    translated: Callable[[Outcome], BackendError]
    """Returns the error to raise from the driver's; takes the outcome of all tries together."""


async def repeated(
    call: Callable[[], Awaitable[T]],
    *,
    judge: Callable[[Exception], Judgement],
    backoff: Backoff,
    clock: Clock,
    errors: tuple[type[Exception], ...] = (Exception,),
    failed: Exception | None = None,
) -> tuple[T, Exception | None]:
    """Make a call up to three times, as long as another try may succeed.

    The caller must know that the call may run twice: the second time it must find what the first
    one did, or change nothing.

    Args:
        call: Makes one try. A `BackendError` that it raises is final.
        judge: Returns what an error of the driver means. It is called once per failed try.
        backoff: The pauses between the tries.
        clock: Waits for the pauses.
        errors: The driver's errors. Any other exception propagates unchanged.
        failed: The error of a first try that the caller has made itself, where that is cheaper;
            None makes all tries here. Pass it from outside the `except` block: inside, Python makes
            it a part of the context of the errors that follow.

    Returns:
        What the last try returned, and the driver's error of an earlier try that may have taken
        effect too, or None if there was no such try.

    Raises:
        BackendError: The last try failed; raised from the driver's error. Its outcome is "unknown"
            when any of the tries may have taken effect.
    """
    error = failed
    tried = 0 if error is None else 1
    doubt: Exception | None = None
    while True:
        if error is not None:
            judgement = judge(error)
            if judgement.outcome == "unknown":
                doubt = error
            if tried == _TRIES or not judgement.again:
                raise judgement.translated(_outcome(doubt)) from error
            await clock.sleep(backoff.delay(tried - 1))
        tried += 1
        # What is raised here is judged after the `except` block, for the reason given for `failed`.
        try:
            return await call(), doubt
        except BackendError as final:
            final.outcome = outcome_after(final.outcome, earlier=_outcome(doubt))
            raise
        except errors as caught:
            error = caught


def outcome_after(last: Outcome, *, earlier: Outcome) -> Outcome:
    """Return the outcome of a call that was tried again: once unknown, it stays unknown.

    Args:
        last: The outcome of the last try.
        earlier: The outcome of the tries before it.

    Example:
        >>> outcome_after("failed", earlier="unknown")
        'unknown'
    """
    return "unknown" if "unknown" in (last, earlier) else "failed"


def _outcome(doubt: Exception | None) -> Outcome:
    return "failed" if doubt is None else "unknown"

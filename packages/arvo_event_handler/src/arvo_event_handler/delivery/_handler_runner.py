"""One try to handle an event: middleware, handler, and what is to follow."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from inspect import isawaitable
from random import Random
from typing import Final, TypeAlias

from arvo_core import ArvoContract, ArvoEvent, ViolationError
from arvo_event_handler._emission._delayed_output import is_delayed, set_apart
from arvo_event_handler._errors import (
    ConfigViolation,
    RetryableFailure,
    RetryLater,
    TransactionViolation,
    needs_newer_code,
)
from arvo_event_handler._handler import IArvoEventHandler, IWorkflowHandler
from arvo_time import Clock

from ._contention import Contention
from ._dead_letter import DeadLetter, DeadLetterReason, dead_letter_reply
from ._dead_letter_log import log_dead_letter
from ._failed_try import ErrorListener, ErrorResponse, FailedTry
from ._guarded_call import check_events, guarded_call
from ._handler_config import HandlerDefaults
from ._trial import Trial
from ._verdict import GiveUp, Handled, TryAgain, Verdict

_Execute: TypeAlias = Callable[[ArvoEvent], Awaitable[list[ArvoEvent]]]

# Shared by all events that lead to nothing, so a verdict is never changed.
_NOTHING: Final = Handled(outputs=())


class HandlerRunner:
    """Makes tries for one handler and decides what follows; the broker carries that out.

    Args:
        handler: The handler.
        settings: What applies to it.
        contention_timeout: How long an event is tried again while others handle its workflow.
        clock: For timeouts.
        random: For the jitter of pauses.
        logger: The broker's, for events that `on_error` drops.
        among_others: Whether other workers, perhaps with newer code, handle the same events: one
            that needs newer code is for them then, and has not failed.
        longest_delay: How far ahead the broker can publish what a stateless handler emits for later;
            None where it cannot, so that such a try has failed.

    Raises:
        ConfigViolation: `settings.dead_letter_reply` is set, and the handler has no contract.
    """

    def __init__(
        self,
        handler: IArvoEventHandler,
        *,
        settings: HandlerDefaults,
        contention_timeout: timedelta,
        clock: Clock,
        random: Random,
        logger: logging.Logger,
        among_others: bool = False,
        longest_delay: timedelta | None = None,
    ) -> None:
        self._handler = handler
        self._settings = settings
        self._contention_timeout = contention_timeout
        self._clock = clock
        self._random = random
        self._logger = logger
        self._among_others = among_others
        self._longest_delay = longest_delay
        self._stateful = handler.stateful
        self._named = f"handler {handler.source!r}"
        execute = handler.execute
        self._redelivers: _Execute = execute
        self._delivers: _Execute = execute
        if isinstance(handler, IWorkflowHandler):
            self._delivers = partial(handler.execute, redelivered=False)
        if settings.timeout is not None or settings.middleware.input is not None:
            self._redelivers = partial(self._execute_within, self._redelivers)
            self._delivers = partial(self._execute_within, self._delivers)
        self._outputs_pass = settings.middleware.output is None
        self._contract = _replying_contract(handler) if settings.dead_letter_reply else None

    async def run(self, trial: Trial) -> Verdict:
        """Make one try.

        Whatever middleware, handler and `on_error` raise becomes a verdict.

        Raises:
            CancelledError: The current task is being cancelled.
            Exception: The clock or the source of randomness failed, so the time of the next try is
                unknown.
            KeyboardInterrupt: As user code raised it: it ends the program.
            SystemExit: As user code raised it: it ends the program.
        """
        execute = self._delivers
        if trial.redelivered or trial.failed or trial.contention is not None:
            # A try that failed may have stored its step all the same.
            execute = self._redelivers
        try:
            outputs = await guarded_call(trial.context, execute, trial.event)
            if outputs != []:
                outputs = check_events(outputs, what=self._named)
        except Exception as error:
            return await self.refused(trial, error=error)
        if not self._outputs_pass and not trial.given_up:
            handled = await self._through_output_middleware(trial, outputs)
        elif outputs:
            handled = Handled(outputs=outputs)
        else:
            return _NOTHING
        if self._stateful or not any(map(is_delayed, handled.outputs)):
            return handled
        try:
            outputs, delayed = set_apart(
                handled.outputs,
                source=self._handler.source,
                longest=self._longest_delay,
                now=self._clock.now(),
            )
        except ViolationError as error:
            return await self.refused(trial, error=error)
        return replace(handled, outputs=outputs, delayed=delayed)

    async def refused(self, trial: Trial, *, error: Exception) -> Verdict:
        """Judge a try that failed, in the handler or when its outcome was to be stored.

        Args:
            trial: The event.
            error: What it failed with.

        Raises:
            CancelledError: As `run`, and so are the interrupts.
            Exception: As `run`.
        """
        if trial.given_up:
            return _NOTHING
        if isinstance(error, TransactionViolation) and error.cause.is_contention:
            return self._after_contention(trial, error)
        if self._among_others and needs_newer_code(error):
            return TryAgain(after=timedelta(0), counts=False, error=error, elsewhere=True)
        trial.contention = None
        trial.failed += 1
        response = await self._ask(trial, error)
        if response is ErrorResponse.SUPPRESS:
            self._log_dropped(trial, error)
            return await self._ended(trial, outputs=[])
        reason = _reason_to_end(response, error)
        if reason is None:
            asked = error.after if isinstance(error, RetryableFailure | RetryLater) else None
            pause = self._settings.retry.pause_after(trial.failed, asked=asked, random=self._random)
            if pause is not None:
                return TryAgain(after=pause, counts=True, error=error, errors=_take_errors(trial))
            if isinstance(error, RetryableFailure):
                # These tell the asker, once, so the event is not a dead letter.
                return await self._ended(trial, outputs=[*error.replies])
            reason = DeadLetterReason.EXHAUSTED
        return self.give_up(trial, error=error, reason=reason)

    def give_up(self, trial: Trial, *, error: Exception, reason: DeadLetterReason) -> GiveUp:
        """Decide that an event will not be handled.

        Args:
            trial: The event.
            error: The last error.
            reason: Why there is no further try.
        """
        return self._dead(
            trial.event, trial, error=error, reason=reason, errors=_take_errors(trial)
        )

    async def _execute_within(self, execute: _Execute, event: ArvoEvent) -> list[ArvoEvent]:
        if self._settings.timeout is None:
            return await execute(await self._settings.middleware.enter(event))
        async with self._clock.timeout(self._settings.timeout):
            return await execute(await self._settings.middleware.enter(event))

    async def _ended(self, trial: Trial, *, outputs: list[ArvoEvent]) -> Handled:
        """Let an event be done although its last try failed."""
        if self._outputs_pass or trial.given_up:
            return Handled(outputs=outputs, errors=_take_errors(trial))
        return await self._through_output_middleware(trial, outputs)

    async def _through_output_middleware(self, trial: Trial, outputs: list[ArvoEvent]) -> Handled:
        leave = partial(self._settings.middleware.leave, cause=trial.event)
        try:
            outputs = await guarded_call(trial.context, leave, outputs)
        except Exception as error:
            return await self._without_outputs(trial, outputs, error=error)
        return Handled(outputs=outputs, errors=_take_errors(trial))

    async def _without_outputs(
        self, trial: Trial, outputs: list[ArvoEvent], *, error: Exception
    ) -> Handled:
        """Give up the outputs: the handler has committed, so they must not vanish."""
        trial.failed += 1
        if await self._ask(trial, error) is ErrorResponse.THROW:
            trial.errors = (*trial.errors, error)
        reason = DeadLetterReason.OUTPUT_MIDDLEWARE
        troubles = [
            self._dead(output, trial, error=error, reason=reason, errors=()) for output in outputs
        ]
        return Handled(outputs=(), troubles=troubles, errors=_take_errors(trial))

    def _log_dropped(self, trial: Trial, error: Exception) -> None:
        # Like `on_error` itself: what logs add of the context must be of this event.
        trial.call(
            partial(
                log_dead_letter,
                trial.event,
                error=error,
                handler=self._handler.source,
                reason="dropped, as on_error said",
                attempts=trial.failed,
                logger=self._logger,
                level=logging.WARNING,
            )
        )

    def _after_contention(self, trial: Trial, error: TransactionViolation) -> Verdict:
        """Another event was faster. That is not a failure and costs no try, but it must end."""
        if trial.contention is None:
            trial.contention = Contention(
                timeout=self._contention_timeout, clock=self._clock, random=self._random
            )
        pause = trial.contention.pause_after(error)
        if pause is None:
            return self.give_up(trial, error=error, reason=DeadLetterReason.CONTENTION)
        return TryAgain(after=pause, counts=False, error=error)

    async def _ask(self, trial: Trial, error: Exception) -> ErrorResponse | None:
        """Ask `on_error`; the trial keeps an exception of `on_error` itself until there is a verdict."""
        if self._settings.on_error is None:
            return None
        failed = FailedTry(
            event=trial.event,
            error=error,
            handler=self._handler.source,
            attempts=trial.failed,
            retries=self._settings.retry.retries,
        )
        try:
            return await guarded_call(trial.context, _ask, self._settings.on_error, failed)
        except Exception as second:
            trial.errors = (*trial.errors, second)
            return None

    def _dead(
        self,
        event: ArvoEvent,
        trial: Trial,
        *,
        error: Exception,
        reason: DeadLetterReason,
        errors: Sequence[Exception],
    ) -> GiveUp:
        """Decide that an event will not be handled: that of a trial, or one that came of it."""
        letter = DeadLetter(
            event=event,
            error=error,
            attempts=trial.failed,
            handler=self._handler.source,
            reason=reason,
        )
        if self._contract is None:
            return GiveUp(letter=letter, errors=errors)
        try:
            replies = dead_letter_reply(letter, contract=self._contract)
        except Exception as failure:
            return GiveUp(letter=letter, reply_error=failure, errors=errors)
        if replies:
            letter = replace(letter, replied=True)
        return GiveUp(letter=letter, replies=replies, errors=errors)


def _take_errors(trial: Trial) -> Sequence[Exception]:
    """Take the side errors of a trial; none if it was given up, as its verdict is dropped."""
    if trial.given_up:
        return ()
    errors, trial.errors = trial.errors, ()
    return errors


def _replying_contract(handler: IArvoEventHandler) -> ArvoContract:
    if handler.contract is None:
        raise ConfigViolation(
            f"handler {handler.source!r}: dead_letter_reply needs a handler with a `contract`"
        )
    return handler.contract


def _reason_to_end(response: ErrorResponse | None, error: Exception) -> DeadLetterReason | None:
    """Return why there must be no further try, whatever the policy says; None when there may."""
    if response is ErrorResponse.THROW:
        return DeadLetterReason.THROWN
    if response is None and isinstance(error, ViolationError) and not error.retryable:
        return DeadLetterReason.NOT_RETRYABLE
    return None


async def _ask(on_error: ErrorListener, failed: FailedTry) -> ErrorResponse:
    response = on_error(failed)
    return ErrorResponse(await response if isawaitable(response) else response)

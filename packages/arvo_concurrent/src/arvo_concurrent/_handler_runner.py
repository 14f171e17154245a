"""One try to handle an event: middleware, handler, and what follows from a failure."""

import logging
from datetime import timedelta
from functools import partial
from inspect import isawaitable
from random import Random
from typing import Protocol

from arvo_core import ArvoEvent, ViolationError
from arvo_event_handler import (
    ConfigViolation,
    Contention,
    IArvoEventHandler,
    RetryableFailure,
    RetryLater,
    TransactionViolation,
    UndeliveredError,
    check_events,
    guarded_call,
    log_dead_letter,
)
from arvo_time import Clock
from arvo_time.logs import bounded_logger

from ._broker_telemetry import count_retry
from ._dead_letter import DeadLetter, DeadLetterReason
from ._dead_letter_reply import dead_letter_reply, find_contract
from ._delivery import Delivery
from ._failed_try import ErrorListener, ErrorResponse, FailedTry
from ._handler_config import HandlerDefaults

_logger = bounded_logger("arvo_concurrent")


class Outbox(Protocol):
    """Where a runner puts what comes of an event."""

    @property
    def closed(self) -> bool:
        """Whether nothing is carried any more, because the broker closes."""
        ...

    def emit(self, event: ArvoEvent, cause: Delivery) -> None:
        """Send an emitted event on its way."""
        ...

    def give_up(self, letter: DeadLetter, delivery: Delivery) -> None:
        """Report that an event will not be handled."""
        ...

    def broker_error(self, event: ArvoEvent, error: Exception, delivery: Delivery) -> None:
        """Report what failed beside the handling."""
        ...


class HandlerRunner:
    """Makes tries for one handler.

    Args:
        handler: The handler.
        settings: What applies to it.
        outbox: Where outputs, dead letters and errors go.
        contention_timeout: How long an event is tried again while others handle its workflow.
        clock: For timeouts.
        random: For delays.
    """

    def __init__(
        self,
        handler: IArvoEventHandler,
        settings: HandlerDefaults,
        *,
        outbox: Outbox,
        contention_timeout: timedelta,
        clock: Clock,
        random: Random,
    ) -> None:
        self._handler = handler
        self._settings = settings
        self._outbox = outbox
        self._contention_timeout = contention_timeout
        self._clock = clock
        self._random = random
        plain = settings.timeout is None and settings.middleware.input is None
        self._execute = handler.execute if plain else self._execute_within
        self._outputs_pass = settings.middleware.output is None
        self._contract = find_contract(handler) if settings.dead_letter_reply else None
        if settings.dead_letter_reply and self._contract is None:
            raise ConfigViolation(
                f"handler {handler.source!r}: dead_letter_reply needs a handler with a `contract`"
            )

    async def run(self, delivery: Delivery) -> timedelta | None:
        """Make one try; return when to make another one, or None."""
        event = delivery.event
        try:
            outputs = await guarded_call(delivery.context, self._execute, event)
            if outputs != []:
                outputs = check_events(outputs, what=f"handler {self._handler.source!r}")
        except Exception as error:
            decided = await self._after_failure(delivery, error)
            if isinstance(decided, timedelta):
                return decided
            outputs = decided
        if not self._outputs_pass and not delivery.given_up:
            outputs = await self._through_output_middleware(delivery, outputs)
        for output in outputs:
            self._outbox.emit(output, delivery)
        return None

    def undelivered(self, delivery: Delivery, cause: Exception | None) -> None:
        """Give up an event that was under way, as its worker or the whole broker ended.

        Args:
            delivery: The event.
            cause: What went wrong beside its handling; None when it was cancelled.
        """
        reason = DeadLetterReason.CLOSED if self._outbox.closed else DeadLetterReason.CANCELLED
        self._give_up(delivery, cause or UndeliveredError(delivery.event), reason)

    async def _execute_within(self, event: ArvoEvent) -> list[ArvoEvent]:
        if self._settings.timeout is None:
            return await self._handler.execute(await self._settings.middleware.enter(event))
        async with self._clock.timeout(self._settings.timeout):
            return await self._handler.execute(await self._settings.middleware.enter(event))

    async def _through_output_middleware(
        self, delivery: Delivery, outputs: list[ArvoEvent]
    ) -> list[ArvoEvent]:
        leave = partial(self._settings.middleware.leave, cause=delivery.event)
        try:
            return await guarded_call(delivery.context, leave, outputs)
        except Exception as error:
            delivery.failed += 1
            response = await self._asked(delivery, error)
            if response is ErrorResponse.THROW:
                self._outbox.broker_error(delivery.event, error, delivery)
            # The handler has committed: what it emitted must not vanish.
            for output in outputs:
                self._give_up(delivery, error, DeadLetterReason.OUTPUT_MIDDLEWARE, event=output)
            return []

    async def _after_failure(
        self, delivery: Delivery, error: Exception
    ) -> timedelta | list[ArvoEvent]:
        """Return when to try again; or what to publish, if anything, as there is no further try."""
        if delivery.given_up:
            return []
        if isinstance(error, TransactionViolation) and error.cause.is_contention:
            return self._after_contention(delivery, error)
        delivery.contention = None
        delivery.failed += 1
        response = await self._asked(delivery, error)
        if response is ErrorResponse.SUPPRESS:
            self._log_dropped(delivery, error)
            return []
        reason = _reason_to_end(response, error)
        if reason is None:
            asked = error.after if isinstance(error, RetryableFailure | RetryLater) else None
            pause = self._settings.retry.pause_after(
                delivery.failed, asked=asked, random=self._random
            )
            if pause is not None:
                count_retry(self._handler.source)
                return pause
            if isinstance(error, RetryableFailure):
                # Whoever asked is told by these, and once: it is no dead letter.
                return [*error.replies]
            reason = DeadLetterReason.EXHAUSTED
        self._give_up(delivery, error, reason)
        return []

    def _log_dropped(self, delivery: Delivery, error: Exception) -> None:
        # Like `on_error` itself: what logs add of the context must be of this event.
        delivery.context.run(
            log_dead_letter,
            delivery.event,
            error=error,
            handler=self._handler.source,
            reason="dropped, as on_error said",
            attempts=delivery.failed,
            logger=_logger,
            level=logging.WARNING,
        )

    def _after_contention(
        self, delivery: Delivery, error: TransactionViolation
    ) -> timedelta | list[ArvoEvent]:
        """Somebody else was faster: no failure, so it costs no try, but it must end some time."""
        if delivery.contention is None:
            delivery.contention = Contention(
                timeout=self._contention_timeout, clock=self._clock, random=self._random
            )
        pause = delivery.contention.pause_after(error)
        if pause is None:
            self._give_up(delivery, error, DeadLetterReason.CONTENTION)
            return []
        return pause

    async def _asked(self, delivery: Delivery, error: Exception) -> ErrorResponse | None:
        """Ask `on_error`; None when there is none or it failed itself."""
        if self._settings.on_error is None:
            return None
        failed = FailedTry(
            event=delivery.event,
            error=error,
            handler=self._handler.source,
            attempts=delivery.failed,
            retries=self._settings.retry.retries,
        )
        try:
            return await guarded_call(delivery.context, _ask, self._settings.on_error, failed)
        except Exception as second:
            self._outbox.broker_error(delivery.event, second, delivery)
            return None

    def _give_up(
        self,
        delivery: Delivery,
        error: Exception,
        reason: DeadLetterReason,
        *,
        event: ArvoEvent | None = None,
    ) -> None:
        letter = DeadLetter(
            event=event or delivery.event,
            error=error,
            attempts=delivery.failed,
            handler=self._handler.source,
            reason=reason,
        )
        self._outbox.give_up(letter, delivery)
        if self._contract is not None and not self._outbox.closed:
            try:
                replies = dead_letter_reply(letter, self._contract)
            except Exception as second:
                self._outbox.broker_error(delivery.event, second, delivery)
                return
            for reply in replies:
                self._outbox.emit(reply, delivery)


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

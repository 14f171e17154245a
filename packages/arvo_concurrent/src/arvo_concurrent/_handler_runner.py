"""One try to handle an event: middleware, handler, and what follows from a failure."""

from datetime import timedelta
from inspect import isawaitable
from random import Random
from typing import Final, Protocol

from arvo_core import ArvoEvent, ViolationError, bounded_logger
from arvo_event_handler import (
    Backoff,
    Clock,
    ConfigViolation,
    IArvoEventHandler,
    TransactionViolation,
    UndeliveredError,
)

from ._broker_telemetry import count_retry
from ._dead_letter import DeadLetter, DeadLetterReason
from ._dead_letter_reply import dead_letter_reply, find_contract
from ._delivery import Delivery
from ._failed_try import ErrorListener, ErrorResponse, FailedTry
from ._handler_config import HandlerDefaults
from ._in_context import InContext
from ._middleware import check_events

_logger = bounded_logger("arvo_concurrent")

_CONTENTION_BACKOFF: Final = Backoff(
    initial=timedelta(milliseconds=2), maximum=timedelta(milliseconds=250)
)


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
        contention_timeout: How long an event is tried again because somebody else holds its
            workflow.
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
        self._contention_seconds = contention_timeout.total_seconds()
        self._clock = clock
        self._random = random
        self._plain = settings.timeout is None and settings.middleware.input is None
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
            work = self._handler.execute(event) if self._plain else self._execute(event)
            outputs = await InContext(delivery.context, work)
            if outputs != []:
                check_events(outputs, what=f"handler {self._handler.source!r}")
        except Exception as error:
            return await self._after_failure(delivery, error)
        if not self._outputs_pass:
            outputs = await self._through_output_middleware(delivery, outputs)
        for output in outputs:
            self._outbox.emit(output, delivery)
        return None

    def undelivered(self, delivery: Delivery) -> None:
        """Give up an event that was under way, as its worker or the whole broker ended."""
        reason = DeadLetterReason.CLOSED if self._outbox.closed else DeadLetterReason.CANCELLED
        self._give_up(delivery, UndeliveredError(delivery.event), reason)

    async def _execute(self, event: ArvoEvent) -> list[ArvoEvent]:
        if self._settings.timeout is None:
            return await self._handler.execute(await self._settings.middleware.enter(event))
        async with self._clock.timeout(self._settings.timeout):
            return await self._handler.execute(await self._settings.middleware.enter(event))

    async def _through_output_middleware(
        self, delivery: Delivery, outputs: list[ArvoEvent]
    ) -> list[ArvoEvent]:
        leaving = self._settings.middleware.leave(outputs, cause=delivery.event)
        try:
            return await InContext(delivery.context, leaving)
        except Exception as error:
            delivery.failed += 1
            response = await self._asked(delivery, error)
            if response is ErrorResponse.THROW:
                self._outbox.broker_error(delivery.event, error, delivery)
            # The handler has committed: what it emitted must not vanish.
            for output in outputs:
                self._give_up(delivery, error, DeadLetterReason.OUTPUT_MIDDLEWARE, event=output)
            return []

    async def _after_failure(self, delivery: Delivery, error: Exception) -> timedelta | None:
        if isinstance(error, TransactionViolation) and error.cause.is_contention:
            return self._after_contention(delivery, error)
        delivery.contended_since = None
        delivery.failed += 1
        response = await self._asked(delivery, error)
        if response is ErrorResponse.SUPPRESS:
            # Like `on_error` itself: what logs add of the context must be of this event.
            delivery.context.run(
                _logger.warning,
                "event %s of type %s was dropped, as on_error said",
                delivery.event.id,
                delivery.event.type,
                exc_info=error,
            )
            return None
        if response is ErrorResponse.THROW:
            self._give_up(delivery, error, DeadLetterReason.THROWN)
            return None
        if response is None and isinstance(error, ViolationError) and not error.retryable:
            self._give_up(delivery, error, DeadLetterReason.NOT_RETRYABLE)
            return None
        retry = self._settings.retry
        if delivery.failed > retry.retries:
            self._give_up(delivery, error, DeadLetterReason.EXHAUSTED)
            return None
        count_retry(self._handler.source)
        return retry.backoff.delay(delivery.failed - 1, random=self._random)

    def _after_contention(
        self, delivery: Delivery, error: TransactionViolation
    ) -> timedelta | None:
        """Somebody else was faster: no failure, so it costs no try, but it must end some time."""
        now = self._clock.monotonic()
        if delivery.contended_since is None:
            delivery.contended_since = now
            delivery.contended = 0
        if now - delivery.contended_since >= self._contention_seconds:
            self._give_up(delivery, error, DeadLetterReason.CONTENTION)
            return None
        delivery.contended += 1
        return _CONTENTION_BACKOFF.delay(delivery.contended - 1, random=self._random)

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
            asking = _ask(self._settings.on_error, failed)
            return await InContext(delivery.context, asking)
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
                reply = dead_letter_reply(letter, self._contract)
            except Exception as second:
                self._outbox.broker_error(delivery.event, second, delivery)
                return
            if reply is not None:
                self._outbox.emit(reply, delivery)


async def _ask(on_error: ErrorListener, failed: FailedTry) -> ErrorResponse:
    response = on_error(failed)
    return ErrorResponse(await response if isawaitable(response) else response)

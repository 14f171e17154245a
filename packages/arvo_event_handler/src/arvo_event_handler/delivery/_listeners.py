"""The functions of a broker's owner, and the calls of them that wait and run like events."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, TypeAlias

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler._errors import UndeliveredError
from arvo_time import Clock
from arvo_time.settings import check_async

from ._dead_letter import DeadLetter, DeadLetterListener, DeadLetterReason
from ._dead_letter_log import log_dead_letter
from ._guarded_call import guarded_call
from ._seats import Seats
from ._telemetry import count_dead_letter
from ._topic import Topic, stop_topics
from ._trial import Trial

Publish: TypeAlias = Callable[[ArvoEvent], Awaitable[None]]
"""Hands an event to a broker."""
DomainedEventListener: TypeAlias = Callable[[ArvoEvent, Publish], Awaitable[None]]
"""Receives an event for the outside, and the means to publish what comes back."""
BrokerErrorListener: TypeAlias = Callable[[ArvoEvent, Exception], Awaitable[None]]
"""Receives an event that could not be handled, and why."""
UnclaimedListener: TypeAlias = Callable[[ArvoEvent], Awaitable[None]]
"""Receives answers that no caller waits for (any more)."""

_MAX_CALLS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerFunctions:
    """The functions of the broker's owner, each of them optional.

    Raises:
        TypeError: One of them is not an `async def` function.
    """

    on_broker_error: BrokerErrorListener | None = None
    """Called with each event that failed for good."""
    on_domained_event: DomainedEventListener | None = None
    """Called with each emitted event that has a domain."""
    on_dead_letter: DeadLetterListener | None = None
    """Called with each dead letter."""
    on_unclaimed: UnclaimedListener | None = None
    """Called with each answer that no caller waits for."""

    def __post_init__(self) -> None:
        for name, listener in (
            ("on_broker_error", self.on_broker_error),
            ("on_domained_event", self.on_domained_event),
            ("on_dead_letter", self.on_dead_letter),
            ("on_unclaimed", self.on_unclaimed),
        ):
            if listener is not None:
                check_async(listener, name=name)


class ListenerCall(Trial):
    """A call of one of the owner's functions on account of an event.

    Args:
        trial: Stands for the event.
        function: Makes the call.
        name: Which function of the owner it calls.
    """

    __slots__ = ("_trial", "function", "name")

    def __init__(self, trial: Trial, *, function: Callable[[], Awaitable[None]], name: str) -> None:
        super().__init__(trial.event, context=trial.context, asker=trial.asker)
        self._trial = trial
        self.function: Callable[[], Awaitable[None]] = function
        """Makes the call."""
        self.name: str = name
        """Which function of the owner it calls."""

    @override
    def beside(self, event: ArvoEvent) -> Trial:
        return self._trial.beside(event)

    @override
    def enter(self, seats: Seats) -> None:
        self._trial.enter(seats)

    @override
    def start(self, seats: Seats) -> None:
        self._trial.start(seats)

    @override
    def end(self) -> None:
        self._trial.end()

    @override
    def fail(self, event: ArvoEvent, *, error: Exception) -> None:
        self._trial.fail(event, error=error)


class Listeners:
    """Reports to the owner of a broker, in a topic of its own.

    What the owner has no function for is logged.

    Args:
        owner: The functions.
        broker: Identifies the broker.
        clock: For the topic.
        logger: The broker's.
    """

    def __init__(
        self, owner: OwnerFunctions, *, broker: object, clock: Clock, logger: logging.Logger
    ) -> None:
        self.owner: OwnerFunctions = owner
        """The functions."""
        self._clock = clock
        self._logger = logger
        self.topic: Topic[ListenerCall, None] = Topic(
            "listeners",
            run=self._run,
            carry_out=_done,
            undelivered=self._listener_skipped,
            prefetch=_MAX_CALLS,
            order="none",
            broker=broker,
            clock=clock,
            logger=logger,
            of_listeners=True,
        )
        """The calls, which wait and run like events."""

    def call(self, trial: Trial, *, function: Callable[[], Awaitable[None]], name: str) -> None:
        """Have a function of the owner called.

        Args:
            trial: Stands for the event to report.
            function: Makes the call.
            name: Which function of the owner it calls.
        """
        call = ListenerCall(trial, function=function, name=name)
        if self.topic.stopped:
            self._listener_skipped(call)
        else:
            self.topic.put(call)

    def report(self, cause: Trial, *, event: ArvoEvent, error: Exception) -> None:
        """Report an event that failed for good, or what failed beside its handling.

        Args:
            cause: On whose account.
            event: The event.
            error: What went wrong.
        """
        trial = cause.beside(event)
        if self.owner.on_broker_error is None:
            message = "event %s of type %s failed"
            trial.call(partial(self._logger.error, message, event.id, event.type, exc_info=error))
            return
        function = partial(self.owner.on_broker_error, event, error)
        self.call(trial, function=function, name="on_broker_error")

    def give_up(self, letter: DeadLetter, *, cause: Trial) -> None:
        """Report that an event will not be handled.

        Args:
            letter: The letter.
            cause: On whose account.
        """
        cause.fail(letter.event, error=letter.error)
        self.keep(letter, trial=cause.beside(letter.event))
        if letter.reason is DeadLetterReason.CLOSED:
            return
        if self.owner.on_broker_error is not None:
            self.report(cause, event=letter.event, error=letter.error)
        elif self.owner.on_dead_letter is not None:
            self._log(letter, cause.beside(letter.event))

    def keep(self, letter: DeadLetter, *, trial: Trial) -> None:
        """Hand over a dead letter.

        Args:
            letter: The letter.
            trial: Stands for its event.
        """
        count_dead_letter(letter.handler, reason=letter.reason)
        if self.owner.on_dead_letter is None:
            self._log(letter, trial)
            return
        function = partial(self.owner.on_dead_letter, letter)
        self.call(trial, function=function, name="on_dead_letter")

    async def stop(self, *, patience: timedelta) -> None:
        """Log all reports that wait or come from now on, and cancel those under way.

        Args:
            patience: How long to wait for that; what has not ended by then is given up.
        """
        for call in self.topic.abandon():
            self._listener_skipped(call)
        await stop_topics([self.topic], patience=patience, clock=self._clock)

    def _log(self, letter: DeadLetter, trial: Trial) -> None:
        trial.call(
            partial(
                log_dead_letter,
                letter.event,
                error=letter.error,
                handler=letter.handler,
                reason=letter.reason,
                attempts=letter.attempts,
                logger=self._logger,
            )
        )

    async def _run(self, call: ListenerCall) -> None:
        try:
            await guarded_call(call.context, call.function)
        except Exception as error:
            if call.name == "on_domained_event":
                call.fail(call.event, error=error)
            if call.name == "on_broker_error":
                note = partial(self._logger.error, "on_broker_error itself failed", exc_info=error)
                call.call(note)
            elif not call.given_up:
                self.report(call, event=call.event, error=error)

    def _listener_skipped(self, call: ListenerCall, _: Exception | None = None) -> None:
        """Log a report that did not reach its listener, or not completely."""
        event = call.event
        call.fail(event, error=UndeliveredError(event))
        message = "event %s of type %s did not reach %s, which was cancelled"
        # With a copy of the context: a listener that closes its broker is still running in it.
        beside = call.beside(event)
        beside.call(self._logger.error, message, event.id, event.type, call.name)


def _done(_: None, call: ListenerCall) -> None:
    """Whatever became of the call, it is not made again."""

"""The concurrent broker: carries events between handlers of one process, concurrently."""

import asyncio
from collections.abc import Iterable
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from random import Random
from types import TracebackType
from typing import Self

from arvo_core import ArvoEvent
from arvo_event_handler import IArvoEventHandler
from arvo_event_handler.delivery import (
    CONTENTION_TIMEOUT,
    DEFAULT_GRACE,
    BrokerErrorListener,
    BrokerStats,
    DeadLetterListener,
    DomainedEventListener,
    HandlerConfig,
    HandlerDefaults,
    HandlerRunner,
    Handling,
    Lifecycle,
    OwnerFunctions,
    TimerPump,
    Topic,
    UnclaimedListener,
    Verdict,
    asking,
    current_handling,
)
from arvo_event_handler.memory import DueMachine, StoredWorkflow
from arvo_time import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock
from arvo_time.logs import bounded_logger
from arvo_time.settings import (
    check_async,
    check_clock,
    check_count,
    check_duration,
    check_instance,
    check_random,
)

from ._admission import Admission
from ._causal_tree import CausalTree
from ._delivery import Delivery
from ._errors import QueueFullError, self_wait
from ._joined_trees import AnyTree
from ._owed_outputs import OwedOutputs
from ._recovery import Recovery, RecoveryErrorListener
from ._router import Router
from ._subscription import Subscription
from ._ticks_in_hand import TicksInHand

_logger = bounded_logger("arvo_concurrent")


class ConcurrentEventBroker:
    """Carries events to handlers by `to`, concurrently, in one process and without a server.

    Each handler has a queue and up to `prefetch` workers. A stateful handler gets the events of
    one subject one after another, as they were published; a stateless one has no order. A failed
    try is made again as its `RetryPolicy` says; an event that cannot be handled becomes a dead
    letter, never nothing. Use it as an async context manager, once: leaving the block finishes
    everything, as `drain`; leaving it by an exception finishes what runs, as `aclose`.

    An emitted event with a domain is for the outside and goes to `on_domained_event`. An event
    that comes from outside goes to its topic, whatever its domain says.

    An event that is published, resolved or emitted again while the broker has it queued or running
    (the same `source`, `id` and `to`) joins the first: it is handled once, and each caller gets the
    outcome. An event that is handled already runs again, and so does one that a handler waits for.

    A workflow that is started again, by the same event, runs nothing twice: `resolve` waits for the
    work on it that is on its way, and `publish` adds nothing. To resume one whose work was lost, by
    a dead letter or with another process, pass `redelivered=True`.

    What a handler returns is always taken. It should not await the broker that runs it: `publish`
    raises where it would have to wait for a place, and `resolve` where the answer would have to
    wait for the handler itself, or for others that wait likewise.

    It fires the timers of workflows whose memory has an index of them, and lets schedules begin when it is
    entered. A pending timer is nothing to do: `resolve` returns None when only a timer is left, and
    `wait_idle` and `drain` do not wait for it. What a
    handler without a record emits for later is refused: its event is a dead letter.

    TypeScript: `createConcurrentEventBroker`.

    Args:
        handlers: Handlers to subscribe; sources must be unique. A `HandlerConfig` says how to
            run a handler; a bare handler is run as `defaults` say.
        defaults: What applies where a `HandlerConfig` says nothing.
        on_broker_error: Awaited for each event that failed for good, and for each listener of
            the broker that failed itself. None: both are logged.
        on_domained_event: Awaited for each emitted event with a domain, within its causal tree:
            so is what it publishes through its second argument, which is taken immediately.
            Kept and called after that tree has ended, that argument is like `publish`. None: such
            an event is a dead letter.
        on_dead_letter: Awaited for each event that will not be handled. None: they are logged.
        on_unclaimed: Awaited for each answer that no caller waits for: of a `publish`, of a
            `resolve` that was cancelled or timed out, or a further one. None: these are dead letters.
        max_queued: How many events may wait before `publish` waits and `publish_nowait` raises.
            None: any number. What handlers emit is always taken and counted.
        contention_timeout: How long an event is tried again while others handle its workflow;
            outside the retry budget and without a slot. An event that lost to another one's
            commit begins to wait anew, 100 times at most. At least `max_hold` and `ttl` of the
            memory's `LockPolicy` together, or a step that is merely long costs the others their
            events; by default the two of `LockPolicy()`, 630 seconds.
        clock: For delays and timeouts.
        random: For the jitter of delays.

    Raises:
        ConfigViolation: Two handlers have one source, or a handler without a contract is to reply
            to dead letters.
        TypeError: A handler is not one, a listener is not async, or a setting is of another type
            than its parameter.
        ValueError: A setting is out of its range.

    Example:
        >>> class Ping(BaseModel):
        ...     text: str
        >>> V1 = SimpleVersion("1.0.0", accepts=Ping, emits=Ping)
        >>> contract = SimpleArvoContract(uri="#/org/echo", type="net.echo", versions=[V1])
        >>> async def echo_v1(call: HandlerInput[Ping]) -> Emit:
        ...     return Emit("evt.net.echo.success", call.data)
        >>> echo = ArvoEventHandler(contract=contract, handler={"1.0.0": echo_v1})
        >>> request = ArvoEventFactory(contract.version(V1)).accepts(
        ...     source="com.app.main", data=Ping(text="hello")
        ... )
        >>> async def main() -> ArvoEvent | None:
        ...     async with ConcurrentEventBroker([HandlerConfig(echo, prefetch=4)]) as broker:
        ...         return await broker.resolve(request)
        >>> asyncio.run(main()).data
        {'text': 'hello'}
    """

    def __init__(
        self,
        handlers: Iterable[HandlerConfig | IArvoEventHandler],
        *,
        defaults: HandlerDefaults | None = None,
        on_broker_error: BrokerErrorListener | None = None,
        on_domained_event: DomainedEventListener | None = None,
        on_dead_letter: DeadLetterListener | None = None,
        on_unclaimed: UnclaimedListener | None = None,
        max_queued: int | None = None,
        contention_timeout: timedelta = CONTENTION_TIMEOUT,
        clock: Clock = SYSTEM_CLOCK,
        random: Random = SYSTEM_RANDOM,
    ) -> None:
        check_duration(contention_timeout, name="contention_timeout")
        if max_queued is not None:
            check_count(max_queued, name="max_queued", least=1)
        if defaults is not None:
            check_instance(defaults, kind=HandlerDefaults, name="defaults")
        self._defaults = defaults or HandlerDefaults()
        self._contention_timeout = contention_timeout
        self._clock = check_clock(clock)
        self._random = check_random(random)
        self._admission = Admission(max_queued)
        ticks = TicksInHand()
        self._pump = TimerPump(
            self._take_tick, clock=clock, random=random, logger=_logger, room=ticks.room
        )
        self._router = Router(
            OwnerFunctions(
                on_broker_error=on_broker_error,
                on_domained_event=on_domained_event,
                on_dead_letter=on_dead_letter,
                on_unclaimed=on_unclaimed,
            ),
            take_in_turn=self._take_in_turn,
            admission=self._admission,
            pump=self._pump,
            ticks=ticks,
            clock=clock,
        )
        self._life = Lifecycle(self._router, clock=clock, identity=self._admission)
        self._owed = OwedOutputs(self._router, self._admission, check_open=self._life.check_open)
        for handler in handlers:
            self._add(handler)

    async def __aenter__(self) -> Self:
        await self._pump.begin()
        self._life.open()
        self._pump.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is not None:
            await self.aclose()
            return
        try:
            await self.drain()
        except BaseException:
            await self.aclose(grace=timedelta(0))
            raise

    @property
    def stats(self) -> BrokerStats:
        """What there is to do at this moment."""
        return self._router.stats

    # --- taking events ------------------------------------------------------

    async def publish(
        self, event: ArvoEvent, *, answer_to: str | None = None, redelivered: bool = False
    ) -> None:
        """Take an event; return once it has a place in the queue, not when it is handled.

        Args:
            event: The event.
            answer_to: To whom answers are addressed, which go to `on_unclaimed`; None for the
                event's `source`.
            redelivered: Whether what came of an earlier delivery may have been lost: then a
                workflow that has not ended sends all that is unanswered again.

        Raises:
            BrokerClosedError: The broker does not run, or stopped while this waited.
            ConfigViolation: A handler of this broker awaits it, and `max_queued` is reached.
        """
        tree = self._tree(event, answer_to, redelivered=redelivered)
        if not self._life.is_open or (
            self._admission.is_full() and not self._router.joins(event, tree)
        ):
            await self._take_in_turn(event, tree)
        else:
            self._router.take_from_outside(event, tree, copy_context())

    def publish_nowait(
        self, event: ArvoEvent, *, answer_to: str | None = None, redelivered: bool = False
    ) -> None:
        """Take an event, as `publish`, or raise.

        Raises:
            BrokerClosedError: The broker does not run.
            QueueFullError: `max_queued` events wait.
        """
        self._life.check_open()
        tree = self._tree(event, answer_to, redelivered=redelivered)
        if self._admission.is_full() and not self._router.joins(event, tree):
            raise QueueFullError(event, max_queued=self._admission.limit or 0)
        self._router.take_from_outside(event, tree, copy_context())

    async def resolve(
        self,
        event: ArvoEvent,
        *,
        answer_to: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109 - the waiting ends, the work goes on
        redelivered: bool = False,
    ) -> ArvoEvent | None:
        """Take an event and wait for the answer that comes of it.

        Cancelling it, or a timeout, stops the waiting only: the work goes on, and a late answer
        goes to `on_unclaimed`. Any number may wait concurrently, also for equal sources.

        Args:
            event: The request.
            answer_to: Whom the answer is addressed to; None for the event's `source`.
            timeout: How long to wait; None as long as it takes.
            redelivered: As for `publish`.

        Returns:
            The first event addressed to `answer_to`, as soon as there is one; None when all that
            came of the request is done without one and without a failure.

        Raises:
            BrokerClosedError: The broker does not run, or stopped while this waited for a place.
            ConfigViolation: `answer_to` is a handler's topic, so answers would go to it. Or a
                handler of this broker awaits it, and what the answer needs waits for that handler.
            ResolveError: Everything is done without an answer, and something failed for good.
            TimeoutError: No answer came in time.
            TypeError: `timeout` is not a timedelta.
            ValueError: `timeout` is below zero.
        """
        address = answer_to or event.source
        self._router.topics.check_answer_address(address)
        if timeout is None:
            return await self._resolve(event, address, redelivered=redelivered)
        check_duration(timeout, name="timeout")
        async with self._clock.timeout(timeout):
            return await self._resolve(event, address, redelivered=redelivered)

    async def recover(self, *, on_error: RecoveryErrorListener | None = None) -> int:
        """Go on with the workflows that the end of another process has interrupted.

        For each workflow in the memories of the handlers that has not ended, oldest first, all that
        it has asked for without an answer is sent again, and so are its latest notifications:
        rather twice than never. Nothing is written. Await it once, before other events are
        published: what this broker works on already would be asked for twice. No other process may
        handle these workflows meanwhile.

        Completions go to `on_unclaimed`, or to those who `resolve` the init event meanwhile. Output
        middleware is not called again. A workflow that somebody else handles is tried until
        `contention_timeout`.

        Args:
            on_error: Awaited for each workflow that cannot be read; the others go on. None: they
                are logged.

        Returns:
            For how many workflows something was sent.

        Raises:
            BrokerClosedError: The broker does not run.
            ConfigViolation: The memory of a handler does not implement `IWorkflowQueries`. Or a
                handler of this broker awaits it, and `max_queued` is reached.
            MachineMemoryError: A memory cannot list its workflows at this moment.
            TypeError: `on_error` is not async.
        """
        self._life.check_open()
        if on_error is not None:
            check_async(on_error, name="on_error")
        recovery = Recovery(
            self._router.workflow_handlers,
            publish=self._owed.go_on,
            on_error=on_error or _log_unrecovered,
            contention_timeout=self._contention_timeout,
            clock=self._clock,
            random=self._random,
        )
        return await recovery.run()

    def subscribe(self, handler: HandlerConfig | IArvoEventHandler) -> Subscription:
        """Add a handler.

        Raises:
            BrokerClosedError: The broker is closing or closed.
            ConfigViolation: As for the constructor.
            TypeError: `handler` is not a handler.
        """
        self._life.check_not_ending()
        topic = self._add(handler)
        return Subscription(topic=topic.name, end=partial(self._router.remove, topic))

    # --- ending -------------------------------------------------------------

    async def wait_idle(self, *, timeout: timedelta | None = None) -> None:  # noqa: ASYNC109
        """Wait until every event taken is done. New ones are taken all the while.

        Raises:
            ConfigViolation: A handler or listener of this broker awaits it.
            TimeoutError: There was still something to do.
            TypeError: `timeout` is not a timedelta.
            ValueError: `timeout` is below zero.
        """
        if timeout is not None:
            check_duration(timeout, name="timeout")
        await self._life.wait_idle(timeout=timeout)

    async def drain(self) -> None:
        """Take nothing more, finish everything, and close. Idempotent.

        Raises:
            ConfigViolation: A handler or listener of this broker awaits it, so it would wait for
                itself.
        """
        await self._life.drain()

    async def aclose(self, *, grace: timedelta = DEFAULT_GRACE) -> None:
        """Take nothing more, let what runs finish, and hand over the rest as dead letters.

        What waits or sleeps becomes a dead letter with reason `closed`, and so does what comes of
        events that still run. When this returns nothing of the broker is left but handlers that
        swallow their cancellation, from which nothing is published any more. Idempotent.
        Cancelling it ends the grace, cancelling it again the time of the listeners. Not
        for handlers and listeners: they would wait for themselves until the grace is over.

        Args:
            grace: How long what runs may take before it is cancelled and becomes a dead letter
                as well. It has a second to clean up then, and is waited for no longer. The
                listeners get as long as the grace again, but at least 5 seconds; what has not
                reached them by then is logged.

        Raises:
            TypeError: `grace` is not a timedelta.
            ValueError: `grace` is below zero.
        """
        check_duration(grace, name="grace")
        await self._life.aclose(grace=grace)

    # --- inside -------------------------------------------------------------

    def _add(self, handler: HandlerConfig | IArvoEventHandler) -> Topic[Delivery, Verdict]:
        config = handler if isinstance(handler, HandlerConfig) else HandlerConfig(handler)
        name = config.handler.source
        self._router.topics.check_free(name)
        settings = config.settled(self._defaults)
        runner = HandlerRunner(
            config.handler,
            settings=settings,
            contention_timeout=self._contention_timeout,
            clock=self._clock,
            random=self._random,
            logger=_logger,
        )
        return self._router.add(name, runner=runner, settings=settings, handler=config.handler)

    def _tree(self, event: ArvoEvent, answer_to: str | None, *, redelivered: bool) -> CausalTree:
        """Return the causal tree of an event that no caller waits for."""
        return CausalTree(
            event,
            answer_to=answer_to or event.source,
            admission=self._admission,
            redelivered=redelivered,
        )

    async def _take_in_turn(self, event: ArvoEvent, tree: AnyTree) -> None:
        """Take an event from outside when there is a place for it, first come, first served."""
        take = partial(self._router.take_from_outside, event, tree, copy_context())
        self._life.check_open()
        if self._router.joins(event, tree):
            take()
        else:
            await self._admission.admit(event, take, check_open=self._life.check_open)

    async def _take_tick(self, due: DueMachine, tick: ArvoEvent) -> None:
        await self._owed.take_tick(due, tick)

    async def _resolve(
        self, event: ArvoEvent, address: str, *, redelivered: bool
    ) -> ArvoEvent | None:
        asker = current_handling()
        if asker is None:
            return await self._ask(event, address, asker=None, redelivered=redelivered)
        with asking():
            topic = self._router.topics.get(event.to or event.type)
            if topic is not None and topic.seats.blocked(topic.seats.lane(event)):
                raise self_wait(event)
            return await self._ask(event, address, asker=asker, redelivered=redelivered)

    async def _ask(
        self, event: ArvoEvent, address: str, *, asker: Handling | None, redelivered: bool
    ) -> ArvoEvent | None:
        waiter: asyncio.Future[ArvoEvent | None] = asyncio.get_running_loop().create_future()
        tree = CausalTree(
            event,
            answer_to=address,
            admission=self._admission,
            waiter=waiter,
            asker=asker,
            redelivered=redelivered,
        )
        tree.begin()  # so that it ends, once, even if nothing comes of the event
        await self._take_in_turn(event, tree)
        tree.end()
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and not waiter.exception():
                answer = waiter.result()
                if answer is not None and tree.unanswer():  # no caller is left to take it
                    self._router.unclaimed(answer, tree, copy_context())
            raise


async def _log_unrecovered(workflow: StoredWorkflow, error: Exception) -> None:
    _logger.error("cannot go on with the workflow %s: %s", workflow.subject, error, exc_info=error)

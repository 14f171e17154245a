"""The distributed broker: one worker of any number that share the events of a transport."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from types import TracebackType
from typing import Final, Self, get_args

from arvo_core import ArvoEvent
from arvo_event_handler import IArvoEventHandler
from arvo_event_handler.delivery import (
    CONTENTION_TIMEOUT,
    DEFAULT_GRACE,
    BrokerClosedError,
    BrokerErrorListener,
    BrokerState,
    BrokerStats,
    DeadLetterListener,
    DomainedEventListener,
    HandlerConfig,
    HandlerDefaults,
    Lifecycle,
    Listeners,
    OwnerFunctions,
    TimerPump,
)
from arvo_time import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock
from arvo_time.logs import bounded_logger
from arvo_time.settings import (
    check_clock,
    check_count,
    check_duration,
    check_instance,
    check_random,
)
from arvo_transport._publisher import Publisher
from arvo_transport._topic import address_of
from arvo_transport._transport import IEventTransport

from ._declarations import asked_topics
from ._delayed_outputs import DelayedOutputs
from ._domains import listeners_by_domain
from ._health import Health, WorkerState
from ._newer_events import NewerEvents
from ._quarantine import Quarantine
from ._replies import Askers, DeadLetterReply
from ._served_topic import Limits, Surroundings
from ._served_topics import ServedTopics, ServingOptions
from ._telemetry import PUBLISHED, count
from ._ticks import Ticks
from ._worker import Worker

_logger = bounded_logger("arvo_transport")

_STATES: Final = {
    BrokerState.CLOSING: WorkerState.DRAINING,
    BrokerState.CLOSED: WorkerState.CLOSED,
}


class DistributedEventBroker:
    """Runs handlers on the events of a transport, as one of any number of workers.

    Workers of one transport share the events of their handlers. An event is forgotten when what
    came of it is stored, in one call: a worker that dies leaves its events to the others. So a
    service runs at least once, and must be idempotent by (source, id); the state and the completion
    of a workflow happen once.

    Each handler works on up to `prefetch` events here. Those of one subject reach a stateful handler
    one after another, over all workers; the next begins when the one before is settled. A failed try
    is made again as the `RetryPolicy` says, sleeping here; an event that cannot be handled is kept
    as a dead letter by the transport, never nothing.

    Each worker fires the timers of its workflows, whose memory they share. Its schedules begin when it
    receives events.

    Use it as an async context manager, once: leaving the block drains it; leaving it by an exception
    closes it, as `aclose`.

    Args:
        handlers: Handlers to run; sources must be unique. A `HandlerConfig` says how to run one;
            a bare handler is run as `defaults` say.
        transport: Where the events are. It stays yours: nothing here closes it.
        defaults: What applies where a `HandlerConfig` says nothing.
        on_broker_error: Awaited for each event that failed for good, and for what failed beside its
            handling. None: both are logged.
        on_domained_event: Awaited for each emitted event with a domain: a listener by domain, or
            one for all domains that the contracts of the handlers mention. Like a handler, it is
            called again when it fails, and what it publishes through its second argument is stored
            with the acknowledgement. Events of other domains are for other workers.
        on_dead_letter: Awaited for each dead letter that is stored; a notice, not the keeping. None:
            they are logged.
        dead_letter_reply: Who gets the system error of its contract when a request becomes a dead
            letter, unless the `HandlerConfig` says so itself. `clients`: those whose address is
            declared for answers; a workflow waits on, for the letter may be redriven. `all`, or
            `none`.
        max_waiting: How many events may wait in the topic of each handler, or in those of some, by
            their source. With more, `publish`, the door and other clients are to publish later
            (`TopicFullError`); what handlers emit is always stored. None for any number. The latest
            worker that declares a topic decides.
        contention_timeout: How long an event is tried again while others handle its workflow, as
            for `ConcurrentEventBroker`.
        suspect_after: After how many deliveries an event is tried alone: all else in hand is given
            back until its first try has ended. At least 1.
        max_deliveries: After how many deliveries an event is dead, `redelivered too often`, without
            another try. At least `suspect_after`. Where the engine counts each return, both are
            raised by the retries of the handler.
        hold_at_most: The longest pause between two tries for which an event stays in hand; a longer
            one goes back into the topic, if that has no order.
        newer_patience: How long an event that needs newer code is left to newer workers.
        clock: For delays and timeouts.
        random: For the jitter of delays.

    Raises:
        ConfigViolation: Two handlers have one source, or a handler without a contract is to reply
            to dead letters.
        TypeError: A handler is not one, a listener is not async, or a setting is of another type
            than its parameter.
        ValueError: A setting is out of its range; or a stateful handler is to run without order, or
            on a transport that keeps none; or `max_waiting` names a handler that is not there.

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
        >>> async def main() -> None:
        ...     transport = InMemoryTransport()
        ...     await transport.declare([TopicSpec("com.app.main", kind="answers")])
        ...     async with DistributedEventBroker([echo], transport=transport) as broker:
        ...         worker = asyncio.create_task(broker.run())
        ...         await broker.wait_ready()
        ...         await broker.publish(request)
        ...         async with transport.answers("com.app.main") as answers:
        ...             answer = await answers.wait(request.id)
        ...         print(answer.data)
        ...     await worker
        >>> asyncio.run(main())
        {'text': 'hello'}
    """

    def __init__(
        self,
        handlers: Iterable[HandlerConfig | IArvoEventHandler],
        *,
        transport: IEventTransport,
        defaults: HandlerDefaults | None = None,
        on_broker_error: BrokerErrorListener | None = None,
        on_domained_event: Mapping[str, DomainedEventListener]
        | DomainedEventListener
        | None = None,
        on_dead_letter: DeadLetterListener | None = None,
        dead_letter_reply: DeadLetterReply = "clients",
        max_waiting: Mapping[str, int] | int | None = None,
        contention_timeout: timedelta = CONTENTION_TIMEOUT,
        suspect_after: int = 3,
        max_deliveries: int = 6,
        hold_at_most: timedelta = timedelta(seconds=30),
        newer_patience: timedelta = timedelta(minutes=10),
        clock: Clock = SYSTEM_CLOCK,
        random: Random = SYSTEM_RANDOM,
    ) -> None:
        check_count(suspect_after, name="suspect_after", least=1)
        check_count(max_deliveries, name="max_deliveries", least=suspect_after)
        if dead_letter_reply not in get_args(DeadLetterReply):
            raise ValueError(
                f'dead_letter_reply must be "clients", "all" or "none", got {dead_letter_reply!r}'
            )
        if defaults is not None:
            check_instance(defaults, kind=HandlerDefaults, name="defaults")
        self._transport = transport
        self._publisher = Publisher(transport, clock=clock)
        check_clock(clock)
        check_random(random)
        self._health = Health(clock=clock, random=random, logger=_logger)
        identity = object()
        self._shared = Surroundings(
            listeners=Listeners(
                OwnerFunctions(on_broker_error=on_broker_error, on_dead_letter=on_dead_letter),
                broker=identity,
                clock=clock,
                logger=_logger,
            ),
            quarantine=Quarantine(),
            health=self._health,
            newer=NewerEvents(
                patience=check_duration(newer_patience, name="newer_patience"), clock=clock
            ),
            ping=transport.ping,
            identity=identity,
            clock=clock,
            logger=_logger,
        )
        ticks = Ticks(transport, logger=_logger)
        self._pump = TimerPump(ticks.publish, clock=clock, random=random, logger=_logger)
        self._worker = Worker(
            transport, listeners=self._shared.listeners, pump=self._pump, clock=clock
        )
        self._life = Lifecycle(self._worker, clock=clock, identity=identity)
        self._serving: asyncio.Task[None] | None = None
        self._ended: asyncio.Event = asyncio.Event()
        configs = [
            each if isinstance(each, HandlerConfig) else HandlerConfig(each) for each in handlers
        ]
        topics = ServedTopics(
            configs,
            options=ServingOptions(
                capabilities=transport.capabilities,
                defaults=defaults or HandlerDefaults(),
                dead_letter_reply=dead_letter_reply,
                max_waiting=max_waiting,
                contention_timeout=check_duration(contention_timeout, name="contention_timeout"),
                limits=Limits(
                    suspect_after=suspect_after,
                    max_deliveries=max_deliveries,
                    hold_at_most=check_duration(hold_at_most, name="hold_at_most"),
                ),
                delayed=DelayedOutputs(transport),
                askers=Askers(transport.topics),
                shared=self._shared,
                random=random,
            ),
        )
        self._handlers = [config.handler for config in configs]
        for handler in self._handlers:
            self._pump.watch(handler)
        for domain, listener in listeners_by_domain(
            on_domained_event, handlers=self._handlers
        ).items():
            topics.add_domain(domain, listener=listener, publish=self.publish)
        topics.add_door(self._publisher)
        self._worker.topics = topics.all
        self._shared.quarantine.topics = self._worker.topics

    async def __aenter__(self) -> Self:
        self._life.open()
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
        """What this worker has in hand at this moment."""
        return self._worker.stats

    @property
    def state(self) -> WorkerState:
        """Where in its life the worker is, and whether it is well."""
        ending = _STATES.get(self._life.state)
        if ending is not None:
            return ending
        if not self._worker.serving.is_set():
            return WorkerState.STARTING
        return WorkerState.READY if self._health.trouble is None else WorkerState.DEGRADED

    @property
    def trouble(self) -> str | None:
        """What the engine fails to do at this moment, for people; None when nothing fails."""
        return self._health.trouble

    async def publish(
        self,
        events: ArvoEvent | Sequence[ArvoEvent],
        *,
        at: datetime | None = None,
        again: str = "",
    ) -> None:
        """Store events in the topics of their addresses, for whichever worker handles them.

        Args:
            events: The events, or a single one.
            at: As for `IEventTransport.publish`.
            again: As for `IEventTransport.publish`.

        Raises:
            BrokerClosedError: The broker does not run.
            EventTooLargeError: As for `IEventTransport.publish`, and so are the following.
            TopicFullError: One of the topics has as many events waiting as it may; nothing was
                stored.
            TransportError: The engine failed.
            UnroutableError: Nobody has declared one of the topics.
            ValueError: `at` cannot be.
        """
        self._life.check_open()
        published = [events] if isinstance(events, ArvoEvent) else events
        await self._publisher.publish(published, at=at, again=again)
        for event in published:
            count(PUBLISHED, address_of(event))

    async def wait_ready(self) -> None:
        """Wait until the worker receives events, so that its topics exist.

        Raises:
            BrokerClosedError: It has ended before that.
        """
        serving = asyncio.ensure_future(self._worker.serving.wait())
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait([serving, ended], return_when=asyncio.FIRST_COMPLETED)
        finally:
            serving.cancel()
            ended.cancel()
        if not self._worker.serving.is_set():
            raise BrokerClosedError

    async def run(self) -> None:
        """Declare the topics, and handle their events until `drain` or `aclose`.

        Cancelling it cancels what runs, and gives all back that is not settled.

        Raises:
            BrokerClosedError: The broker was not entered.
            RuntimeError: It was called before.
            TopicConflictError: A topic of a handler has another order.
            TransportClosedError: The transport was closed meanwhile.
            TransportError: The engine was not reached at the start; later failures are waited out.
        """
        if self._ended.is_set():
            return
        self._life.check_open()
        if self._serving is not None:
            raise RuntimeError("run() was called before; make another broker")
        asked = asked_topics(self._handlers, served=[each.spec for each in self._worker.topics])
        self._serving = asyncio.create_task(self._worker.serve(asked), name="arvo worker")
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait([self._serving, ended], return_when=asyncio.FIRST_COMPLETED)
            if not self._ended.is_set():
                await self._serving
        except BaseException:
            await self._life.aclose(grace=timedelta(0))
            raise
        finally:
            self._ended.set()
            ended.cancel()
            await self._stop_serving()

    async def drain(self) -> None:
        """Receive nothing more, settle what is in hand, and close. Idempotent.

        What sleeps between two tries is given back.

        Raises:
            ConfigViolation: A handler or listener of this broker awaits it.
        """
        await self._life.drain()
        await self._stop_serving()

    async def aclose(self, *, grace: timedelta = DEFAULT_GRACE) -> None:
        """Receive nothing more, let what runs finish, give the rest back, and close. Idempotent.

        Other workers have immediately what is given back, and that is no dead letter.

        Args:
            grace: How long what runs may take before it is cancelled and given back as well.

        Raises:
            TypeError: `grace` is not a timedelta.
            ValueError: `grace` is below zero.
        """
        check_duration(grace, name="grace")
        await self._life.aclose(grace=grace)
        await self._stop_serving()

    # --- inside -------------------------------------------------------------

    async def _stop_serving(self) -> None:
        self._ended.set()
        serving = self._serving
        if serving is not None and not serving.done():
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

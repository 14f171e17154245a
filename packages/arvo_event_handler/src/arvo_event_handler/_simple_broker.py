"""The plain broker: carries events between handlers in the process, first in, first out."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import timedelta
from random import Random
from typing import Final, NamedTuple

from arvo_core import ArvoEvent
from arvo_time import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock
from arvo_time.logs import bounded_logger
from arvo_time.settings import check_async, check_clock, check_duration, check_random

from ._errors import (
    ConfigViolation,
    ResolveError,
    RetryableFailure,
    RetryLater,
    UndeliveredError,
    UnroutableError,
)
from ._handler import IArvoEventHandler, check_handler
from .delivery._contention import CONTENTION_TIMEOUT
from .delivery._dead_letter_log import log_dead_letter
from .delivery._failed_try import ErrorResponse, FailedTry
from .delivery._guarded_call import guarded_call
from .delivery._handler_config import HandlerConfig, HandlerDefaults
from .delivery._handler_runner import HandlerRunner
from .delivery._handler_table import HandlerTable
from .delivery._listeners import BrokerErrorListener, DomainedEventListener
from .delivery._trial import Trial
from .delivery._verdict import GiveUp, TryAgain
from .delivery._workflow_in_hand import in_hand, is_in_hand

_logger = bounded_logger("arvo_event_handler")

_SUSPICIOUS_EVENT_COUNT: Final = 10_000


def _only_where_asked(failed: FailedTry) -> ErrorResponse:
    """Retry immediately what asks for that, and nothing else."""
    asks = isinstance(failed.error, RetryableFailure | RetryLater)
    return ErrorResponse.RETRY if asks else ErrorResponse.THROW


_DEFAULTS: Final = HandlerDefaults(on_error=_only_where_asked)


class _Listening(NamedTuple):
    """A handler and the runner that tries its events."""

    handler: IArvoEventHandler
    runner: HandlerRunner


class _CausalTree:
    """An event, all events that it led to, and those of them that are still on their way."""

    __slots__ = (
        "_ids",
        "_subjects",
        "answer",
        "answer_to",
        "failures",
        "queue",
        "refusal",
        "root",
    )

    def __init__(self, root: ArvoEvent, answer_to: str | None) -> None:
        self.root = root
        # Each with whether a handler emitted it; else it came from outside, whatever its domain says.
        self.queue: deque[tuple[ArvoEvent, bool]] = deque()
        self.answer_to = answer_to
        self.answer: ArvoEvent | None = None
        self.failures: list[tuple[ArvoEvent, Exception]] = []
        self.refusal: ConfigViolation | None = None  # an event would have waited for its asker
        self._ids: set[str] = set()
        self._subjects: set[str] = set()
        self.add(root, emitted=False)

    def add(self, event: ArvoEvent, *, emitted: bool) -> None:
        self._ids.add(event.id)
        if len(self._ids) % _SUSPICIOUS_EVENT_COUNT == 0:
            _logger.warning(
                "event %s of type %s has led to %d events so far; does a workflow ask again at "
                "every answer? The latest is of type %s, for %s",
                self.root.id,
                self.root.type,
                len(self._ids),
                event.type,
                event.to,
            )
        self._subjects.add(event.subject)
        self.queue.append((event, emitted))

    def caused(self, event: ArvoEvent) -> bool:
        # An id is unique for its source only, so the subject must be known as well.
        return event.parentid in self._ids and event.subject in self._subjects


class SimpleEventBroker:
    """Carries events to handlers by `to`, without a server, a worker or a delay.

    Each `publish` and each `resolve` works off its own causal tree, the event and all events that
    it leads to, in the task that called it: first in, first out within a tree, any number of trees
    concurrently. An event whose workflow is being handled in another tree waits for it.

    An event with a domain is for the outside: it goes to `on_domained_event`. An event without a
    handler is an `UnroutableError`. Neither stops the rest of the tree.

    A failure that asks for another try, `RetryableFailure` or `RetryLater`, is tried again in
    place, as the handler's `retry` says; nothing else is.

    It fires no timers, deadlines or delayed requests of workflows: run such workflows with
    `ConcurrentEventBroker` or `DistributedEventBroker`, one of which may share the memory. What a
    handler without a record emits for later is refused: its event has failed.

    A handler may await `publish` and `resolve`, but not for the workflow that it is handling: that
    would wait for itself.

    TypeScript: `createSimpleEventBroker`.

    Args:
        handlers: Handlers to subscribe; sources must be unique.
        on_domained_event: Awaited for each event with a domain, within the tree. What it
            publishes in return belongs to the tree when its `parentid` does. None: such an event
            is an `UnroutableError`.
        on_error: Awaited for each event that could not be handled. None: `publish` logs it;
            `resolve` raises it when no answer came, and logs it when one did.
        contention_timeout: How long an event waits for a workflow that is handling other events;
            the wait starts again when another event commits first. It should be at least
            `max_hold` plus `ttl` of the memory's `LockPolicy`, or a step that is merely long makes
            the others fail.
        clock: For that wait, and for the pauses between tries.
        random: For the jitter of both.

    Raises:
        ConfigViolation: Two handlers have the same source.
        TypeError: A handler lacks a part of `IArvoEventHandler` or its `retry` is not a
            `RetryPolicy`, a listener is not async, `contention_timeout` is not a timedelta,
            `clock` not a `Clock` or `random` not a `Random`.
        ValueError: `contention_timeout` is negative.

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
        >>> answer = asyncio.run(SimpleEventBroker([echo]).resolve(request))
        >>> answer.data
        {'text': 'hello'}
    """

    def __init__(
        self,
        handlers: Iterable[IArvoEventHandler],
        *,
        on_domained_event: DomainedEventListener | None = None,
        on_error: BrokerErrorListener | None = None,
        contention_timeout: timedelta = CONTENTION_TIMEOUT,
        clock: Clock = SYSTEM_CLOCK,
        random: Random = SYSTEM_RANDOM,
    ) -> None:
        if on_domained_event is not None:
            check_async(on_domained_event, name="on_domained_event")
        if on_error is not None:
            check_async(on_error, name="on_error")
        check_duration(contention_timeout, name="contention_timeout")
        self._clock = check_clock(clock)
        check_random(random)
        self._handlers: HandlerTable[_Listening] = HandlerTable()
        for handler in handlers:
            check_handler(handler)
            self._handlers.check_free(handler.source)
            runner = HandlerRunner(
                handler,
                settings=HandlerConfig(handler).settled(_DEFAULTS),
                contention_timeout=contention_timeout,
                clock=clock,
                random=random,
                logger=_logger,
            )
            self._handlers[handler.source] = _Listening(handler, runner)
        self._on_domained_event = on_domained_event
        self._on_error = on_error
        self._trees: list[_CausalTree] = []

    async def publish(self, event: ArvoEvent) -> None:
        """Handle an event and all events that it leads to.

        An event caused by one of a tree being worked off joins that tree and returns immediately.
        An answer to an address without a handler is an `UnroutableError`: to get it, `resolve`.

        Raises:
            ConfigViolation: A handler awaits this, and the event is for the workflow that it is
                handling.
        """
        await self._publish(event, self._trees)

    async def resolve(self, event: ArvoEvent, *, answer_to: str | None = None) -> ArvoEvent | None:
        """Handle an event and all events that it leads to, and return the answer.

        Of two equal requests made concurrently, each gets its answer only if what is asked outside
        gives equal answers, as it does with ids that are derived from the request's id.

        Args:
            event: The request.
            answer_to: The address that the answer goes to; None for the event's `source`.

        Returns:
            The first event of the tree addressed to `answer_to`, once the whole tree has ended;
            None when it ended without one and without a failure.

        Raises:
            ConfigViolation: `answer_to` is a handler's topic, so answers would go to it. Or a
                handler awaits this, and the event is for the workflow that it is handling.
            ResolveError: The tree ended without an answer because something failed.
        """
        address = answer_to or event.source
        self._handlers.check_answer_address(address)
        if (refusal := self._self_wait(event)) is not None:
            raise refusal
        tree = _CausalTree(event, answer_to=address)
        await self._work_off(tree)
        if tree.answer is None and tree.refusal is not None:
            raise tree.refusal
        if tree.answer is None and tree.failures:
            raise ResolveError(event, failures=tree.failures) from tree.failures[0][1]
        if self._on_error is None:
            for failed, error in tree.failures:
                log_dead_letter(failed, error=error, handler=failed.to, logger=_logger)
        return tree.answer

    async def _publish(self, event: ArvoEvent, candidates: Sequence[_CausalTree]) -> None:
        """Let an event join the first tree that caused it, or become one of its own."""
        for tree in candidates:
            if tree.caused(event):
                tree.add(event, emitted=False)
                return
        if (refusal := self._self_wait(event)) is not None:
            raise refusal
        await self._work_off(_CausalTree(event, answer_to=None))

    async def _work_off(self, tree: _CausalTree) -> None:
        self._trees.append(tree)
        try:
            while tree.queue:
                event, emitted = tree.queue[0]
                await self._carry(event, tree, emitted=emitted)
                tree.queue.popleft()
                # Handlers may never wait, but timers and signals must get their turn.
                await asyncio.sleep(0)
        finally:
            self._trees.remove(tree)
            # Left only when this task was cancelled; other tasks may rely on these events.
            for event, _ in tuple(tree.queue):
                await self._fail(event, UndeliveredError(event), tree)

    async def _carry(self, event: ArvoEvent, tree: _CausalTree, *, emitted: bool) -> None:
        """Deliver one event to its address."""
        try:
            if emitted and event.domain is not None:
                await self._send_outside(event, tree)
            elif event is not tree.root and event.to == tree.answer_to is not None:
                _keep_answer(event, tree)
            elif (refusal := self._self_wait(event)) is not None:
                tree.refusal = refusal
                raise refusal
            else:
                for outcome in await self._handle(event):
                    tree.add(outcome, emitted=True)
        except Exception as error:
            await self._fail(event, error, tree)

    async def _handle(self, event: ArvoEvent) -> Sequence[ArvoEvent]:
        listening = self._handlers.get(event.to or event.type)
        if listening is None:
            raise UnroutableError(event)
        if not listening.handler.stateful:
            return await self._try_until_decided(listening.runner, event)
        with in_hand(listening.handler, event.subject):
            return await self._try_until_decided(listening.runner, event)

    def _self_wait(self, event: ArvoEvent) -> ConfigViolation | None:
        """Return an error if an event would wait for the workflow that its sender is handling."""
        listening = self._handlers.get(event.to or event.type)
        if listening is None or not is_in_hand(listening.handler, event.subject):
            return None
        return ConfigViolation(
            f"event {event.id!r} of type {event.type!r} is for the workflow that its sender is "
            "handling, so it would wait for itself; return it as an output instead of awaiting "
            "the broker"
        )

    async def _try_until_decided(
        self, runner: HandlerRunner, event: ArvoEvent
    ) -> Sequence[ArvoEvent]:
        """Run a handler, again after contention, and after failures that ask for it.

        Raises:
            Exception: What the last try ended with.
        """
        trial = Trial(event, context=None, redelivered=True)
        while isinstance(verdict := await runner.run(trial), TryAgain):
            await self._clock.sleep(verdict.after)
        if isinstance(verdict, GiveUp):
            raise verdict.letter.error
        return verdict.outputs

    async def _send_outside(self, event: ArvoEvent, tree: _CausalTree) -> None:
        if self._on_domained_event is None:
            raise UnroutableError(event)

        async def publish(reply: ArvoEvent) -> None:
            # Equal requests cause equal events: a reply belongs to the tree that asked, unless it
            # comes after that tree has ended.
            asking = [tree] if tree in self._trees else []
            await self._publish(reply, [*asking, *self._trees])

        await guarded_call(None, self._on_domained_event, event, publish)

    async def _fail(self, event: ArvoEvent, error: Exception, tree: _CausalTree) -> None:
        tree.failures.append((event, error))
        if self._on_error is None:
            if tree.answer_to is None:
                log_dead_letter(event, error=error, handler=event.to, logger=_logger)
            return
        try:
            await guarded_call(None, self._on_error, event, error)
        except Exception:
            _logger.exception("on_error itself failed for event %s", event.id)


def _keep_answer(event: ArvoEvent, tree: _CausalTree) -> None:
    if tree.answer is None:
        tree.answer = event
    else:
        _logger.info("event %s of type %s is a further answer", event.id, event.type)

"""One `arvo worker`: its options, and how its parts are put together."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from difflib import get_close_matches
from functools import partial
from typing import Final, TypeVar

from arvo_cli._backend._concurrency import DEFAULT
from arvo_cli._backend._engine_url import place_of, scheme_of, without_secret
from arvo_cli._backend._memory_url import memory_for
from arvo_cli._backend._transport_url import engine_errors, transport_for
from arvo_cli._errors import CommandError, NotReachedError, RefusedError, one_line
from arvo_cli._options._values import LogLevel
from arvo_cli._target._target import Target, load_target
from arvo_cli._terminal._interrupt import interrupts, woken_by_signals
from arvo_cli._terminal._log import shown_logs
from arvo_cli._terminal._printable import printable
from arvo_cli._terminal._report import counted
from arvo_event_handler import ConfigViolation, IArvoEventHandler, IMachineMemory
from arvo_event_handler.delivery import HandlerDefaults
from arvo_time import SYSTEM_CLOCK, Backoff
from arvo_transport import DistributedEventBroker, IEventTransport

from ._health import serving_health
from ._life import Stage, WorkerLife
from ._worker import DRAINED, Worker

T = TypeVar("T")

_BETWEEN_TRIES: Final = Backoff(initial=timedelta(milliseconds=250), maximum=timedelta(seconds=5))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJob:
    """The options of `arvo worker`."""

    target: str
    """A folder, or `module:factory`."""
    flavour: str | None
    """Which handlers the factory makes; None for its default."""
    transport: str
    """The transport's URL."""
    memory: str | None
    """The machine memory's URL; None where no workflow is served."""
    handlers: Sequence[str]
    """The sources of the handlers to serve; empty for all."""
    prefetch: int | None
    """How many events each handler works on at a time; None for the default."""
    health: tuple[str, int] | None
    """Host and port of the health checks; None for none."""
    grace: timedelta
    """How long what is in hand may take once the worker is to end."""
    wait_for_transport: timedelta
    """How long the engines of memory and transport may be away at the start."""
    newer_patience: timedelta
    """How long an event that needs newer code is left to newer workers."""
    log_level: LogLevel
    """The lowest level of log records that are shown."""

    def run(self) -> int:
        """Serve until a signal comes, and return the exit status.

        Raises:
            CommandError: The worker cannot start, or the engine was never reached.
        """
        if self.memory is not None and scheme_of(self.memory) == "memory":
            raise CommandError(
                "--memory memory: is within one process, and other workers would not find the "
                "workflows in it; name one that all of them share, such as redis://localhost"
            )
        life = WorkerLife(say=_say, clock=SYSTEM_CLOCK)
        life.enter(Stage.STARTING, f"{self.target} on {place_of(self.transport)}")
        try:
            # Outside the event loop, so that Ctrl-C interrupts an import that does not end.
            target = load_target(self.target)
            with ExitStack() as opened:
                opened.enter_context(shown_logs(self.log_level, say=_say))
                gc.freeze()  # what was imported stays to the end
                opened.callback(gc.unfreeze)
                return asyncio.run(self._run(target, life))
        except KeyboardInterrupt:
            if life.phase.stage is not Stage.STARTING:
                raise
            life.enter(Stage.ENDED, "it was never ready")
            return DRAINED

    async def _run(self, target: Target, life: WorkerLife) -> int:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(woken_by_signals())
            serving: list[DistributedEventBroker] = []
            if self.health is not None:
                status = partial(_status, life, serving)
                port = await stack.enter_async_context(
                    serving_health(self.health, life=life, status=status)
                )
                life.note(f"health at http://{self.health[0]}:{port}")
            memory = await self._reached(stack, life, self._opened_memory)
            handlers = self._served(target.create_handlers(memory, flavour=self.flavour))
            transport = await self._reached(stack, life, self._transport)
            with engine_errors("use", self.transport):
                broker = self._broker(handlers, transport, target)
                serving.append(await stack.enter_async_context(broker))
                worker = Worker(
                    broker,
                    grace=self.grace,
                    life=life,
                    what=self._what(handlers),
                    shown=partial(without_secret, url=self.transport),
                    clock=SYSTEM_CLOCK,
                )
                with interrupts(worker.stop, worker.give_back, last=worker.abandon):
                    return await worker.run()

    async def _reached(
        self,
        stack: AsyncExitStack,
        life: WorkerLife,
        opened: Callable[[], AbstractAsyncContextManager[T]],
    ) -> T:
        """Open a memory or a transport; wait for its engine, which may be about to start.

        Raises:
            NotReachedError: It was not there in time.
        """
        began, tried = SYSTEM_CLOCK.monotonic(), 0
        while True:
            try:
                return await stack.enter_async_context(opened())
            except NotReachedError as error:
                waited = timedelta(seconds=SYSTEM_CLOCK.monotonic() - began)
                if not error.passing or waited >= self.wait_for_transport:
                    raise
                life.enter(Stage.STARTING, str(error))
            await SYSTEM_CLOCK.sleep(_BETWEEN_TRIES.delay(tried))
            tried += 1

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[IEventTransport]:
        async with transport_for("reach", self.transport) as transport:
            await transport.ping()
            yield transport

    @asynccontextmanager
    async def _opened_memory(self) -> AsyncIterator[IMachineMemory]:
        url = DEFAULT if self.memory is None else self.memory
        try:
            async with memory_for("reach", url) as memory:
                yield memory
        except RefusedError as error:
            # Whose status says of a worker that it has given something back.
            raise NotReachedError(str(error), passing=False) from error

    def _broker(
        self, handlers: list[IArvoEventHandler], transport: IEventTransport, target: Target
    ) -> DistributedEventBroker:
        defaults = None if self.prefetch is None else HandlerDefaults(prefetch=self.prefetch)
        try:
            return DistributedEventBroker(
                handlers,
                transport=transport,
                defaults=defaults,
                on_domained_event=target.listener,
                newer_patience=self.newer_patience,
            )
        except (ConfigViolation, ValueError) as error:
            raise CommandError(f"{self.target} cannot be served: {one_line(error)}") from error

    def _served(self, handlers: list[IArvoEventHandler]) -> list[IArvoEventHandler]:
        """Return the handlers that this worker is to serve.

        Raises:
            CommandError: One is not there, or is a workflow and no memory was given.
        """
        known = {handler.source: handler for handler in handlers}
        for name in self.handlers:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"choose among {', '.join(known)}"
                raise CommandError(f"--handlers: {self.target} has no handler {name!r}; {hint}")
        served = [known[name] for name in dict.fromkeys(self.handlers)] or handlers
        workflows = [handler.source for handler in served if handler.stateful]
        if workflows and self.memory is None:
            raise CommandError(
                f"{workflows[0]} is a workflow, so it needs a --memory that all workers share, such "
                "as redis://localhost; --handlers serves others without it"
            )
        return served

    def _what(self, handlers: Sequence[IArvoEventHandler]) -> str:
        return f"{counted(len(handlers), 'handler')} of {self.target} on {place_of(self.transport)}"


def _say(text: str) -> None:
    import typer

    typer.echo(printable(text), err=True)


def _status(life: WorkerLife, serving: Sequence[DistributedEventBroker]) -> object:
    phase = life.phase
    shown: dict[str, object] = {"state": phase.stage.value, "reason": phase.detail}
    if serving:
        shown["stats"] = asdict(serving[0].stats)
    return shown

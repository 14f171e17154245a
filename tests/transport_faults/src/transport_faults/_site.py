"""The processes of a test, and what they work on."""

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final, Self, TypeVar

from arvo_transport import Done, IEventTransport, TopicSpec, TransportError, connect_transport

from ._engine import Engine
from ._engines import ENGINES
from ._events import DONE
from ._findings import Findings
from ._ledger import Ledger
from ._relayout import relayout
from ._roles import Death, Role, WorkerSettings
from ._worker import work, working

T = TypeVar("T")

_LOOK: Final = 0.02
_AT_MOST: Final = timedelta(seconds=60)


@dataclass(slots=True, eq=False)
class WorkerProcess:
    """A worker."""

    number: int
    """Its number, in the order in which they were started."""
    process: BaseProcess
    """Its process."""

    def signal(self, which: signal.Signals) -> None:
        """Send a signal; to a process that has ended, nothing."""
        if self.process.is_alive() and self.process.pid is not None:
            os.kill(self.process.pid, which)

    def freeze(self) -> None:
        """Stop it, and return when it stands still."""
        self.signal(signal.SIGSTOP)
        stat = Path(f"/proc/{self.process.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] in "RSD":
            time.sleep(0.001)

    async def ended(self) -> int:
        """Wait for its end, and return its exit status: below zero, the signal that ended it."""
        await until(lambda: not self.process.is_alive(), f"worker {self.number} ends")
        status = self.process.exitcode
        assert status is not None
        return status


@dataclass(slots=True, kw_only=True)
class Site:
    """A namespace of an engine, and the workers there; made by `open`."""

    engine: Engine
    """The engine."""
    folder: Path
    """Where the ledger is."""
    partitions: int
    """How many parts an ordered topic gets."""
    lease: timedelta
    """How long the engine waits for a word from a worker."""
    namespace: str = field(default_factory=lambda: secrets.token_hex(8))
    """The prefix of all names."""
    workers: list[WorkerProcess] = field(default_factory=list)
    """The processes that were started."""
    ledger: Ledger = field(init=False)
    """What they have done."""
    _started: int = field(default=0, init=False)
    _processes: list[BaseProcess] = field(default_factory=list, init=False)

    @classmethod
    @contextmanager
    def open(
        cls,
        engine: Engine,
        *,
        folder: Path,
        partitions: int = 16,
        lease: timedelta = timedelta(seconds=1),
    ) -> Iterator[Self]:
        """Open a site, and kill all its workers at the end."""
        site = cls(engine=engine, folder=folder, partitions=partitions, lease=lease)
        site.ledger = Ledger(site._ledger_path)
        try:
            yield site
        finally:
            site._close()

    def url(self, *, port: int | None = None) -> str:
        """Return the URL of the transport, perhaps through a proxy."""
        return self.engine.url(
            namespace=self.namespace, lease=self.lease, partitions=self.partitions, port=port
        )

    def connect(self, *, port: int | None = None) -> AbstractAsyncContextManager[IEventTransport]:
        """Connect this process."""
        return connect_transport(self.url(port=port))

    def start(
        self,
        *roles: Role,
        death: Death | None = None,
        suspect_after: int = 3,
        max_deliveries: int = 6,
        workflows: tuple[str, str] | None = None,
    ) -> WorkerProcess:
        """Start a worker.

        Args:
            roles: Its handlers.
            death: When it kills itself; None leaves it alive.
            suspect_after: As for its broker.
            max_deliveries: As for its broker.
            workflows: As `WorkerSettings.workflows`.
        """
        settings = self._settings(
            roles,
            death=death,
            suspect_after=suspect_after,
            max_deliveries=max_deliveries,
            workflows=workflows,
        )
        process = self._run(work, settings)
        worker = WorkerProcess(settings.number, process)
        self.workers.append(worker)
        return worker

    @asynccontextmanager
    async def here(self, *roles: Role) -> AsyncIterator[int]:
        """Let this process be a worker for as long as the block lasts; yields its number."""
        settings = self._settings(roles)
        async with working(settings):
            yield settings.number

    def start_relayout(self, topic: str, *, partitions: int) -> BaseProcess:
        """Start a process that gives a topic other partitions."""
        return self._run(relayout, self.url(), topic, partitions)

    async def ready(self, *workers: WorkerProcess) -> None:
        """Wait until workers receive events."""
        numbers = {worker.number for worker in workers}
        await until(
            lambda: numbers <= {each.worker for each in self.ledger.read() if each.what == "ready"},
            f"the workers {sorted(numbers)} receive events",
        )

    async def drain(self, *workers: WorkerProcess) -> Sequence[int]:
        """End workers in good order, and return their exit statuses."""
        await self.ready(*workers)
        for worker in workers:
            worker.signal(signal.SIGTERM)
        return [await worker.ended() for worker in workers]

    def findings(self, topic: str) -> Findings:
        """Return what the ledger says of a topic."""
        dead = [each.number for each in self.workers if each.process.exitcode == -signal.SIGKILL]
        return Findings.of(self.ledger.read(), topic=topic, dead=dead)

    async def declare(self, transport: IEventTransport, *roles: Role) -> None:
        """Declare the topics of handlers, and that of their outputs."""
        specs = [
            TopicSpec(role.topic, order="subject" if role.ordered else "none") for role in roles
        ]
        await transport.declare([*specs, TopicSpec(DONE)])

    async def until_empty(
        self, transport: IEventTransport, *topics: str, at_most: timedelta = _AT_MOST
    ) -> None:
        """Wait until nothing waits in any of the topics, and nothing is in hand."""
        what = f"nothing is left in {', '.join(topics)}"
        await until(lambda: is_empty(transport, *topics), what, at_most=at_most)

    async def outputs(self, transport: IEventTransport) -> Sequence[str]:
        """Take all outputs of handlers, and return their ids; only while no worker runs."""
        found: list[str] = []
        left = (await transport.depth(DONE)).waiting
        async with transport.inbox(TopicSpec(DONE), prefetch=100) as inbox:
            while len(found) < left:
                async with limited(f"only {len(found)} of {left} outputs were handed out"):
                    received = await inbox.receive(100)
                found += [each.event.id for each in received]
                await asyncio.gather(*(inbox.settle(each, Done()) for each in received))
        return found

    def _run(self, target: Callable[..., None], *arguments: object) -> BaseProcess:
        context = get_context("forkserver")
        # A process starts quickly when forked from one that has imported everything.
        context.set_forkserver_preload(
            ["transport_faults._worker", *(engine.package for engine in ENGINES)]
        )
        process = context.Process(target=target, args=arguments, daemon=True)
        process.start()
        self._processes.append(process)
        return process

    def _settings(
        self,
        roles: tuple[Role, ...],
        *,
        death: Death | None = None,
        suspect_after: int = 3,
        max_deliveries: int = 6,
        workflows: tuple[str, str] | None = None,
    ) -> WorkerSettings:
        self._started += 1
        return WorkerSettings(
            number=self._started,
            url=self.url(),
            ledger=str(self._ledger_path),
            roles=roles,
            death=death,
            suspect_after=suspect_after,
            max_deliveries=max_deliveries,
            workflows=workflows,
        )

    @property
    def _ledger_path(self) -> Path:
        return self.folder / f"ledger-{self.namespace}"

    def _close(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
        self.ledger.close()


async def is_empty(transport: IEventTransport, *topics: str) -> bool:
    """Return whether nothing waits in any of the topics, and nothing is in hand."""
    depths = [await transport.depth(topic) for topic in topics]
    return not any(each.waiting + each.in_hand + each.delayed for each in depths)


async def insisted(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call until the engine has done it."""
    async with limited("the engine did not do what it was asked for again and again"):
        while True:
            try:
                return await call()
            except TransportError as error:
                if not error.retryable:
                    raise


async def until(
    condition: Callable[[], bool | Awaitable[bool]], what: str, *, at_most: timedelta = _AT_MOST
) -> None:
    """Wait for a condition, and fail when it does not come true.

    Args:
        condition: Whether it is true.
        what: What comes true, for the failure.
        at_most: How long to wait.

    Raises:
        TimeoutError: It did not within `at_most`.
    """
    async with limited(f"waited for this in vain: {what}", at_most=at_most):
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await asyncio.sleep(_LOOK)


@asynccontextmanager
async def limited(failure: str, *, at_most: timedelta = _AT_MOST) -> AsyncIterator[None]:
    """Fail with a sentence when the block does not end.

    Raises:
        TimeoutError: It did not within `at_most`.
    """
    limit = asyncio.timeout(at_most.total_seconds())
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(f"{failure} ({at_most.total_seconds():g} s)") from error
        raise

"""A seeded simulation of nested workflows over several workers, which die, freeze and are replaced.

All random choices come from one generator and every wait is on a fake clock, so a seed always gives
the same run.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from random import Random

from opentelemetry.context import Context
from typing_extensions import override

from arvo_concurrent import ConcurrentMachineMemory
from arvo_core import ArvoEvent
from arvo_event_handler import (
    ExecutionPolicy,
    ExecutionViolation,
    IArvoEventHandler,
    IWorkflowHandler,
    TransactionViolation,
    UnroutableError,
)
from arvo_event_handler.delivery import DeadLetter, HandlerDefaults
from arvo_event_handler.memory import LockPolicy
from arvo_time import Backoff, RetryPolicy
from arvo_time.testing import FakeClock
from arvo_transport import (
    DistributedEventBroker,
    InMemoryEngine,
    InMemoryTransport,
    TopicSpec,
    TransportClosedError,
)

from .mortal_worker import Fate, Mortal, mortal_memory
from .nested_flow import APP, World, flow_of, init_of, requests_of, right_answer

TTL = timedelta(seconds=3)
PATIENCE = timedelta(seconds=6)
MILLISECOND = timedelta(milliseconds=1)
MOST_LOSSES = 5  # an event that was in hand each time is delivered once more than that


class WatchedHandler(IArvoEventHandler):
    """Runs a handler with delays and failures, and sees which runs overlap.

    Args:
        handler: The handler to run.
        simulation: Chooses the delays and failures.
        mortal: The worker that it runs in.
    """

    def __init__(
        self, handler: IArvoEventHandler, simulation: "Simulation", mortal: Mortal
    ) -> None:
        self._handler = handler
        self._simulation = simulation
        self._mortal = mortal

    @property
    @override
    def source(self) -> str:
        return self._handler.source

    @property
    @override
    def stateful(self) -> bool:
        return self._handler.stateful

    @override
    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        return await self._run(event, self._handler.execute)

    async def _run(
        self, event: ArvoEvent, execute: Callable[[ArvoEvent], Awaitable[list[ArvoEvent]]]
    ) -> list[ArvoEvent]:
        simulation = self._simulation
        if not self.stateful:
            simulation.maybe_fail(event)
            return await execute(event)
        running = simulation.running[self.source, event.subject]
        if any(not other.dead for other in running):
            simulation.overlaps.append(event.subject)
        running.append(self._mortal)
        try:
            simulation.maybe_fail(event)
            outputs = await execute(event)
            await simulation.maybe_freeze(self._mortal)
            await simulation.take_time()
            simulation.maybe_fail(event)
        finally:
            running.remove(self._mortal)
        if not self._mortal.dead:
            simulation.note_ends(outputs)
        return outputs


class WatchedWorkflow(WatchedHandler, IWorkflowHandler):
    """A `WatchedHandler` over a workflow."""

    def __init__(self, handler: IWorkflowHandler, simulation: "Simulation", mortal: Mortal) -> None:
        super().__init__(handler, simulation, mortal)
        self._workflow = handler
        self.memory = handler.memory

    @override
    async def execute(
        self, event: ArvoEvent, *, redelivered: bool = True, parent: Context | None = None
    ) -> list[ArvoEvent]:
        return await self._run(event, partial(self._workflow.execute, redelivered=redelivered))

    @override
    async def owed(self, subject: str) -> list[ArvoEvent]:
        return await self._workflow.owed(subject)


class Simulation(World, Fate):
    """One run: several parents, each with children and grandchildren, over several workers.

    Args:
        seed: Seed of all random choices.
    """

    def __init__(self, seed: int) -> None:
        self._tasks_before = asyncio.all_tasks()
        self.chance = Random(seed)
        self.clock = FakeClock()
        self.memory = ConcurrentMachineMemory(
            policy=LockPolicy(ttl=TTL, max_hold=TTL, max_wait=self.chance.choice([0, 1]) * TTL / 6),
            chunk_bytes=self.chance.choice([0, 1000, 4096]),
            clock=self.clock,
        )
        self.engine = InMemoryEngine(clock=self.clock, patience=PATIENCE)
        self.client = InMemoryTransport(self.engine)
        self.faults = self.chance.randrange(20) if self.chance.random() < 0.7 else 0
        self.freezes = self.chance.randrange(1, 4) if self.chance.random() < 0.3 else 0
        """How often a worker says nothing to its engine for too long."""
        self.deaths = self.chance.randrange(MOST_LOSSES - self.freezes + 1)
        self.likelihood = self.chance.choice([0.02, 0.1, 0.3])
        self.may_overlap = self.freezes > 0
        """Whether two workers may have one subject, as the engine has given up on one of them."""
        self.ledger: dict[tuple[str, str], tuple[str, int]] = {}
        """What the services booked, by source and id of the request."""
        self.ends: dict[tuple[str, str], set[str]] = defaultdict(set)
        """The completions of each workflow, by handler and id of the init event."""
        self.running: dict[tuple[str, str], list[Mortal]] = defaultdict(list)
        """Who handles an event of a workflow, by handler and subject."""
        self.overlaps: list[str] = []
        """Subjects of which two events were handled concurrently."""
        self.answers: dict[str, int] = {}
        """What the application received, by the init event's id."""
        self.letters: list[DeadLetter] = []
        self.errors: list[tuple[ArvoEvent, Exception]] = []
        self.over = asyncio.Event()
        self.values = [
            [self.chance.randrange(1_000) for _ in range(self.chance.randrange(1, 3))]
            for _ in range(self.chance.randrange(1, 3))
        ]
        self.inits = [init_of(index, values) for index, values in enumerate(self.values)]

    async def play(self) -> None:
        """Start every parent, some twice, and wait until all is done and every worker has ended."""
        await self.clock.run_until_complete(self._play())

    async def _play(self) -> None:
        await self.client.declare([TopicSpec(APP, kind="answers")])
        async with asyncio.TaskGroup() as workers:
            for _ in range(self.chance.randrange(2, 4)):
                workers.create_task(self._keep_alive())
            async with asyncio.TaskGroup() as asking:
                for init in self.inits:
                    asking.create_task(self._ask(init))
            while not await self._all_empty():
                await self.clock.sleep(timedelta(seconds=1))
            self.over.set()
        await self.client.aclose()

    async def _ask(self, init: ArvoEvent) -> None:
        await self._some_time()
        while True:
            try:
                await self.client.publish([init])
            except UnroutableError:
                await self.clock.sleep(timedelta(seconds=1))
                continue
            break
        if self.chance.random() < 0.4:
            await self._some_time()
            await self.client.publish([init], again=self.chance.choice(["", "client:again"]))
        async with self.client.answers(APP) as box:
            answer = await box.wait(init.id)
        self.answers[init.id] = answer.data.get("value", -1)

    async def _some_time(self) -> None:
        await self.clock.sleep(self.chance.randrange(3_000) * MILLISECOND)

    async def _all_empty(self) -> bool:
        depths = [await self.client.depth(topic.name) for topic in await self.client.topics()]
        return not any(depth.waiting or depth.in_hand or depth.delayed for depth in depths)

    # --- workers ------------------------------------------------------------

    async def _keep_alive(self) -> None:
        """Run a worker, and another one when it has ended, until everything is over."""
        while not self.over.is_set():
            calls = None
            if self.deaths and self.chance.random() < 0.7:
                self.deaths -= 1
                calls = self.chance.randrange(1, 200)
            await self._live(Mortal(self.engine, fate=self, calls=calls))
            await self._some_time()

    async def _live(self, mortal: Mortal) -> None:
        async with self._broker(mortal) as broker:
            running = asyncio.create_task(broker.run())
            over = asyncio.create_task(self._end(broker))
            await asyncio.wait([running, over], return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
            await asyncio.gather(running, over, return_exceptions=True)
            error = running.exception()
            if error is not None and not (mortal.dead and isinstance(error, TransportClosedError)):
                raise error
        await mortal.client.aclose()

    async def _end(self, broker: DistributedEventBroker) -> None:
        """End a worker in good order, when it is time."""
        limit = timedelta(days=1)
        if self.chance.random() < 0.5:
            limit = self.chance.randrange(1, 20_000) * MILLISECOND
        try:
            async with self.clock.timeout(limit):
                await self.over.wait()
        except TimeoutError:
            pass
        if self.over.is_set() or self.chance.random() < 0.5:
            await broker.drain()
        else:
            await broker.aclose(grace=self.chance.choice([timedelta(0), TTL]))

    def _broker(self, mortal: Mortal) -> DistributedEventBroker:
        handlers = flow_of(
            self,
            memory=mortal_memory(self.memory, mortal),
            policy=ExecutionPolicy(
                warm_bytes=self.chance.choice([0, 64 * 1024 * 1024]), clock=self.clock
            ),
        )
        return DistributedEventBroker(
            [self._watched(each, mortal) for each in handlers],
            transport=mortal.client,
            defaults=HandlerDefaults(
                prefetch=self.chance.randrange(1, 9),
                timeout=self.chance.choice([None, 4 * TTL]),
                retry=RetryPolicy(
                    retries=1_000, backoff=Backoff(initial=MILLISECOND, maximum=TTL / 3)
                ),
            ),
            on_dead_letter=self._bury,
            on_broker_error=self._note_error,
            contention_timeout=timedelta(hours=1),
            hold_at_most=self.chance.choice([timedelta(0), timedelta(seconds=30)]),
            clock=self.clock,
            random=Random(self.chance.random()),
        )

    def _watched(self, handler: IArvoEventHandler, mortal: Mortal) -> WatchedHandler:
        if isinstance(handler, IWorkflowHandler):
            return WatchedWorkflow(handler, self, mortal)
        return WatchedHandler(handler, self, mortal)

    async def _bury(self, letter: DeadLetter) -> None:
        self.letters.append(letter)

    async def _note_error(self, event: ArvoEvent, error: Exception) -> None:
        self.errors.append((event, error))

    # --- faults -------------------------------------------------------------

    @override
    async def take_time(self) -> None:
        if self.strikes():
            await self.clock.sleep(TTL * self.chance.uniform(1, 3))
        elif self.chance.random() < 0.3:
            await self.clock.sleep(self.chance.randrange(200) * MILLISECOND)

    def maybe_fail(self, event: ArvoEvent) -> None:
        """Fail now and then, with an error that a retry may fix."""
        if not self.strikes():
            return
        match self.chance.randrange(3):
            case 0:
                raise ConnectionError("no answer")
            case 1:
                raise ExecutionViolation("not now", retryable=True)
            case _:
                raise TransactionViolation.version_moved(event.subject)

    @override
    def strikes(self) -> bool:
        if self.faults == 0 or self.chance.random() >= self.likelihood:
            return False
        self.faults -= 1
        return True

    async def maybe_freeze(self, worker: Mortal) -> None:
        """Let a worker do nothing now and then, with its step stored, until its engine misses it."""
        if self.freezes and not worker.dead and self.chance.random() < 0.1:
            self.freezes -= 1
            pause = PATIENCE * self.chance.uniform(1, 2)
            worker.frozen_until = self.clock.monotonic() + pause.total_seconds()
            await self.clock.sleep(pause)

    @override
    async def thaw(self, worker: Mortal) -> None:
        if (left := worker.frozen_until - self.clock.monotonic()) > 0:
            await self.clock.sleep(timedelta(seconds=left))

    # --- what happened ------------------------------------------------------

    @override
    def book(self, event: ArvoEvent, value: int) -> None:
        booking = (event.to or event.type, value)
        booked = self.ledger.setdefault((event.source, event.id), booking)
        assert booked == booking, f"event {event.id} came with {booked} and with {booking}"

    def note_ends(self, outputs: list[ArvoEvent]) -> None:
        """Record completions and failures of workflows."""
        for event in outputs:
            if event.type.endswith((".done", ".error")):
                self.ends[event.source, event.parentid or ""].add(event.to_json())

    async def verify(self) -> None:
        """Check that everything happened once, with the right results, and that nothing is left."""
        assert self.letters == []
        assert self.errors == []
        assert self.answers == {
            init.id: right_answer(values)
            for init, values in zip(self.inits, self.values, strict=True)
        }
        children = sum(map(len, self.values))
        assert len(self.ends) == len(self.inits) + 2 * children
        assert {len(ends) for ends in self.ends.values()} == {1}
        expected = sum(map(requests_of, self.values), Counter[str]())
        assert Counter(name for name, _ in self.ledger.values()) == expected
        if not self.may_overlap:
            assert self.overlaps == []
        assert asyncio.all_tasks() - self._tasks_before == set()
        look = InMemoryTransport(self.engine)
        assert await look.dead_letters() == []
        # Leases of workers that died were not released; their timers end with their ttl.
        self.clock.advance(max(TTL, PATIENCE))
        assert self.memory.held == frozenset()
        assert self.clock.pending == 0

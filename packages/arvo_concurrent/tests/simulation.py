"""A seeded simulation of nested workflows in one broker, with injected faults.

All random choices come from one generator and every wait is on a fake clock, so a seed always gives
the same run: what is slow, fails, is published twice, loses its lease or is cancelled.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

from opentelemetry.context import Context
from pydantic import BaseModel
from typing_extensions import override

from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory
from arvo_core import (
    PARENT_SUBJECT,
    ArvoEvent,
    ArvoOrchestrationSubject,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoMachine,
    ArvoOrchestrator,
    ArvoResumable,
    Complete,
    Emit,
    ExecutionPolicy,
    ExecutionViolation,
    HandlerInput,
    IArvoEventHandler,
    IWorkflowHandler,
    Reply,
    Start,
    Step,
    TransactionViolation,
)
from arvo_event_handler.delivery import DeadLetter, HandlerDefaults
from arvo_event_handler.memory import LockPolicy
from arvo_statechart import Call, assign, emit
from arvo_statechart.typing import MachineConfig, StateConfig
from arvo_time import Backoff, RetryPolicy
from arvo_time.testing import FakeClock

from .broker_owner import left_inside, workers

APP = "com.app.main"
SERVICES = 10
TTL = timedelta(seconds=3)
MILLISECOND = timedelta(milliseconds=1)


class Number(BaseModel):
    value: int


class Numbers(BaseModel):
    values: list[int]


contracts = [
    SimpleArvoContract(
        uri=f"#/sim/s{index}",
        type=f"sim.s{index}",
        versions=[SimpleVersion("1.0.0", accepts=Number, emits=Number)],
    )
    for index in range(SERVICES)
]
NESTED_V1 = OrchestratorVersion("1.0.0", init=Number, complete=Number)
PARENT_V1 = OrchestratorVersion("1.0.0", init=Numbers, complete=Number)
parent_contract = ArvoOrchestratorContract(uri="#/sim/p", name="sim.parent", versions=[PARENT_V1])
child_contract = ArvoOrchestratorContract(uri="#/sim/c", name="sim.child", versions=[NESTED_V1])
grandchild_contract = ArvoOrchestratorContract(
    uri="#/sim/g", name="sim.grandchild", versions=[NESTED_V1]
)


def service(index: int, value: int) -> int:
    """Compute what a service answers; each service computes something else."""
    return (value * (index + 2) + index) % 10_007


def grandchild(value: int) -> int:
    """Compute what a grandchild answers: three services concurrently, then one with their sum."""
    return service(6, sum(service(index, value) for index in (3, 4, 5)))


def child(value: int) -> int:
    """Compute what a child answers: three services and a grandchild, concurrently."""
    return sum(service(index, value) for index in (0, 1, 2)) + grandchild(value)


def right_answer(values: list[int]) -> int:
    """Compute what a parent answers: concurrent children, then three services in a row."""
    value = sum(map(child, values))
    for index in (7, 8, 9):
        value = service(index, value)
    return value


def requests_of(values: list[int]) -> Counter[str]:
    """Count the requests that each service must book for one parent."""
    each = {contracts[index].type: len(values) for index in range(7)}
    return Counter(each) + Counter({contracts[index].type: 1 for index in (7, 8, 9)})


class FaultyHandler(IArvoEventHandler):
    """Runs a handler with delays, failures and repeated outputs.

    Args:
        handler: The handler to run.
        simulation: Chooses the delays, the failures and the repetitions.
    """

    def __init__(self, handler: IArvoEventHandler, simulation: "Simulation") -> None:
        self._handler = handler
        self._simulation = simulation
        self.running: Counter[str] = Counter()
        self.under_way: set[ArvoEvent] = set()

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
        self.running[event.subject] += 1
        try:
            if self.stateful and self._simulation.lanes and self.running[event.subject] > 1:
                # Recorded for `verify`: the broker would retry an error that is raised here.
                self._simulation.overtaken.append(event.subject)
            if event in self.under_way:
                self._simulation.doubled.append(event)
            self.under_way.add(event)
            await self._simulation.take_time()
            self._simulation.maybe_fail(event)
            outputs = await execute(event)
            await self._simulation.take_time()
            self._simulation.maybe_fail(event)
            return self._simulation.repeat_some(outputs)
        finally:
            self.running[event.subject] -= 1
            self.under_way.discard(event)


class FaultyWorkflow(FaultyHandler, IWorkflowHandler):
    """A `FaultyHandler` over a workflow."""

    def __init__(self, handler: IWorkflowHandler, simulation: "Simulation") -> None:
        super().__init__(handler, simulation)
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


@dataclass(slots=True)
class Reports:
    """What the broker reported to its owner."""

    letters: list[DeadLetter] = field(default_factory=list)
    errors: list[tuple[ArvoEvent, Exception]] = field(default_factory=list)

    async def on_dead_letter(self, letter: DeadLetter) -> None:
        self.letters.append(letter)

    async def on_broker_error(self, event: ArvoEvent, error: Exception) -> None:
        self.errors.append((event, error))


class Simulation:
    """One run: several parents, each with children and grandchildren.

    Args:
        seed: Seed of all random choices.
    """

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.clock = FakeClock()
        self.memory = ConcurrentMachineMemory(
            # No lease is held for longer than one ttl, so a slow step loses it.
            policy=LockPolicy(ttl=TTL, max_hold=TTL, max_wait=self.chance.choice([0, 1]) * TTL / 6),
            chunk_bytes=self.chance.choice([0, 1000, 4096]),
            clock=self.clock,
        )
        self.warm_bytes = self.chance.choice([0, 4000, 64 * 1024 * 1024])
        """How much each handler remembers of its workflows."""
        self.lanes = self.chance.random() < 0.5
        """Whether one subject's events wait for each other, or fight for the lease."""
        self.faults = self.chance.randrange(30) if self.chance.random() < 0.7 else 0
        self.undisturbed = self.lanes and not self.faults
        """Whether nothing is lost or fought for, so that every request is handled once."""
        self.likelihood = self.chance.choice([0.02, 0.1, 0.3])
        self.ledger: dict[tuple[str, str], tuple[str, int]] = {}
        """What the services booked, by source and id of the request."""
        self.runs: Counter[tuple[str, str]] = Counter()
        """How often the services ran, by source and id of the request."""
        self.answers: dict[str, dict[str, int]] = defaultdict(dict)
        """What the application received: by the init event's id, then by the answer's id."""
        self.ends: dict[tuple[str, str], set[str]] = defaultdict(set)
        """The completions of each workflow, by handler and id of the init event."""
        self.overtaken: list[str] = []
        """Subjects of which two events ran concurrently, in spite of their lane."""
        self.doubled: list[ArvoEvent] = []
        """Events of which two copies ran concurrently."""
        self.reports = Reports()
        self.values = [
            [self.chance.randrange(1_000) for _ in range(self.chance.randrange(1, 3))]
            for _ in range(self.chance.randrange(1, 3))
        ]
        self.inits = [self._init(index, values) for index, values in enumerate(self.values)]
        self.broker = ConcurrentEventBroker(
            [self._faulty(each) for each in self._handlers()],
            defaults=HandlerDefaults(
                prefetch=self.chance.randrange(1, 9),
                timeout=self.chance.choice([None, 4 * TTL]),
                # Enough for all faults and slow tries, so every event is handled in the end.
                retry=RetryPolicy(
                    retries=1_000, backoff=Backoff(initial=MILLISECOND, maximum=TTL / 3)
                ),
                order=None if self.lanes else "none",
            ),
            on_dead_letter=self.reports.on_dead_letter,
            on_broker_error=self.reports.on_broker_error,
            on_unclaimed=self._receive,
            max_queued=self.chance.choice([None, 1, 3]),
            contention_timeout=timedelta(hours=1),
            clock=self.clock,
            random=Random(self.chance.random()),
        )

    async def play(self) -> None:
        """Start every parent, some twice, some with a timeout or a cancellation, and wait."""
        await self.broker.__aenter__()
        try:
            await self.clock.run_until_complete(self._ask_for_all())
            await self.clock.run_until_complete(self.broker.wait_idle())
            assert self.broker.stats.unfinished == 0
            assert self.broker.stats.queued == 0
            assert self.memory.waiting == 0
        finally:
            # The clock must advance, as what still runs may be asleep.
            await self.clock.run_until_complete(self.broker.aclose(grace=timedelta(0)))

    async def _ask_for_all(self) -> None:
        asked = [*self.inits, *(init for init in self.inits if self.chance.random() < 0.4)]
        self.chance.shuffle(asked)
        await asyncio.gather(*map(self._ask, asked))

    async def _ask(self, init: ArvoEvent) -> None:
        if self.chance.random() < 0.5:
            await self.clock.sleep(self.chance.randrange(1, 3_000) * MILLISECOND)
        match self.chance.randrange(4):
            case 0:
                await self.broker.publish(init)
            case 1:
                # The broker may not have accepted the event by then, so it is published again.
                asking = asyncio.create_task(self._resolve(init))
                await self.clock.sleep(self.chance.randrange(1, 3_000) * MILLISECOND)
                asking.cancel()
                await asyncio.wait([asking])
                await self.broker.publish(init)
            case 2:
                patience = self.chance.randrange(1, 3_000) * MILLISECOND
                try:
                    await self._resolve(init, timeout=patience)
                except TimeoutError:
                    await self.broker.publish(init)
            case _:
                await self._resolve(init)

    async def _resolve(self, init: ArvoEvent, *, timeout: timedelta | None = None) -> None:  # noqa: ASYNC109
        answer = await self.broker.resolve(init, timeout=timeout)
        assert answer is not None, f"{init.id} was started again and got no answer"
        await self._receive(answer)

    async def _receive(self, answer: ArvoEvent) -> None:
        self.answers[answer.parentid or ""][answer.id] = answer.data.get("value", -1)

    # --- faults -------------------------------------------------------------

    async def take_time(self) -> None:
        """Take some time, now and then longer than a lease lasts."""
        if self._strikes():
            await self.clock.sleep(TTL * self.chance.uniform(1, 3))
        elif self.chance.random() < 0.3:
            await self.clock.sleep(self.chance.randrange(200) * MILLISECOND)

    def maybe_fail(self, event: ArvoEvent) -> None:
        """Fail now and then, with an error that a retry may fix."""
        if not self._strikes():
            return
        match self.chance.randrange(3):
            case 0:
                raise ConnectionError("no answer")
            case 1:
                raise ExecutionViolation("not now", retryable=True)
            case _:
                raise TransactionViolation.version_moved(event.subject)

    def repeat_some(self, outputs: list[ArvoEvent]) -> list[ArvoEvent]:
        """Record the completions, and return the outputs, some of them twice."""
        for event in outputs:
            if event.type.endswith((".done", ".error")):
                self.ends[event.source, event.parentid or ""].add(event.to_json())
        return outputs + [event for event in outputs if self._strikes()]

    def _strikes(self) -> bool:
        if self.faults == 0 or self.chance.random() >= self.likelihood:
            return False
        self.faults -= 1
        return True

    # --- handlers -----------------------------------------------------------

    def _init(self, index: int, values: list[int]) -> ArvoEvent:
        factory = ArvoOrchestratorEventFactory(parent_contract.version(PARENT_V1))
        subject = ArvoOrchestrationSubject.new(
            orchestrator=parent_contract.type,
            version="1.0.0",
            initiator=APP,
            execution_id=f"parent-{index}",
        )
        return factory.init(
            source=APP, data=Numbers(values=values), subject=subject, id=f"init-{index}"
        )

    def _faulty(self, handler: IArvoEventHandler) -> FaultyHandler:
        if isinstance(handler, IWorkflowHandler):
            return FaultyWorkflow(handler, self)
        return FaultyHandler(handler, self)

    def _handlers(self) -> list[IArvoEventHandler]:
        policy = ExecutionPolicy(warm_bytes=self.warm_bytes, clock=self.clock)
        services = [contract.version("1.0.0") for contract in contracts]
        machine = ArvoMachine(
            contract=child_contract.version(NESTED_V1),
            services=[*services[:3], grandchild_contract.version(NESTED_V1)],
            config=_child_config(),
        )
        return [
            *(
                ArvoEventHandler(
                    contract=contract, handler={"1.0.0": partial(self._serve, index=index)}
                )
                for index, contract in enumerate(contracts)
            ),
            ArvoOrchestrator(machines=[machine], memory=self.memory, policy=policy),
            ArvoResumable(
                contract=grandchild_contract,
                services=services[3:7],
                memory=self.memory,
                handler={"1.0.0": self._grandchild},
                policy=policy,
            ),
            ArvoResumable(
                contract=parent_contract,
                services=[child_contract.version(NESTED_V1), *services[7:]],
                memory=self.memory,
                handler={"1.0.0": self._parent},
                policy=policy,
            ),
        ]

    async def _serve(self, call: HandlerInput[Number], *, index: int) -> Emit:
        event, value = call.event, call.data.value
        booking = (event.to or event.type, value)
        self.runs[event.source, event.id] += 1
        booked = self.ledger.setdefault((event.source, event.id), booking)
        assert booked == booking, f"event {event.id} came with {booked} and with {booking}"
        return Emit(_answer(index), Number(value=service(index, value)))

    async def _grandchild(
        self, call: Start[Number] | Reply[dict[str, int]]
    ) -> Step[dict[str, int]]:
        await self.take_time()
        if isinstance(call, Start):
            asked = [Emit(contracts[index].type, call.data) for index in (3, 4, 5)]
            return Step(context={}, services=asked)
        if last := call.collected.get(_answer(6)):
            return Step(output=Complete(Number(value=last[0].data["value"])))
        if _count(call) < 3:
            return Step()
        return Step(services=[Emit(contracts[6].type, Number(value=_sum(call)))])

    async def _parent(self, call: Start[Numbers] | Reply[dict[str, int]]) -> Step[dict[str, int]]:
        await self.take_time()
        if isinstance(call, Start):
            asked = [Emit(child_contract.type, Number(value=value)) for value in call.data.values]
            return Step(context={"children": len(asked)}, services=asked)
        for index in (9, 8, 7):
            if last := call.collected.get(_answer(index)):
                value = Number(value=last[0].data["value"])
                if index == 9:
                    return Step(output=Complete(value))
                return Step(services=[Emit(contracts[index + 1].type, value)])
        if _count(call) < call.context["children"]:
            return Step()
        return Step(services=[Emit(contracts[7].type, Number(value=_sum(call)))])

    # --- final checks -------------------------------------------------------

    def verify(self) -> None:
        """Check that everything happened once, with the right results, and that nothing is left."""
        assert self.reports == Reports()
        assert self.overtaken == []
        assert self.doubled == []
        for init, values in zip(self.inits, self.values, strict=True):
            assert list(self.answers[init.id].values()) == [right_answer(values)]
        assert len(self.answers) == len(self.inits)
        children = sum(map(len, self.values))
        assert len(self.ends) == len(self.inits) + 2 * children
        assert {len(ends) for ends in self.ends.values()} == {1}
        expected = sum(map(requests_of, self.values), Counter[str]())
        assert Counter(name for name, _ in self.ledger.values()) == expected
        if self.undisturbed:
            assert {request: runs for request, runs in self.runs.items() if runs > 1} == {}
        assert left_inside(self.broker) == {}
        assert workers() == []
        # Leases that expired in use were not released; their timers end with their ttl.
        self.clock.advance(TTL)
        assert self.memory.held == frozenset()
        assert self.clock.pending == 0


def _answer(index: int) -> str:
    return f"evt.sim.s{index}.success"


def _count(call: Reply[dict[str, int]]) -> int:
    return sum(map(len, call.collected.values()))


def _sum(call: Reply[dict[str, int]]) -> int:
    return sum(event.data["value"] for events in call.collected.values() for event in events)


def _child_config() -> MachineConfig:
    def region(request: str, answer: str) -> StateConfig:
        add = assign({"total": lambda call: call.context["total"] + call.event["data"]["value"]})

        def ask(call: Call) -> dict[str, Any]:
            data: dict[str, Any] = {"value": call.context["value"]}
            if request == grandchild_contract.type:
                data[PARENT_SUBJECT] = call.context["subject"]
            return {"type": request, "data": data}

        return {
            "initial": "waiting",
            "states": {
                "waiting": {"entry": emit(ask), "on": {answer: {"target": "got", "actions": add}}},
                "got": {"type": "final"},
            },
        }

    def context(call: Call) -> dict[str, Any]:
        return {
            "value": call.input["data"]["value"],
            "subject": call.input["subject"],
            "total": 0,
        }

    regions = {f"s{index}": region(contracts[index].type, _answer(index)) for index in range(3)}
    regions["grandchild"] = region(grandchild_contract.type, f"{grandchild_contract.type}.done")
    return {
        "context": context,
        "initial": "asking",
        "states": {
            "asking": {"type": "parallel", "states": regions, "onDone": "done"},
            "done": {"type": "final"},
        },
        "output": lambda call: {"value": call.context["total"]},
    }

"""A seeded simulation of workflows on a machine that keeps failing.

Everything that chance decides comes from one generator, so a seed always plays the same story:
which memory call fails (before or after it took effect), which worker is cancelled, when the whole
process dies, what the transport delivers twice, late and in which order.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from arvo_core import (
    ArvoEvent,
    ArvoOrchestrationSubject,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    ViolationError,
)
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoResumable,
    Complete,
    Emit,
    ExecutionPolicy,
    ExecutionViolation,
    HandlerInput,
    IArvoEventHandler,
    IMachineMemory,
    MachineMemoryError,
    Reply,
    SimpleMachineMemory,
    Start,
    Step,
)
from arvo_event_handler.memory import LockPolicy
from arvo_statechart import Call
from arvo_time.testing import FakeClock

from .historic_memory import HistoricMemory
from .intercepted_memory import InterceptedHistoricMemory, InterceptedMemory
from .leased_memory import LeasedMemory
from .order_machines import EVERY_ITEM_CONFIG, first_context, machine, orchestrator
from .shop import (
    APP,
    CHARGE,
    CHARGE_V1,
    ORDER,
    ORDER_V1,
    RESERVE,
    RESERVE_V1,
    Charge,
    Charged,
    Order,
    Ordered,
    Reserve,
    Reserved,
    charge_contract,
    order,
    order_contract,
    reserve_contract,
)

BROKEN = "broken"
"""An item whose reservation fails for good."""
CURSED = "cursed"
"""An item that makes the whole order fail."""


class Basket(BaseModel):
    orders: list[list[str]]


class Bought(BaseModel):
    total: int
    failed: int


BASKET_V1 = OrchestratorVersion("1.0.0", init=Basket, complete=Bought)
basket_contract = ArvoOrchestratorContract(
    uri="#/shop/basket", name="shop.basket", versions=[BASKET_V1]
)


def price(item: str) -> int:
    return len(item)


def right_answer(basket: Basket) -> dict[str, int]:
    """Return the result that a basket must end with, regardless of failures."""
    sound = [items for items in basket.orders if CURSED not in items]
    total = sum(price(item) for items in sound for item in items if item != BROKEN)
    return {"total": total, "failed": len(basket.orders) - len(sound)}


def _context_unless_cursed(call: Call) -> dict[str, Any]:
    if CURSED in call.input["data"]["items"]:
        raise RuntimeError("cursed")
    return {**first_context(call), "answers": 0}


class ProcessDied(BaseException):
    """The process died: its remaining work takes no effect."""


@dataclass(slots=True, kw_only=True)
class Process:
    """One life of the process that runs the handlers."""

    handlers: Mapping[str, IArvoEventHandler]
    alive: bool = True


class Chaos:
    """One story: several baskets of orders, bought on a machine that keeps failing.

    Args:
        seed: Which story.
        memory: "leased", "locked" (four calls, with its lock) or "unlocked" (four calls, without).
        flavour: How the orders are written: as a "resumable" or as a "machine".
    """

    def __init__(self, seed: int, *, memory: str, flavour: str) -> None:
        self.chance = random.Random(f"{memory} {seed}")
        self.clock = FakeClock()
        self.kind = memory
        self.flavour = flavour
        self.records: HistoricMemory | SimpleMachineMemory = (
            HistoricMemory(
                clock=self.clock,
                chunk_bytes=self.chance.choice([0, 1000, 4096]),
                history=self.chance.choice([None, timedelta(days=7)]),
            )
            if memory == "leased"
            else SimpleMachineMemory()
        )
        self.warm_bytes = self.chance.choice([0, 4000, 64 * 1024 * 1024])
        """How much each handler remembers of its workflows."""
        self.orphaned: set[str] = set()
        """Workflows whose lock could not be released, because that call failed."""
        self.ledger: dict[tuple[str, str], str] = {}
        """What the services did, by the request they did it for."""
        self.published: list[ArvoEvent] = []
        self.answers: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        """What the application received: by the init event's id, then by the answer's id."""
        self.faults = self.chance.randrange(5, 60)
        self.pauses = self.chance.randrange(10, 80)
        self.likelihood = self.chance.choice([0.02, 0.1, 0.3])
        self.restarts_from_init = self.chance.random() < 0.5
        self.queue: list[ArvoEvent] = []
        self.baskets = [
            Basket(
                orders=[
                    self.chance.choices(
                        ["tea", "cocoa", "coffee", BROKEN, CURSED],
                        weights=[6, 6, 6, 1, 1],
                        k=self.chance.randrange(1, 5),
                    )
                    for _ in range(self.chance.randrange(1, 5))
                ]
            )
            for _ in range(self.chance.randrange(1, 4))
        ]
        self.inits = [self._init(index, basket) for index, basket in enumerate(self.baskets)]
        self.process = self._start_process()

    # --- the story ----------------------------------------------------------

    async def play(self) -> None:
        """Deliver until every basket is answered and nothing is left to deliver."""
        self._publish(self.inits)
        width = self.chance.randrange(1, 9)
        running: set[asyncio.Task[None]] = set()
        for _ in range(5_000):
            while self.queue and len(running) < width:
                event = self.queue.pop(self.chance.randrange(len(self.queue)))
                running.add(asyncio.create_task(self._deliver(event, self.process)))
            if not running:
                if not self._unanswered():
                    return
                raise AssertionError(f"nothing left to deliver, but {self._unanswered()} wait")
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            finished = [task for task in running if task.done()]
            running.difference_update(finished)
            for task in finished:
                task.result()
            if not self.process.alive:
                await asyncio.gather(*running)
                running.clear()
                self._restart()
        raise AssertionError(f"{self._unanswered()} still wait after 5,000 rounds")

    async def _deliver(self, event: ArvoEvent, process: Process) -> None:
        """Hand over one event; it stays with the transport until its outputs are published."""
        handler = process.handlers.get(event.to or event.type)
        if handler is None:
            self.answers[event.parentid or ""][event.id] = event.data
            return
        try:
            outputs = await handler.execute(event)
            self._maybe_die(process)
        except ViolationError as violation:
            if not violation.retryable:
                raise
            self.queue.append(event)
            self._let_time_pass()
        except (asyncio.CancelledError, ProcessDied):
            self.queue.append(event)
        else:
            self._publish(outputs + self._strays(event, handler, outputs))

    def _strays(
        self, event: ArvoEvent, handler: IArvoEventHandler, outputs: list[ArvoEvent]
    ) -> list[ArvoEvent]:
        """Return what must change nothing: a second start, and an answer after the end."""
        if not outputs or not handler.stateful or self.chance.random() < 0.7:
            return []
        ended = outputs[-1].type.endswith((".done", ".error"))
        if event.type != handler.source and not ended:
            return []
        return [event.model_copy(update={"id": f"stray of {event.id}"})]

    def _publish(self, events: list[ArvoEvent]) -> None:
        self.published += events
        self.queue += events
        self.queue += [event for event in events if self.chance.random() < 0.2]
        if self.chance.random() < 0.1:
            self.queue.append(self.chance.choice(self.published))

    def _restart(self) -> None:
        """Begin a new life. What is only in the process is gone: its queue, and its locks."""
        if self.restarts_from_init:
            self.queue = list(self.inits)
        if isinstance(self.records, LeasedMemory):
            self.orphaned.update(self.records.locked)
        else:
            # The locks of the plain memory die with the process that holds them.
            self.records._locked.clear()
        self.process = self._start_process()

    def _start_process(self) -> Process:
        process = Process(handlers={})
        memory = self._disturbed(process)
        process.handlers = {handler.source: handler for handler in self._handlers(memory)}
        return process

    def _unanswered(self) -> list[str]:
        return [init.id for init in self.inits if init.id not in self.answers]

    # --- misfortune ---------------------------------------------------------

    def _disturbed(self, process: Process) -> IMachineMemory:
        async def before(call: str, machine_id: str) -> None:
            self._check_alive(process)
            await self._others()
            self._check_alive(process)
            try:
                self._maybe_fail(process, call)
            except BaseException:
                if call in ("unlock", "release"):
                    self.orphaned.add(machine_id)
                raise

        async def after(call: str, machine_id: str) -> None:
            await self._others()
            self._check_alive(process)
            try:
                self._maybe_fail(process, call)
            except BaseException:
                if call in ("lock", "acquire"):
                    self.orphaned.add(machine_id)
                raise

        if isinstance(self.records, HistoricMemory):
            return InterceptedHistoricMemory(self.records, before=before, after=after)
        return InterceptedMemory(self.records, before=before, after=after)

    async def _others(self) -> None:
        """Let other tasks run for a while, and time pass."""
        turns = self.chance.randrange(3)
        if self.pauses and self.chance.random() < 0.2:
            # Long enough for a lease to expire, so that another task may take it and finish.
            self.pauses -= 1
            self.clock.advance(LockPolicy().ttl)
            turns = self.chance.randrange(40)
        for _ in range(turns):
            await asyncio.sleep(0)

    def _maybe_fail(self, process: Process, call: str) -> None:
        if not self._strikes(self.likelihood):
            return
        match self.chance.randrange(4):
            case 0:
                raise ConnectionError(f"{call} failed")
            case 1:
                raise MachineMemoryError(f"{call} failed", retryable=True, outcome="unknown")
            case 2:
                raise asyncio.CancelledError
            case _:
                process.alive = False
                raise ProcessDied

    def _maybe_die(self, process: Process) -> None:
        """Die between the commit and the publishing."""
        self._check_alive(process)
        if self._strikes(self.likelihood / 2):
            process.alive = False
            raise ProcessDied

    def _check_alive(self, process: Process) -> None:
        if not process.alive:
            raise ProcessDied

    def _strikes(self, likelihood: float) -> bool:
        if self.faults == 0 or self.chance.random() >= likelihood:
            return False
        self.faults -= 1
        return True

    def _let_time_pass(self) -> None:
        """Wait as transports do after contention: sooner or later abandoned locks are free."""
        self.clock.advance(timedelta(seconds=1))
        if not isinstance(self.records, LeasedMemory):
            # Stands for the operator who restarts a process whose unlock failed.
            self.records._locked.difference_update(self.orphaned)
            self.orphaned.clear()

    # --- the shop -----------------------------------------------------------

    def _init(self, index: int, basket: Basket) -> ArvoEvent:
        factory = ArvoOrchestratorEventFactory(basket_contract.version(BASKET_V1))
        subject = ArvoOrchestrationSubject.new(
            orchestrator=basket_contract.type,
            version="1.0.0",
            initiator=APP,
            execution_id=f"basket-{index}",
        )
        return factory.init(source=APP, data=basket, subject=subject, id=f"init-{index}")

    def _handlers(self, memory: IMachineMemory) -> list[IArvoEventHandler]:
        locking = self.kind == "locked"
        policy = ExecutionPolicy(warm_bytes=self.warm_bytes, clock=self.clock)
        return [
            ArvoEventHandler(contract=reserve_contract, handler={"1.0.0": self._reserve}),
            ArvoEventHandler(contract=charge_contract, handler={"1.0.0": self._charge}),
            self._order_handler(memory, locking, policy),
            ArvoResumable(
                contract=basket_contract,
                services=[order_contract.version(ORDER_V1)],
                memory=memory,
                handler={"1.0.0": self._basket},
                requires_resource_locking=locking,
                policy=policy,
            ),
        ]

    def _order_handler(
        self, memory: IMachineMemory, locking: bool, policy: ExecutionPolicy
    ) -> IArvoEventHandler:
        if self.flavour == "machine":
            made = machine({**EVERY_ITEM_CONFIG, "context": _context_unless_cursed})
            return orchestrator(made, memory=memory, locking=locking, policy=policy)
        return order(self._order, memory=memory, locking=locking, policy=policy)

    async def _reserve(self, call: HandlerInput[Reserve]) -> Emit:
        await self._others()
        if self._strikes(self.likelihood):
            raise ExecutionViolation("the stock does not answer", retryable=True)
        self._note(call.event, call.data.item)
        if call.data.item == BROKEN:
            raise LookupError("no such item")
        return Emit("evt.stock.reserve.success", Reserved(price=price(call.data.item)))

    async def _charge(self, call: HandlerInput[Charge]) -> Emit:
        await self._others()
        self._note(call.event, str(call.data.amount))
        return Emit("evt.payment.charge.success", Charged(receipt=call.event.id))

    def _note(self, event: ArvoEvent, what: str) -> None:
        """Book once by (source, id), as every service must; the same id must mean the same."""
        booked = self.ledger.setdefault((event.source, event.id), what)
        assert booked == what, f"event {event.id} came with {booked} and with {what}"

    async def _order(self, call: Start[Order] | Reply[dict[str, int]]) -> Step[dict[str, int]]:
        await self._others()
        if isinstance(call, Start):
            if CURSED in call.data.items:
                raise RuntimeError("cursed")
            requests = [Emit(RESERVE, Reserve(item=item)) for item in call.data.items]
            return Step(context={"requests": len(requests)}, services=requests)
        if call.replies(CHARGE_V1):
            return Step(output=Complete(Ordered(total=call.context["total"])))
        if sum(map(len, call.collected.values())) < call.context["requests"]:
            return Step()
        total = sum(each.price for each in call.replies(RESERVE_V1))
        return Step(
            context={"requests": 1, "total": total},
            services=[Emit(CHARGE, Charge(amount=total))],
        )

    async def _basket(self, call: Start[Basket] | Reply[dict[str, int]]) -> Step[dict[str, int]]:
        await self._others()
        if isinstance(call, Start):
            requests = [Emit(ORDER, Order(items=items)) for items in call.data.orders]
            return Step(context={"orders": len(requests)}, services=requests)
        if sum(map(len, call.collected.values())) < call.context["orders"]:
            return Step()
        totals = [ordered.total for ordered in call.replies(ORDER_V1)]
        failed = call.context["orders"] - len(totals)
        return Step(output=Complete(Bought(total=sum(totals), failed=failed)))

    # --- what must hold in the end ------------------------------------------

    async def verify(self) -> None:
        """Check that everything happened exactly once, with the right result."""
        for init, basket in zip(self.inits, self.baskets, strict=True):
            assert list(self.answers[init.id].values()) == [right_answer(basket)]
        await self._verify_workflows()
        self._verify_ledger()
        self._verify_locks()

    async def _verify_workflows(self) -> None:
        ends: dict[str, set[str]] = defaultdict(set)
        own = [event for event in self.published if not event.id.startswith("stray")]
        for event in own:
            if event.source in (ORDER, basket_contract.type) and event.type.endswith(
                (".done", ".error")
            ):
                ends[event.parentid or ""].add(event.to_json())
        starts = {event.id: event for event in own if event.type == ORDER}
        starts |= {event.id: event for event in self.inits}
        assert len(starts) == len(self.baskets) + sum(len(each.orders) for each in self.baskets)
        for event in starts.values():
            assert len(ends[event.id]) == 1, f"{event.id} ended {len(ends[event.id])} times"
            record = await self.records.read(event.subject)
            assert record is not None
            cursed = CURSED in event.data.get("items", [])
            assert record["executionStatus"] == ("failure" if cursed else "normal")
            assert cursed or record["status"] == "done"

    def _verify_ledger(self) -> None:
        expected: list[str] = []
        for items in (items for basket in self.baskets for items in basket.orders):
            if CURSED not in items:
                expected += items
                expected.append(str(sum(price(item) for item in items if item != BROKEN)))
        assert sorted(self.ledger.values()) == sorted(expected)

    def _verify_locks(self) -> None:
        records = self.records
        locked = records.locked if isinstance(records, LeasedMemory) else records._locked
        left = [machine_id for machine_id in locked if machine_id not in self.orphaned]
        assert left == []

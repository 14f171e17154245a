"""A workflow that waits for a payment and for time, and what carries its ticks without a broker."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from arvo_concurrent import ConcurrentMachineMemory
from arvo_core import (
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoResumable,
    Complete,
    Due,
    Emit,
    ExecutionPolicy,
    HandlerInput,
    IMachineMemory,
    Reply,
    Start,
    Step,
    Timer,
)
from arvo_event_handler._timer_event import timer_event
from arvo_event_handler.memory import Record
from arvo_time.testing import FakeClock

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HOLD = timedelta(seconds=30)


class Order(BaseModel):
    item: str = "lamp"


class Paid(BaseModel):
    receipt: str = "R1"


class Ended(BaseModel):
    reminders: int = 0


class Waiting(BaseModel):
    reminders: int = 0


PAY_V1 = SimpleVersion("1.0.0", accepts=Order, emits=Paid)
PAY = SimpleArvoContract(uri="#/shop/pay", type="shop.pay", versions=[PAY_V1])
MAIL_V1 = SimpleVersion("1.0.0", accepts=Order, emits=Paid)
MAIL = SimpleArvoContract(uri="#/shop/mail", type="shop.mail", versions=[MAIL_V1])
PURCHASE_V1 = OrchestratorVersion("1.0.0", init=Order, complete=Ended)
PURCHASE = ArvoOrchestratorContract(uri="#/shop/purchase", name="purchase", versions=[PURCHASE_V1])
ASK_PAY = "com.shop.pay"
ASK_MAIL = "com.shop.mail"

Call = Start[Order] | Reply[Waiting] | Due[Waiting]
Function = Callable[[Call], Awaitable[Step[Waiting] | None]]

_STARTS = ArvoOrchestratorEventFactory(PURCHASE.version(PURCHASE_V1))
_PAYMENTS = ArvoEventFactory(PAY.version(PAY_V1))


async def purchase_v1(call: Call) -> Step[Waiting]:
    """Ask for the payment, and send a reminder after a day and each day after that."""
    remind = Timer("payment", after=timedelta(days=1))
    if isinstance(call, Start):
        return Step(context=Waiting(), services=[Emit(ASK_PAY, call.data)], timers=[remind])
    if isinstance(call, Due):
        context = Waiting(reminders=call.context.reminders + 1)
        return Step(context=context, services=[Emit(ASK_MAIL, Order())], timers=[remind])
    if call.event.type != "evt.shop.pay.success":
        return Step()
    return Step(output=Complete(Ended(reminders=call.context.reminders)))


def purchase(
    memory: IMachineMemory,
    clock: FakeClock,
    function: Any = purchase_v1,
    *,
    warm_bytes: int = 1024 * 1024,
    **options: Any,
) -> ArvoResumable:
    """Return the workflow."""
    return ArvoResumable(
        contract=PURCHASE,
        services=[PAY.version(PAY_V1), MAIL.version(MAIL_V1)],
        memory=memory,
        handler={"1.0.0": function},
        policy=ExecutionPolicy(clock=clock, warm_bytes=warm_bytes),
        **options,
    )


def start(clock: FakeClock, **options: Any) -> ArvoEvent:
    """Return the event that starts a purchase."""
    options.setdefault("time", clock.now().isoformat())
    return _STARTS.init(source="com.app.main", data=Order(), **options)


def paid(request: ArvoEvent) -> ArvoEvent:
    """Return the answer to a request for payment."""
    factory = ArvoEventFactory(PAY.version(PAY_V1))
    return factory.emits(
        type="evt.shop.pay.success",
        source=ASK_PAY,
        subject=request.subject,
        to=request.redirectto,
        parentid=request.id,
        data=Paid(),
    )


def mailing(sent: list[str]) -> ArvoEventHandler:
    """Return the service that sends reminders, and notes the requests in a list."""

    async def mail_v1(call: HandlerInput[Order]) -> Emit:
        sent.append(call.event.id)
        return Emit("evt.shop.mail.success", Paid())

    return ArvoEventHandler(contract=MAIL, handler={"1.0.0": mail_v1})


def paying(act: Callable[[], Awaitable[None]]) -> ArvoEventHandler:
    """Return the service that takes payments, once something was awaited."""

    async def pay_v1(call: HandlerInput[Order]) -> Emit:
        await act()
        return Emit("evt.shop.pay.success", Paid())

    return ArvoEventHandler(contract=PAY, handler={"1.0.0": pay_v1})


async def claimed(memory: ConcurrentMachineMemory, clock: FakeClock) -> list[ArvoEvent]:
    """Claim what is due, as a broker does, and return the ticks."""
    return [
        timer_event(due.machine_id, key=due.key, at=due.at, due_by=due.due_by, now=clock.now())
        for due in await memory.claim_due(limit=100, hold=HOLD)
    ]


async def stored(memory: ConcurrentMachineMemory, event: ArvoEvent) -> Record:
    """Return the record of an event's workflow."""
    record = await memory.read(event.subject)
    assert record is not None
    return record


class Shop:
    """One workflow over a memory in the process, without a broker."""

    def __init__(self, clock: FakeClock, function: Any = None, **options: Any) -> None:
        self.clock = clock
        self.memory = ConcurrentMachineMemory(clock=clock)
        made = {"function": function} if function is not None else {}
        self.handler: ArvoResumable = purchase(self.memory, clock, **made, **options)
        self.init = start(clock)

    async def begin(self) -> list[ArvoEvent]:
        return await self.handler.execute(self.init)

    async def tick(self) -> list[ArvoEvent]:
        """Claim the one that is due, and let the workflow handle its tick."""
        [tick] = await claimed(self.memory, self.clock)
        return await self.handler.execute(tick)

    async def record(self) -> Any:
        return await stored(self.memory, self.init)

    async def due(self) -> datetime | None:
        return await self.memory.next_due()

"""Three services, and a workflow of each style.

`storm.buy` is a function: five reservations in parallel, then `storm.pay` as a child workflow.
`storm.pay` is a statechart: charge, then note. It is also started as a root of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random

from pydantic import BaseModel

from arvo_event_handler import (
    ArvoEventHandler,
    ArvoMachine,
    ArvoOrchestrator,
    ArvoResumable,
    Complete,
    Emit,
    ExecutionPolicy,
    HandlerInput,
    IArvoEventHandler,
    IMachineMemory,
    Reply,
    Start,
    Step,
)
from arvo_statechart import Call, assign, emit

from ._contracts import (
    BUY,
    CHARGE,
    CHARGE_V1,
    NOTE,
    NOTE_V1,
    PAY,
    PAY_V1,
    RESERVE,
    RESERVE_V1,
    Basket,
    Bought,
    Item,
    Noted,
    Paid,
    Payment,
    Priced,
    Receipt,
)
from ._expected import price_of, receipt_of
from ._ledger import Ledger


class Shopping(BaseModel):
    """What `storm.buy` remembers."""

    workflow: int
    items: int
    total: int = 0


def create_handlers(
    memory: IMachineMemory,
    *,
    ledger: Ledger,
    think: timedelta,
    policy: ExecutionPolicy,
    random: Random,
) -> list[IArvoEventHandler]:
    """Return all handlers.

    Args:
        memory: Where the workflows' state lives.
        ledger: Where the services book.
        think: The longest pause within a step, so that kills hit steps.
        policy: How stored state is treated.
        random: Chooses the pauses.
    """

    async def pause() -> None:
        await asyncio.sleep(random.random() * think.total_seconds())

    return [*_services(ledger, pause), _buy(memory, pause, policy), _pay(memory, policy)]


def _services(ledger: Ledger, pause: Callable[[], Awaitable[None]]) -> list[IArvoEventHandler]:
    async def reserve_v1(call: HandlerInput[Item]) -> Emit:
        price = price_of(call.data.item)
        ledger.book(call.event, "reserved", price)
        await pause()
        return Emit("evt.storm.reserve.success", Priced(item=call.data.item, price=price))

    async def charge_v1(call: HandlerInput[Payment]) -> Emit:
        ledger.book(call.event, "charged", call.data.amount)
        await pause()
        return Emit("evt.storm.charge.success", Paid(amount=call.data.amount))

    async def note_v1(call: HandlerInput[Payment]) -> Emit:
        ledger.book(call.event, "noted", 1)
        await pause()
        return Emit("evt.storm.note.success", Noted(receipt=receipt_of(call.data.workflow)))

    return [
        ArvoEventHandler(contract=RESERVE, handler={"1.0.0": reserve_v1}),
        ArvoEventHandler(contract=CHARGE, handler={"1.0.0": charge_v1}),
        ArvoEventHandler(contract=NOTE, handler={"1.0.0": note_v1}),
    ]


def _buy(
    memory: IMachineMemory, pause: Callable[[], Awaitable[None]], policy: ExecutionPolicy
) -> ArvoResumable:
    async def buy_v1(call: Start[Basket] | Reply[Shopping]) -> Step[Shopping]:
        await pause()
        if isinstance(call, Start):
            basket = call.data
            return Step(
                context=Shopping(workflow=basket.workflow, items=len(basket.items)),
                services=[
                    Emit("com.storm.reserve", Item(workflow=basket.workflow, item=item))
                    for item in basket.items
                ],
            )
        if call.error is not None:
            raise RuntimeError(call.error.error_message)
        shopping = call.context
        if isinstance(call.data, Receipt):
            return Step(output=Complete(_bought(shopping, call.data)))
        prices = [priced.price for priced in call.replies(RESERVE_V1)]
        if len(prices) < shopping.items:
            return Step()
        shopping.total = sum(prices)
        payment = Payment(workflow=shopping.workflow, amount=shopping.total)
        return Step(context=shopping, services=[Emit("arvo.orc.storm.pay", payment)])

    return ArvoResumable(
        contract=BUY,
        services=[RESERVE.version(RESERVE_V1), PAY.version(PAY_V1)],
        memory=memory,
        handler={"1.0.0": buy_v1},
        policy=policy,
    )


def _bought(shopping: Shopping, receipt: Receipt) -> Bought:
    if receipt.amount != shopping.total:
        raise RuntimeError(f"paid {receipt.amount} for {shopping.total}")
    return Bought(workflow=shopping.workflow, total=shopping.total, receipt=receipt.receipt)


def _pay(memory: IMachineMemory, policy: ExecutionPolicy) -> ArvoOrchestrator:
    machine = ArvoMachine(
        contract=PAY.version(PAY_V1),
        services=[CHARGE.version(CHARGE_V1), NOTE.version(NOTE_V1)],
        actions={
            "charge": emit(lambda call: {"type": "com.storm.charge", "data": _payment(call)}),
            "note": emit(lambda call: {"type": "com.storm.note", "data": _payment(call)}),
            "paid": assign({"amount": lambda call: call.event["data"]["amount"]}),
            "noted": assign({"receipt": lambda call: call.event["data"]["receipt"]}),
        },
        config={
            "context": lambda call: {
                "workflow": call.input["data"]["workflow"],
                "amount": call.input["data"]["amount"],
                "receipt": None,
            },
            "initial": "charging",
            "states": {
                "charging": {
                    "entry": "charge",
                    "on": {"evt.storm.charge.success": {"target": "noting", "actions": "paid"}},
                },
                "noting": {
                    "entry": "note",
                    "on": {"evt.storm.note.success": {"target": "closed", "actions": "noted"}},
                },
                "closed": {"type": "final"},
            },
            "output": lambda call: {
                "amount": call.context["amount"],
                "receipt": call.context["receipt"],
            },
        },
    )
    return ArvoOrchestrator(machines=[machine], memory=memory, policy=policy)


def _payment(call: Call) -> dict[str, int]:
    return {"workflow": call.context["workflow"], "amount": call.context["amount"]}

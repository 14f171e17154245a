"""A small shop: the contracts, events and workflows that the tests of this package share."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from pydantic import BaseModel

from arvo_core import (
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
    VersionedArvoContract,
)
from arvo_event_handler import (
    Answers,
    ArvoResumable,
    ArvoResumableFunction,
    Complete,
    EmissionDomains,
    Emit,
    ExecutionPolicy,
    IMachineMemory,
    Reply,
    SimpleMachineMemory,
    Start,
    Step,
    SystemErrorPolicy,
)
from arvo_event_handler.memory import Record

APP = "com.app.main"


class Reserve(BaseModel):
    item: str
    amount: int = 1


class Reserved(BaseModel):
    price: int


RESERVE_V1 = SimpleVersion("1.0.0", accepts=Reserve, emits=Reserved)
reserve_contract = SimpleArvoContract(
    uri="#/shop/stock/reserve", type="stock.reserve", versions=[RESERVE_V1]
)
RESERVE = reserve_contract.type
RESERVED = "evt.stock.reserve.success"


class Charge(BaseModel):
    amount: int


class Charged(BaseModel):
    receipt: str


CHARGE_V1 = SimpleVersion("1.0.0", accepts=Charge, emits=Charged)
charge_contract = SimpleArvoContract(
    uri="#/shop/payment/charge", type="payment.charge", versions=[CHARGE_V1]
)
CHARGE = charge_contract.type
CHARGED = "evt.payment.charge.success"


class Order(BaseModel):
    items: list[str]


class Ordered(BaseModel):
    total: int


ORDER_V1 = OrchestratorVersion("1.0.0", init=Order, complete=Ordered)
order_contract = ArvoOrchestratorContract(
    uri="#/shop/order", name="shop.order", versions=[ORDER_V1]
)
ORDER = order_contract.type
ORDERED = order_contract.complete_type

AnyCall: TypeAlias = Start[Order] | Reply[dict[str, Any]]
"""What an order's function receives in most tests: any JSON object is its context."""


async def order_v1(call: AnyCall) -> Step[dict[str, Any]]:
    """Reserve every item, then end with what they cost together."""
    if isinstance(call, Start):
        requests = [Emit(RESERVE, Reserve(item=item)) for item in call.data.items]
        return Step(context={"items": len(requests)}, services=requests)
    prices = [reserved.price for reserved in call.replies(RESERVE_V1)]
    if len(prices) < call.context["items"]:
        return Step()
    return Step(output=Complete(Ordered(total=sum(prices))))


def order(
    function: ArvoResumableFunction = order_v1,
    *,
    memory: IMachineMemory | None = None,
    services: Sequence[VersionedArvoContract[Any]] = (
        reserve_contract.version(RESERVE_V1),
        charge_contract.version(CHARGE_V1),
    ),
    contract: ArvoOrchestratorContract = order_contract,
    domains: EmissionDomains | None = None,
    policy: ExecutionPolicy | None = None,
    locking: bool | None = None,
    executionunits: float = 0,
    answers: Answers = "any",
    system_errors: SystemErrorPolicy | None = None,
) -> ArvoResumable:
    """Make the order workflow, or one with another function."""
    return ArvoResumable(
        contract=contract,
        services=services,
        memory=SimpleMachineMemory() if memory is None else memory,
        handler={"1.0.0": function},
        requires_resource_locking=locking,
        domains=domains,
        policy=policy,
        executionunits=executionunits,
        answers=answers,
        system_errors=system_errors,
    )


def start(*items: str, source: str = APP, **options: Any) -> ArvoEvent:
    """Make the event that starts an order."""
    factory = ArvoOrchestratorEventFactory(order_contract.version(ORDER_V1))
    return factory.init(source=source, data=Order(items=list(items) or ["tea"]), **options)


def reserved(request: ArvoEvent, *, price: int = 5, **options: Any) -> ArvoEvent:
    """Make the stock service's answer to a request."""
    return ArvoEventFactory(reserve_contract.version(RESERVE_V1)).emits(
        **_answer(request, options), type=RESERVED, data=Reserved(price=price)
    )


def charged(request: ArvoEvent, **options: Any) -> ArvoEvent:
    """Make the payment service's answer to a request."""
    return ArvoEventFactory(charge_contract.version(CHARGE_V1)).emits(
        **_answer(request, options), type=CHARGED, data=Charged(receipt="r-1")
    )


def reserve_failed(request: ArvoEvent, error: Exception, **options: Any) -> ArvoEvent:
    """Make the stock service's system error."""
    return ArvoEventFactory(reserve_contract.version(RESERVE_V1)).system_error(
        **_answer(request, options), error=error
    )


def _answer(request: ArvoEvent, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": request.type,
        "subject": request.subject,
        "parentid": request.id,
        "to": request.redirectto or request.source,
        **options,
    }


async def stored(memory: IMachineMemory, event: ArvoEvent) -> dict[str, Any]:
    """Return the record of the workflow that an event belongs to; it must exist."""
    record: Record | None = await memory.read(event.subject)
    assert record is not None, "nothing is stored"
    return dict(record)

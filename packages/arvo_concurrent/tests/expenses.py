"""A workflow that sends one service many requests in one step, and the service."""

from collections.abc import Awaitable, Callable

from pydantic import BaseModel

from arvo_core import (
    ArvoEvent,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoEventHandlerFunction,
    ArvoResumable,
    Complete,
    Emit,
    ExecutionPolicy,
    HandlerInput,
    IMachineMemory,
    Reply,
    Start,
    Step,
)
from arvo_time import SYSTEM_CLOCK, Clock


class Count(BaseModel):
    parts: int


class Part(BaseModel):
    number: int


class Priced(BaseModel):
    price: int


class Sum(BaseModel):
    total: int


PRICE_V1 = SimpleVersion("1.0.0", accepts=Part, emits=Priced)
PRICE = SimpleArvoContract(uri="#/office/price", type="part.price", versions=[PRICE_V1])
CLAIM_V1 = OrchestratorVersion("1.0.0", init=Count, complete=Sum)
CLAIM = ArvoOrchestratorContract(uri="#/office/claim", name="claim", versions=[CLAIM_V1])

_CLAIMS = ArvoOrchestratorEventFactory(CLAIM.version(CLAIM_V1))


async def price_v1(call: HandlerInput[Part]) -> Emit:
    """Ask one for each number."""
    return Emit("evt.part.price.success", Priced(price=call.data.number))


async def claim_v1(call: Start[Count] | Reply[Count]) -> Step[Count]:
    """Ask for all prices in one step, and complete with their sum."""
    if isinstance(call, Start):
        parts = [Emit("com.part.price", Part(number=each)) for each in range(call.data.parts)]
        return Step(context=call.data, services=parts)
    if call.error is not None:
        raise LookupError(f"no price: {call.error.error_message}")
    prices = call.replies(PRICE_V1)
    if len(prices) < call.context.parts:
        return Step()
    return Step(output=Complete(Sum(total=sum(each.price for each in prices))))


def pricing(function: ArvoEventHandlerFunction = price_v1) -> ArvoEventHandler:
    """Return the service."""
    return ArvoEventHandler(contract=PRICE, handler={"1.0.0": function})


def claiming(
    memory: IMachineMemory,
    function: Callable[[Start[Count] | Reply[Count]], Awaitable[Step[Count]]] = claim_v1,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> ArvoResumable:
    """Return the workflow."""
    return ArvoResumable(
        contract=CLAIM,
        services=[PRICE.version(PRICE_V1)],
        memory=memory,
        handler={"1.0.0": function},
        policy=ExecutionPolicy(clock=clock),
    )


def claim(parts: int) -> ArvoEvent:
    """Return the event that starts a workflow."""
    return _CLAIMS.init(source="com.app.main", data=Count(parts=parts))

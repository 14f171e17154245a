"""A payload of many small objects, as a batch or an export has, and the service that answers it."""

from typing import Any

from pydantic import BaseModel

from arvo_core import ArvoEvent, ArvoEventFactory, SimpleArvoContract, SimpleVersion
from arvo_event_handler import ArvoEventHandler, Emit, HandlerInput

LINES = 20_000
"""How many objects an order holds. Written as JSON they take 1 MB."""


class Line(BaseModel):
    """One of the objects."""

    sku: str
    quantity: int
    price: float
    note: str | None = None


class LargeOrder(BaseModel):
    """The payload."""

    customer: str
    lines: list[Line]


LARGE_V1 = SimpleVersion("1.0.0", accepts=LargeOrder, emits=LargeOrder)
LARGE = SimpleArvoContract(uri="#/benchmarks/large", type="order.large", versions=[LARGE_V1])
_FACTORY = ArvoEventFactory(LARGE.version(LARGE_V1))


def large_data() -> dict[str, Any]:
    """Return the payload as a mapping."""
    lines = [{"sku": f"sku-{i}", "quantity": i % 9, "price": i + 0.5} for i in range(LINES)]
    return {"customer": "Ann", "lines": lines}


def large_event(data: LargeOrder | dict[str, Any]) -> ArvoEvent:
    """Return the event that the contract makes of it."""
    return _FACTORY.accepts(source="com.benchmark.source", subject="benchmark-subject", data=data)


async def echo(call: HandlerInput[LargeOrder]) -> Emit:
    """Answer with the data of the request."""
    return Emit("evt.order.large.success", call.data)


def echoing() -> ArvoEventHandler:
    """Return the service."""
    return ArvoEventHandler(contract=LARGE, handler={"1.0.0": echo})

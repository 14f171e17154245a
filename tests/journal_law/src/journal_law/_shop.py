"""The contracts and events of a small shop."""

from typing import Any, Final

from pydantic import BaseModel

from arvo_core import (
    ArvoContract,
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    ContractVersion,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)

ENDS, RAISES, ASKS = 100, 101, range(7)
"""The prices at which the workflow ends, raises, and asks again."""


class Reserve(BaseModel):
    """An article."""

    item: str


class Reserved(BaseModel):
    """What it costs."""

    price: int


class Charge(BaseModel):
    """What to take."""

    amount: int


class Charged(BaseModel):
    """It was taken."""

    receipt: str


class Order(BaseModel):
    """What is ordered."""

    items: list[str]


class Ordered(BaseModel):
    """What it costs together."""

    total: int


RESERVE_V1 = SimpleVersion("1.0.0", accepts=Reserve, emits=Reserved)
_RESERVE = SimpleArvoContract(uri="#/law/reserve", type="law.reserve", versions=[RESERVE_V1])
CHARGE_V1 = SimpleVersion("1.0.0", accepts=Charge, emits=Charged)
_CHARGE = SimpleArvoContract(uri="#/law/charge", type="law.charge", versions=[CHARGE_V1])
_NOTE_V1 = ContractVersion("1.0.0", accepts=Reserve, emits={})
_NOTE = ArvoContract(uri="#/law/note", type="com.law.note", versions=[_NOTE_V1])
ORDER_V1 = OrchestratorVersion("1.0.0", init=Order, complete=Ordered)
ORDER = ArvoOrchestratorContract(uri="#/law/order", name="law.order", versions=[ORDER_V1])

RESERVE, CHARGE, NOTE = _RESERVE.type, _CHARGE.type, _NOTE.type
RESERVED, CHARGED = "evt.law.reserve.success", "evt.law.charge.success"
SHOP: Final = (_RESERVE.version(RESERVE_V1), _CHARGE.version(CHARGE_V1), _NOTE.version(_NOTE_V1))
"""The services: the last one answers nothing."""


def start(*items: str) -> ArvoEvent:
    """Make the event that starts an order, under a subject of its own."""
    factory = ArvoOrchestratorEventFactory(ORDER.version(ORDER_V1))
    return factory.init(source="com.app.main", data=Order(items=list(items)))


def reserved(request: ArvoEvent, *, price: int = 50, **options: Any) -> ArvoEvent:
    """Make the answer to a request for an article."""
    return ArvoEventFactory(SHOP[0]).emits(
        **_answering(request, options), type=RESERVED, data=Reserved(price=price)
    )


def charged(request: ArvoEvent, **options: Any) -> ArvoEvent:
    """Make the answer to a request for money."""
    return ArvoEventFactory(SHOP[1]).emits(
        **_answering(request, options), type=CHARGED, data=Charged(receipt="r-1")
    )


def _answering(request: ArvoEvent, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": request.type,
        "subject": request.subject,
        "parentid": request.id,
        "to": request.redirectto or request.source,
        **options,
    }

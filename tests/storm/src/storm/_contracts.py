"""The contracts of the storm's services and workflows."""

from typing import Final

from pydantic import BaseModel

from arvo_core import (
    ArvoOrchestratorContract,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)

CLIENT: Final = "com.storm.client"
"""The address that starts the workflows and gets the completions."""


class Item(BaseModel):
    """One article for one workflow."""

    workflow: int
    item: int


class Priced(BaseModel):
    """The article was put aside, at this price."""

    item: int
    price: int


class Payment(BaseModel):
    """The payment of one workflow."""

    workflow: int
    amount: int


class Paid(BaseModel):
    """The amount was taken."""

    amount: int


class Noted(BaseModel):
    """The payment was noted, under this number."""

    receipt: int


class Receipt(BaseModel):
    """How a payment ended."""

    amount: int
    receipt: int


class Basket(BaseModel):
    """The articles that a workflow buys."""

    workflow: int
    items: list[int]


class Bought(BaseModel):
    """How a basket ended."""

    workflow: int
    total: int
    receipt: int


RESERVE_V1 = SimpleVersion("1.0.0", accepts=Item, emits=Priced)
RESERVE = SimpleArvoContract(uri="#/storm/reserve", type="storm.reserve", versions=[RESERVE_V1])
CHARGE_V1 = SimpleVersion("1.0.0", accepts=Payment, emits=Paid)
CHARGE = SimpleArvoContract(uri="#/storm/charge", type="storm.charge", versions=[CHARGE_V1])
NOTE_V1 = SimpleVersion("1.0.0", accepts=Payment, emits=Noted)
NOTE = SimpleArvoContract(uri="#/storm/note", type="storm.note", versions=[NOTE_V1])

PAY_V1 = OrchestratorVersion("1.0.0", init=Payment, complete=Receipt)
PAY = ArvoOrchestratorContract(uri="#/storm/pay", name="storm.pay", versions=[PAY_V1])
BUY_V1 = OrchestratorVersion("1.0.0", init=Basket, complete=Bought)
BUY = ArvoOrchestratorContract(uri="#/storm/buy", name="storm.buy", versions=[BUY_V1])

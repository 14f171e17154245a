"""The expected results of the workflows, computed without running them."""

from collections import Counter

from arvo_core import ArvoEvent, ArvoOrchestratorEventFactory

from ._contracts import BUY, BUY_V1, CLIENT, PAY, PAY_V1, Basket, Payment


def price_of(item: int) -> int:
    """Return the price of an article."""
    return 100 + 7 * item


def receipt_of(workflow: int) -> int:
    """Return the number that a workflow's payment is noted under."""
    return 1_000_000 + workflow


def _items_of(workflow: int) -> list[int]:
    return [workflow % divisor for divisor in (3, 5, 7, 11, 13)]


def _buys(workflow: int) -> bool:
    return workflow % 2 == 0


def amount_of(workflow: int) -> int:
    """Return the amount that a workflow pays."""
    if _buys(workflow):
        return sum(map(price_of, _items_of(workflow)))
    return 500 + workflow


def init_of(workflow: int) -> ArvoEvent:
    """Make the event that starts a workflow: even ones buy, odd ones pay."""
    if _buys(workflow):
        basket = Basket(workflow=workflow, items=_items_of(workflow))
        return ArvoOrchestratorEventFactory(BUY.version(BUY_V1)).init(source=CLIENT, data=basket)
    payment = Payment(workflow=workflow, amount=amount_of(workflow))
    return ArvoOrchestratorEventFactory(PAY.version(PAY_V1)).init(source=CLIENT, data=payment)


def answer_of(workflow: int) -> dict[str, int]:
    """Return the data of a workflow's completion."""
    amount, receipt = amount_of(workflow), receipt_of(workflow)
    if _buys(workflow):
        return {"workflow": workflow, "total": amount, "receipt": receipt}
    return {"amount": amount, "receipt": receipt}


def ledger_of(workflows: int) -> Counter[str]:
    """Return the sums in the ledger after that many workflows."""
    sums: Counter[str] = Counter(noted=workflows)
    for workflow in range(workflows):
        sums["charged"] += amount_of(workflow)
        if _buys(workflow):
            sums["reserved"] += amount_of(workflow)
    return sums

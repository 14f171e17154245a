"""Writes orders.jsonl, 300 lines, and slow_orders.jsonl, the same every time.

Run it from the root of the repository: `.venv/bin/python -m examples.order_fulfilment.make_orders`.
"""

import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from arvo_core import ArvoOrchestrationSubject, ArvoOrchestratorEventFactory

from .contracts import FULFIL_ORDER_V1, Order, OrderLine, fulfil_order
from .providers import DECLINED_CARD, GUARDED_CARD

COUNT: Final = 300
SHOP: Final = "com.shop.web"
FILE: Final = Path(__file__).parent / "orders.jsonl"
SLOW_FILE: Final = Path(__file__).parent / "slow_orders.jsonl"

_OPENED: Final = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
_CUSTOMERS: Final = ("ada", "ben", "cara", "dan", "eve", "finn", "mallory", "olga")
_CARDS: Final = ("4242424242424242", "5555555555554444", "4000056655665556")
_ORDINARY: Final = ("tea-green", "tea-black", "pot-clay", "cup-set", "kettle-steel")


def order_lines() -> list[str]:
    """Return the lines of `orders.jsonl`."""
    chance = random.Random(2026)  # noqa: S311 - a fixed order book, not a secret
    lines = [_event(number, _order(number, chance)) for number in range(1, COUNT + 1)]
    for number, damage in _DAMAGED.items():
        lines[number - 1] = damage(lines[number - 1])
    for number, original in _REPEATED.items():
        lines[number - 1] = lines[original - 1]
    return lines


def slow_order_lines() -> list[str]:
    """Return the lines of `slow_orders.jsonl`: orders for which people are asked."""
    return [_event(number, _slow_order(number)) for number in range(1, len(_SLOW) + 1)]


def _order(number: int, chance: random.Random) -> Order:
    """Make an order; now and then one that cannot be fulfilled."""
    skus = chance.sample(_ORDINARY, k=chance.randint(1, 3))
    lines = [OrderLine(sku=sku, quantity=chance.randint(1, 4)) for sku in skus]
    card = chance.choice(_CARDS)
    postcode = f"{chance.randint(1, 8)}{chance.randint(0, 9999):04}"
    if number % 11 == 0:  # above the limit: needs an approval
        lines.append(OrderLine(sku="samovar", quantity=chance.randint(1, 2)))
    if number % 13 == 0:
        card = DECLINED_CARD
    if number % 17 == 0:
        postcode = f"91{chance.randint(0, 999):03}"
    if number % 29 == 0:
        postcode = f"99{chance.randint(0, 999):03}"
    if number % 31 == 0:  # more than the stock ever holds
        lines.append(OrderLine(sku="tea-first-flush", quantity=3))
    if number % 67 == 0:
        lines.append(OrderLine(sku="tea-oolong", quantity=1))
    return Order(
        order_id=f"order-{number:04}",
        customer=chance.choice(_CUSTOMERS),
        lines=lines,
        card=card,
        postcode=postcode,
    )


def _event(number: int, order: Order) -> str:
    contract = fulfil_order.version(FULFIL_ORDER_V1)
    subject = ArvoOrchestrationSubject.new(
        orchestrator=contract.type,
        version=contract.version,
        initiator=SHOP,
        execution_id=order.order_id,
    )
    event = ArvoOrchestratorEventFactory(contract).init(
        source=SHOP,
        data=order,
        subject=subject,
        id=order.order_id,
        time=_OPENED + timedelta(seconds=97 * number),
    )
    return event.to_json()


# --- kinds of damage that happen to files -------------------------------------


def _cut_off(line: str) -> str:
    return line[: len(line) // 2]


def _only_the_payload(line: str) -> str:
    return json.dumps(json.loads(line)["data"])


def _changed(**changes: Any) -> Callable[[str], str]:
    return lambda line: json.dumps(json.loads(line) | changes)


def _changed_data(**changes: Any) -> Callable[[str], str]:
    def damage(line: str) -> str:
        event = json.loads(line)
        return json.dumps(event | {"data": event["data"] | changes})

    return damage


_DAMAGED: Final[dict[int, Callable[[str], str]]] = {
    21: _cut_off,
    46: lambda line: "see the other file for March",
    64: _only_the_payload,
    81: lambda line: "[]",
    103: _changed(time="yesterday"),
    127: _changed(type="com.order.cancel", to="com.order.cancel"),
    152: _changed(dataschema="#/shop/order/7.0.0"),
    175: _changed(dataschema="#/elsewhere/order/1.0.0"),
    199: _changed_data(lines=[{"sku": "tea-green", "quantity": 0}]),
    226: _changed_data(card="4242-4242"),
    251: _changed_data(postcode=None, customer=""),
    274: _changed(subject="order-0274"),
}
_REPEATED: Final = {90: 40, 260: 259}
"""Lines that repeat an earlier line: their number, and that of the earlier one."""

# --- orders that wait for people ------------------------------------------------

_PLAIN: Final = _CARDS[0]
_SLOW: Final[Sequence[tuple[str, str, dict[str, int]]]] = (
    # customer, card, lines
    ("ada", _PLAIN, {"tea-green": 1}),
    ("ada", GUARDED_CARD, {"tea-black": 2}),
    ("finn", GUARDED_CARD, {"pot-clay": 1}),
    ("finn", GUARDED_CARD, {"samovar": 1, "tea-green": 2}),
    ("olga", GUARDED_CARD, {"cup-set": 1}),
    ("olga", GUARDED_CARD, {"tea-first-flush": 3}),
    ("walt", _PLAIN, {"samovar": 2}),
    ("walt", _PLAIN, {"samovar": 1, "tea-first-flush": 3}),
)


def _slow_order(number: int) -> Order:
    customer, card, lines = _SLOW[number - 1]
    return Order(
        order_id=f"slow-{number}",
        customer=customer,
        lines=[OrderLine(sku=sku, quantity=quantity) for sku, quantity in lines.items()],
        card=card,
        postcode="10115",
    )


def _write(file: Path, lines: Sequence[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), "utf-8")


if __name__ == "__main__":
    _write(FILE, order_lines())
    _write(SLOW_FILE, slow_order_lines())

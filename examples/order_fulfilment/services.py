"""The services: each does one thing, once per request, and answers as its contract says.

Expected outcomes (short stock, a declined card) are events of the contract. Unexpected ones (an
unknown article, a carrier that does not answer) are exceptions, which the asking workflow gets as
a system error.
"""

from collections import Counter

from arvo_event_handler import ArvoEventHandler, Emit, HandlerInput, IArvoEventHandler

from . import contracts, providers
from .contracts import (
    ChargePayment,
    OrderShipped,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentUnconfirmed,
    RefundPayment,
    ReleaseStock,
    ReserveStock,
    ShipOrder,
    StockReleased,
    StockReserved,
    StockShort,
)
from .ledger import Books, Ledger


class UnknownArticleError(Exception):
    """The article is not in the catalogue."""


def create_services(ledger: Ledger) -> list[IArvoEventHandler]:
    """Return the services. They book in `ledger`."""

    async def reserve_v1(call: HandlerInput[ReserveStock]) -> Emit:
        return await ledger.answer_once(call.event, lambda books: _reserve(call.data, books))

    async def release_v1(call: HandlerInput[ReleaseStock]) -> Emit:
        return await ledger.answer_once(call.event, lambda books: _release(call.data, books))

    async def charge_v1(call: HandlerInput[ChargePayment]) -> Emit:
        return await ledger.answer_once(call.event, lambda books: _charge(call.data, books))

    async def refund_v1(call: HandlerInput[RefundPayment]) -> Emit:
        return await ledger.answer_once(call.event, lambda books: _refund(call.data, books))

    async def ship_v1(call: HandlerInput[ShipOrder]) -> Emit:
        return await ledger.answer_once(call.event, lambda books: _ship(call.data, books))

    return [
        ArvoEventHandler(contract=contracts.reserve_stock, handler={"1.0.0": reserve_v1}),
        ArvoEventHandler(contract=contracts.release_stock, handler={"1.0.0": release_v1}),
        ArvoEventHandler(contract=contracts.charge_payment, handler={"1.0.0": charge_v1}),
        ArvoEventHandler(contract=contracts.refund_payment, handler={"1.0.0": refund_v1}),
        ArvoEventHandler(contract=contracts.ship_order, handler={"1.0.0": ship_v1}),
    ]


def _reserve(request: ReserveStock, books: Books) -> Emit:
    total = 0
    wanted = Counter[str]()
    for line in request.lines:
        price = books.price(line.sku)
        if price is None:
            raise UnknownArticleError(f"order {request.order_id}: there is no article {line.sku!r}")
        total += price * line.quantity
        wanted[line.sku] += line.quantity
    for sku, quantity in wanted.items():
        available = books.available(sku)
        if available < quantity:
            return Emit("evt.stock.reserve.short", StockShort(sku=sku, available=available))
    for sku, quantity in wanted.items():
        books.move_stock(sku, -quantity)
    return Emit("evt.stock.reserve.success", StockReserved(total=total))


def _release(request: ReleaseStock, books: Books) -> Emit:
    for line in request.lines:
        books.move_stock(line.sku, line.quantity)
    return Emit("evt.stock.release.success", StockReleased(order_id=request.order_id))


def _charge(request: ChargePayment, books: Books) -> Emit:
    match providers.authorise(request.card, confirmed=request.confirmed):
        case "declined":
            declined = PaymentDeclined(reason="the bank refused the card")
            return Emit("evt.payment.charge.declined", declined)
        case "unconfirmed":
            unconfirmed = PaymentUnconfirmed(amount=request.amount)
            return Emit("evt.payment.charge.unconfirmed", unconfirmed)
        case "authorised":
            books.post_payment(request.order_id, request.amount)
            return Emit("evt.payment.charge.success", PaymentCaptured(amount=request.amount))


def _refund(request: RefundPayment, books: Books) -> Emit:
    books.post_payment(request.order_id, -request.amount)
    return Emit("evt.payment.refund.success", PaymentRefunded(amount=request.amount))


def _ship(request: ShipOrder, books: Books) -> Emit:
    tracking = providers.book_parcel(request.order_id, request.postcode, attempt=request.attempt)
    books.post_shipment(request.order_id, tracking)
    return Emit("evt.order.ship.success", OrderShipped(tracking=tracking))

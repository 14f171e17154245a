"""The contracts of the services and the workflow."""

from typing import Literal

from pydantic import BaseModel, Field

from arvo_core import (
    ArvoContract,
    ArvoOrchestratorContract,
    ContractVersion,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)

# All amounts are in cents.


class OrderLine(BaseModel):
    """A quantity of one article."""

    sku: str = Field(min_length=1)
    quantity: int = Field(ge=1, le=1000)


# --- stock -------------------------------------------------------------------


class ReserveStock(BaseModel):
    """Put goods aside for an order: all of its lines or none."""

    order_id: str
    lines: list[OrderLine]


class StockReserved(BaseModel):
    """The goods are put aside."""

    total: int
    """The price of the goods."""


class StockShort(BaseModel):
    """There is not enough; nothing was put aside."""

    sku: str
    available: int


RESERVE_STOCK_V1 = ContractVersion(
    "1.0.0",
    accepts=ReserveStock,
    emits={
        "evt.stock.reserve.success": StockReserved,
        "evt.stock.reserve.short": StockShort,
    },
)
reserve_stock = ArvoContract(
    uri="#/shop/stock/reserve", type="com.stock.reserve", versions=[RESERVE_STOCK_V1]
)


class ReleaseStock(BaseModel):
    """Put the goods of an order back on the shelf."""

    order_id: str
    lines: list[OrderLine]


class StockReleased(BaseModel):
    """The goods are back on the shelf."""

    order_id: str


RELEASE_STOCK_V1 = SimpleVersion("1.0.0", accepts=ReleaseStock, emits=StockReleased)
release_stock = SimpleArvoContract(
    uri="#/shop/stock/release", type="stock.release", versions=[RELEASE_STOCK_V1]
)

# --- payment -----------------------------------------------------------------


class ChargePayment(BaseModel):
    """Take the money for an order from a card."""

    order_id: str
    card: str
    amount: int = Field(gt=0)
    confirmed: bool = False
    """Whether the customer has confirmed the payment."""


class PaymentCaptured(BaseModel):
    """The card was charged."""

    amount: int


class PaymentDeclined(BaseModel):
    """The bank refused the charge."""

    reason: str


class PaymentUnconfirmed(BaseModel):
    """The bank wants the customer to confirm the payment; nothing was charged."""

    amount: int


CHARGE_PAYMENT_V1 = ContractVersion(
    "1.0.0",
    accepts=ChargePayment,
    emits={
        "evt.payment.charge.success": PaymentCaptured,
        "evt.payment.charge.declined": PaymentDeclined,
        "evt.payment.charge.unconfirmed": PaymentUnconfirmed,
    },
)
charge_payment = ArvoContract(
    uri="#/shop/payment/charge", type="com.payment.charge", versions=[CHARGE_PAYMENT_V1]
)


class RefundPayment(BaseModel):
    """Return the money for an order."""

    order_id: str
    amount: int = Field(gt=0)


class PaymentRefunded(BaseModel):
    """The customer has the money back."""

    amount: int


REFUND_PAYMENT_V1 = SimpleVersion("1.0.0", accepts=RefundPayment, emits=PaymentRefunded)
refund_payment = SimpleArvoContract(
    uri="#/shop/payment/refund", type="payment.refund", versions=[REFUND_PAYMENT_V1]
)

# --- shipping ----------------------------------------------------------------


class ShipOrder(BaseModel):
    """Hand the goods of an order to the carrier."""

    order_id: str
    postcode: str
    attempt: int = Field(ge=1)


class OrderShipped(BaseModel):
    """The goods are on their way."""

    tracking: str


SHIP_ORDER_V1 = SimpleVersion("1.0.0", accepts=ShipOrder, emits=OrderShipped)
ship_order = SimpleArvoContract(uri="#/shop/ship", type="order.ship", versions=[SHIP_ORDER_V1])

# --- approval, by a human outside the system -----------------------------------


class RequestApproval(BaseModel):
    """Ask a human to approve an order of this size."""

    order_id: str
    customer: str
    total: int


class ApprovalGiven(BaseModel):
    """The human's decision."""

    approved: bool
    by: str


REQUEST_APPROVAL_V1 = SimpleVersion("1.0.0", accepts=RequestApproval, emits=ApprovalGiven)
request_approval = SimpleArvoContract(
    uri="#/shop/approval",
    type="order.approve",
    domain="human.approval",
    versions=[REQUEST_APPROVAL_V1],
)

# --- confirmation of a payment, by the customer --------------------------------


class ConfirmPayment(BaseModel):
    """Ask the customer to confirm a payment, or remind them of it."""

    order_id: str
    customer: str
    amount: int = Field(gt=0)
    reminder: int = Field(ge=0)
    """0 for the first request, 1 for the first reminder."""


class PaymentConfirmed(BaseModel):
    """The customer has confirmed the payment."""

    order_id: str


CONFIRM_PAYMENT_V1 = SimpleVersion("1.0.0", accepts=ConfirmPayment, emits=PaymentConfirmed)
confirm_payment = SimpleArvoContract(
    uri="#/shop/payment/confirm",
    type="payment.confirm",
    domain="human.customer",
    versions=[CONFIRM_PAYMENT_V1],
)

# --- the workflow --------------------------------------------------------------


class Order(BaseModel):
    """A customer's order."""

    order_id: str = Field(min_length=1)
    customer: str = Field(min_length=1)
    lines: list[OrderLine] = Field(min_length=1)
    card: str = Field(pattern=r"^[0-9]{16}$")
    postcode: str = Field(pattern=r"^[0-9]{5}$")


OrderStatus = Literal["shipped", "out_of_stock", "refused", "declined", "undeliverable"]


class OrderClosed(BaseModel):
    """How an order ended. An order that is not shipped costs nothing and holds no stock."""

    order_id: str
    status: OrderStatus
    total: int = 0
    """The amount that the customer paid."""
    tracking: str | None = None
    reason: str | None = None


FULFIL_ORDER_V1 = OrchestratorVersion("1.0.0", init=Order, complete=OrderClosed)
fulfil_order = ArvoOrchestratorContract(
    uri="#/shop/order", name="order.fulfilment", versions=[FULFIL_ORDER_V1]
)

"""The workflow, as code: called with the order, then with every answer.

    reserve stock -> (approve, when large) -> charge -> ship
                                                  |        `-- after three failed attempts: refund
                                                  `-- not approved, declined, not shipped: release

The workflow itself handles transient failures: the carrier's time-out comes as a system error, and
the workflow asks again, with a new request, up to `SHIP_ATTEMPTS` times.
"""

from typing import Final

from pydantic import BaseModel

from arvo_core import SystemErrorData
from arvo_event_handler import (
    ArvoDomain,
    ArvoResumable,
    Complete,
    Emit,
    IMachineMemory,
    Reply,
    Start,
    Step,
)

from . import contracts
from .contracts import (
    REFUND_PAYMENT_V1,
    RELEASE_STOCK_V1,
    ApprovalGiven,
    ChargePayment,
    Order,
    OrderClosed,
    OrderShipped,
    OrderStatus,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    RefundPayment,
    ReleaseStock,
    RequestApproval,
    ReserveStock,
    ShipOrder,
    StockReleased,
    StockReserved,
    StockShort,
)

APPROVAL_ABOVE: Final = 50_000
"""Orders that cost more, in cents, need a human's approval."""
SHIP_ATTEMPTS: Final = 3
"""How often the carrier is asked before the order is closed as undeliverable."""


class Progress(BaseModel):
    """The state of the workflow between two answers."""

    order: Order
    total: int = 0
    attempt: int = 0
    """How often the carrier was asked."""
    closed: OrderClosed | None = None
    """How the order will end, once what was done for it is undone."""
    undoing: int = 0
    """How many services were asked to undo something."""


class ServiceFailed(Exception):
    """A service failed unexpectedly; a human must look at the order."""


async def fulfil_v1(call: Start[Order] | Reply[Progress]) -> Step[Progress]:
    """Take an order one step further."""
    if isinstance(call, Start):
        return _reserve(call.data)
    progress = call.context
    match call.data:
        case StockReserved(total=total):
            progress.total = total
            return _approve(progress) if total > APPROVAL_ABOVE else _charge(progress)
        case StockShort(sku=sku, available=available):
            return _close(progress, "out_of_stock", reason=f"{available} of {sku} left")
        case ApprovalGiven(approved=True):
            return _charge(progress)
        case ApprovalGiven(by=by):
            return _undo(progress, "refused", reason=f"refused by {by}")
        case PaymentCaptured():
            return _ship(progress)
        case PaymentDeclined(reason=reason):
            return _undo(progress, "declined", reason=reason)
        case OrderShipped(tracking=tracking):
            return _close(progress, "shipped", tracking=tracking)
        case StockReleased() | PaymentRefunded():
            return _close_when_undone(call, progress)
        case SystemErrorData(error_message=message):
            if call.event.type != contracts.ship_order.system_error_type:
                raise ServiceFailed(message)
            if progress.attempt < SHIP_ATTEMPTS:
                return _ship(progress)
            return _undo(progress, "undeliverable", reason=message, paid=True)
        case unforeseen:
            raise TypeError(f"no rule for {type(unforeseen).__name__}")


def create_workflow(memory: IMachineMemory) -> ArvoResumable:
    """Return the workflow. It keeps its state in `memory`."""
    return ArvoResumable(
        contract=contracts.fulfil_order,
        services=[
            contracts.reserve_stock.version("1.0.0"),
            contracts.release_stock.version("1.0.0"),
            contracts.charge_payment.version("1.0.0"),
            contracts.refund_payment.version("1.0.0"),
            contracts.ship_order.version("1.0.0"),
            contracts.request_approval.version("1.0.0"),
        ],
        memory=memory,
        handler={"1.0.0": fulfil_v1},
        answers="awaited",
    )


def _reserve(order: Order) -> Step[Progress]:
    request = ReserveStock(order_id=order.order_id, lines=order.lines)
    return Step(
        context=Progress(order=order),
        services=[Emit(contracts.reserve_stock.type, request)],
    )


def _approve(progress: Progress) -> Step[Progress]:
    request = RequestApproval(
        order_id=progress.order.order_id, customer=progress.order.customer, total=progress.total
    )
    # The contract's domain takes the event out of the system, to the approver.
    ask = Emit(contracts.request_approval.type, request, domain=ArvoDomain.FROM_EVENT_CONTRACT)
    return Step(context=progress, services=[ask])


def _charge(progress: Progress) -> Step[Progress]:
    request = ChargePayment(
        order_id=progress.order.order_id, card=progress.order.card, amount=progress.total
    )
    return Step(context=progress, services=[Emit(contracts.charge_payment.type, request)])


def _ship(progress: Progress) -> Step[Progress]:
    progress.attempt += 1
    request = ShipOrder(
        order_id=progress.order.order_id,
        postcode=progress.order.postcode,
        attempt=progress.attempt,
    )
    return Step(context=progress, services=[Emit(contracts.ship_order.type, request)])


def _undo(
    progress: Progress, status: OrderStatus, *, reason: str, paid: bool = False
) -> Step[Progress]:
    """Give back what was taken for an order that will not be shipped."""
    order = progress.order
    progress.closed = OrderClosed(order_id=order.order_id, status=status, reason=reason)
    release = ReleaseStock(order_id=order.order_id, lines=order.lines)
    requests = [Emit(contracts.release_stock.type, release)]
    if paid:
        refund = RefundPayment(order_id=order.order_id, amount=progress.total)
        requests.append(Emit(contracts.refund_payment.type, refund))
    progress.undoing = len(requests)
    return Step(context=progress, services=requests)


def _close_when_undone(call: Reply[Progress], progress: Progress) -> Step[Progress]:
    undone = [*call.replies(RELEASE_STOCK_V1), *call.replies(REFUND_PAYMENT_V1)]
    if progress.closed is None or len(undone) < progress.undoing:
        return Step()  # wait for the other one
    return Step(output=Complete(progress.closed))


def _close(
    progress: Progress,
    status: OrderStatus,
    *,
    tracking: str | None = None,
    reason: str | None = None,
) -> Step[Progress]:
    paid = progress.total if status == "shipped" else 0
    closed = OrderClosed(
        order_id=progress.order.order_id,
        status=status,
        total=paid,
        tracking=tracking,
        reason=reason,
    )
    return Step(output=Complete(closed))

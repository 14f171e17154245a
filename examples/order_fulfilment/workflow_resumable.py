"""The workflow, as code: called with the order, then with every answer and every due timer.

    reserve stock -> (approve, when large) -> charge -> ship
                                               | ^       `-- after three failed attempts: refund
                                               v |
                              (confirm, when the bank wants that)

    Not approved, declined, not confirmed or not shipped: release the goods.

The workflow itself handles transient failures: the carrier's time-out comes as a system error, and
the workflow asks again, with a new request, up to `SHIP_ATTEMPTS` times.

People may not answer at all. So a request to one of them comes with a timer: the approval has a
deadline, and the customer is reminded up to `REMINDERS` times.
"""

from typing import Final

from pydantic import BaseModel

from arvo_core import SystemErrorData
from arvo_event_handler import (
    ArvoDomain,
    ArvoResumable,
    Complete,
    Due,
    Emit,
    ExecutionPolicy,
    IMachineMemory,
    Reply,
    Start,
    Step,
    Timer,
)

from . import contracts
from .contracts import (
    REFUND_PAYMENT_V1,
    RELEASE_STOCK_V1,
    ApprovalGiven,
    ChargePayment,
    ConfirmPayment,
    Order,
    OrderClosed,
    OrderShipped,
    OrderStatus,
    PaymentCaptured,
    PaymentConfirmed,
    PaymentDeclined,
    PaymentRefunded,
    PaymentUnconfirmed,
    RefundPayment,
    ReleaseStock,
    RequestApproval,
    ReserveStock,
    ShipOrder,
    StockReleased,
    StockReserved,
    StockShort,
)
from .delays import Delays

APPROVAL_ABOVE: Final = 50_000
"""Orders that cost more, in cents, need a human's approval."""
SHIP_ATTEMPTS: Final = 3
"""How often the carrier is asked before the order is closed as undeliverable."""
REMINDERS: Final = 2
"""How often a customer is reminded before the order is closed as declined."""
NOT_APPROVED: Final = "nobody approved it in time"
NOT_CONFIRMED: Final = "the customer did not confirm the payment"

# The names of the timers.
_APPROVAL: Final = "approval"
_PAYMENT: Final = "payment"


class Progress(BaseModel):
    """The state of the workflow between two calls."""

    order: Order
    total: int = 0
    requests: int = 0
    """How often the customer was asked to confirm the payment."""
    confirmed: bool = False
    """Whether the customer has confirmed it."""
    attempt: int = 0
    """How often the carrier was asked."""
    closed: OrderClosed | None = None
    """How the order will end, once what was done for it is undone."""
    undoing: int = 0
    """How many services were asked to undo something."""


class ServiceFailed(Exception):
    """A service failed unexpectedly; a human must look at the order."""


def create_workflow(
    memory: IMachineMemory, *, delays: Delays, policy: ExecutionPolicy | None = None
) -> ArvoResumable:
    """Return the workflow.

    Args:
        memory: Keeps its state; one with an index of what is due.
        delays: How long it waits for people.
        policy: Its clock, among others; None for the defaults.
    """

    async def fulfil_v1(call: Start[Order] | Reply[Progress] | Due[Progress]) -> Step[Progress]:
        match call:
            case Start():
                return _reserve(call.data)
            case Reply():
                return _go_on(call, delays)
            case Due():
                return _wait_no_longer(call, delays)

    return ArvoResumable(
        contract=contracts.fulfil_order,
        services=[
            contracts.reserve_stock.version("1.0.0"),
            contracts.release_stock.version("1.0.0"),
            contracts.charge_payment.version("1.0.0"),
            contracts.refund_payment.version("1.0.0"),
            contracts.ship_order.version("1.0.0"),
            contracts.request_approval.version("1.0.0"),
            contracts.confirm_payment.version("1.0.0"),
        ],
        memory=memory,
        handler={"1.0.0": fulfil_v1},
        answers="awaited",
        policy=policy,
    )


def _go_on(call: Reply[Progress], delays: Delays) -> Step[Progress]:
    """Take an order one step further, as a service or a person has answered."""
    progress = call.context
    match call.data:
        case StockReserved(total=total):
            progress.total = total
            return _approve(progress, delays) if total > APPROVAL_ABOVE else _charge(progress)
        case StockShort(sku=sku, available=available):
            return _close(progress, "out_of_stock", reason=f"{available} of {sku} left")
        case ApprovalGiven() | PaymentConfirmed() if progress.closed or progress.confirmed:
            return Step()  # too late, or the answer to an earlier request than the last one
        case ApprovalGiven(approved=True):
            return _charge(progress)
        case ApprovalGiven(by=by):
            return _undo(progress, "refused", reason=f"refused by {by}")
        case PaymentCaptured():
            return _ship(progress)
        case PaymentDeclined(reason=reason):
            return _undo(progress, "declined", reason=reason)
        case PaymentUnconfirmed():
            return _confirm(progress, delays)
        case PaymentConfirmed():
            progress.confirmed = True
            return _charge(progress)
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


def _wait_no_longer(call: Due[Progress], delays: Delays) -> Step[Progress]:
    """Go on although somebody has not answered."""
    progress = call.context
    if call.name == _APPROVAL:
        return _undo(progress, "refused", reason=NOT_APPROVED)
    if progress.requests <= REMINDERS:
        return _confirm(progress, delays)
    return _undo(progress, "declined", reason=NOT_CONFIRMED)


def _reserve(order: Order) -> Step[Progress]:
    request = ReserveStock(order_id=order.order_id, lines=order.lines)
    return Step(
        context=Progress(order=order),
        services=[Emit(contracts.reserve_stock.type, request)],
    )


def _approve(progress: Progress, delays: Delays) -> Step[Progress]:
    request = RequestApproval(
        order_id=progress.order.order_id, customer=progress.order.customer, total=progress.total
    )
    # The contract's domain takes the event out of the system, to the approval desk.
    ask = Emit(contracts.request_approval.type, request, domain=ArvoDomain.FROM_EVENT_CONTRACT)
    deadline = Timer(_APPROVAL, after=delays.approval)
    return Step(context=progress, services=[ask], timers=[deadline])


def _charge(progress: Progress) -> Step[Progress]:
    request = ChargePayment(
        order_id=progress.order.order_id,
        card=progress.order.card,
        amount=progress.total,
        confirmed=progress.confirmed,
    )
    charge = Emit(contracts.charge_payment.type, request)
    return Step(context=progress, services=[charge], cancel=[_APPROVAL, _PAYMENT])


def _confirm(progress: Progress, delays: Delays) -> Step[Progress]:
    """Ask the customer to confirm the payment, or remind them of it."""
    request = ConfirmPayment(
        order_id=progress.order.order_id,
        customer=progress.order.customer,
        amount=progress.total,
        reminder=progress.requests,
    )
    progress.requests += 1
    ask = Emit(contracts.confirm_payment.type, request, domain=ArvoDomain.FROM_EVENT_CONTRACT)
    return Step(context=progress, services=[ask], timers=[Timer(_PAYMENT, after=delays.reminder)])


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
    return Step(context=progress, services=requests, cancel=[_APPROVAL])


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

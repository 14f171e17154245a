"""Scripted people outside the broker: the approval desk, and the customers.

In production these would be web pages. The principle is the same: a request leaves the system as an
event with a domain, and the answer comes back as an event for the workflow that asked, if it ever
does.
"""

from typing import Any

from pydantic import BaseModel

from arvo_core import ArvoEvent, ArvoEventFactory, VersionedArvoContract
from arvo_core.event_id import derive_id
from arvo_event_handler.delivery import Publish

from .contracts import (
    CONFIRM_PAYMENT_V1,
    REQUEST_APPROVAL_V1,
    ApprovalGiven,
    ConfirmPayment,
    PaymentConfirmed,
    RequestApproval,
    confirm_payment,
    request_approval,
)

DISTRUSTED = frozenset({"cara", "mallory"})
"""Customers whose large orders are refused."""
OVERLOOKED = frozenset({"walt"})
"""Customers whose large orders the approval desk overlooks."""
FORGETFUL = frozenset({"finn"})
"""Customers who confirm a payment only when they are reminded."""
UNREACHABLE = frozenset({"olga"})
"""Customers who never confirm a payment."""


async def on_domained_event(event: ArvoEvent, publish: Publish) -> None:
    """Publish what a person answers to a request, unless that person does not answer.

    Raises:
        ValueError: The event is not a request to one of these people.
    """
    if event.type == request_approval.type:
        if decision := _approve(RequestApproval.model_validate(event.data)):
            approvals = request_approval.version(REQUEST_APPROVAL_V1)
            await publish(_answer_to(event, approvals, decision))
    elif event.type == confirm_payment.type:
        if confirmation := _confirm(ConfirmPayment.model_validate(event.data)):
            confirmations = confirm_payment.version(CONFIRM_PAYMENT_V1)
            await publish(_answer_to(event, confirmations, confirmation))
    else:
        raise ValueError(f"nobody here answers a {event.type}")


def _approve(request: RequestApproval) -> ApprovalGiven | None:
    if request.customer in OVERLOOKED:
        return None
    return ApprovalGiven(approved=request.customer not in DISTRUSTED, by="the approval desk")


def _confirm(request: ConfirmPayment) -> PaymentConfirmed | None:
    if request.customer in UNREACHABLE:
        return None
    if request.customer in FORGETFUL and request.reminder == 0:
        return None
    return PaymentConfirmed(order_id=request.order_id)


def _answer_to(
    request: ArvoEvent, contract: VersionedArvoContract[Any], answer: BaseModel
) -> ArvoEvent:
    [kind] = contract.emits  # a request to a person has one kind of answer
    return ArvoEventFactory(contract).emits(
        type=kind,
        source=request.to or request.type,
        to=request.redirectto or request.source,
        data=answer,
        subject=request.subject,
        parentid=request.id,
        # The same request gives the same id, so that a duplicate is recognised.
        id=derive_id(request.source, request.id, "answer"),
    )

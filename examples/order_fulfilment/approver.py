"""A scripted human: approves large orders, outside the broker.

In production this would be a web page. The principle is the same: the request leaves the system as an
event with a domain, and the decision comes back as an event for the workflow that asked.
"""

from arvo_core import ArvoEvent, ArvoEventFactory
from arvo_core.event_id import derive_id
from arvo_event_handler.delivery import Publish

from .contracts import (
    REQUEST_APPROVAL_V1,
    ApprovalGiven,
    RequestApproval,
    request_approval,
)

DISTRUSTED = frozenset({"cara", "mallory"})
"""Customers whose large orders are refused."""


async def on_domained_event(event: ArvoEvent, publish: Publish) -> None:
    """Decide about a request for approval and publish the decision."""
    request = RequestApproval.model_validate(event.data)
    decision = ApprovalGiven(approved=request.customer not in DISTRUSTED, by="the approval desk")
    await publish(
        ArvoEventFactory(request_approval.version(REQUEST_APPROVAL_V1)).emits(
            type="evt.order.approve.success",
            source=event.to or event.type,
            to=event.redirectto or event.source,
            data=decision,
            subject=event.subject,
            parentid=event.id,
            # The same request gives the same id, so that a duplicate is recognised.
            id=derive_id(event.source, event.id, "approval"),
        )
    )

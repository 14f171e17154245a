"""The workflow, as a statechart: the same contracts and outcomes as `workflow_resumable`.

`workflow_chart` has the states; this module has their actions and guards.

The price list is known beforehand, so the card need not wait for the stock. The drawback: an order
may be charged although the goods turn out to be short. Then it is refunded.
"""

from typing import Any

from arvo_event_handler import (
    ArvoDomain,
    ArvoMachine,
    ArvoOrchestrator,
    ExecutionPolicy,
    IMachineMemory,
)
from arvo_statechart import Call, assign, emit
from arvo_statechart.typing import Event

from . import contracts
from .contracts import OrderClosed, OrderStatus
from .delays import Delays
from .ledger import CATALOGUE
from .workflow_chart import CHART
from .workflow_resumable import (
    APPROVAL_ABOVE,
    NOT_APPROVED,
    NOT_CONFIRMED,
    REMINDERS,
    SHIP_ATTEMPTS,
    ServiceFailed,
)


def create_workflow(
    memory: IMachineMemory, *, delays: Delays, policy: ExecutionPolicy | None = None
) -> ArvoOrchestrator:
    """Return the workflow.

    Args:
        memory: Keeps its state; one with an index of what is due.
        delays: How long it waits for people.
        policy: Its clock, among others; None for the defaults.
    """
    machine = ArvoMachine(
        contract=contracts.fulfil_order.version("1.0.0"),
        services=[
            contracts.reserve_stock.version("1.0.0"),
            contracts.release_stock.version("1.0.0"),
            contracts.charge_payment.version("1.0.0"),
            contracts.refund_payment.version("1.0.0"),
            contracts.ship_order.version("1.0.0"),
            contracts.request_approval.version("1.0.0"),
            contracts.confirm_payment.version("1.0.0"),
        ],
        config={
            **CHART,
            "context": _first_context,
            "output": lambda call: call.context["closed"],
        },
        actions={
            "ask_for_goods": emit(_reserve),
            "ask_human": emit(_approve),
            "ask_for_money": emit(_charge),
            "ask_customer": emit(_confirm),
            "ask_carrier": emit(_ship),
            "release_goods": emit(_release),
            "refund_money": emit(_refund),
            "hold": assign({"holds_goods": True}),
            "cash": assign({"holds_money": True}),
            "count_request": assign({"requests": lambda call: call.context["requests"] + 1}),
            "count_attempt": assign({"attempt": lambda call: call.context["attempt"] + 1}),
            "note_shortage": assign(_note_shortage),
            "note_refusal": assign(_note_refusal),
            "note_no_approval": assign(_note_no_approval),
            "note_confirmation": assign({"confirmed": True}),
            "note_no_confirmation": assign(_note_no_confirmation),
            "note_decline": assign(_note_decline),
            "note_shipment": assign(_note_shipment),
            "note_failure": assign({"failure": _message}),
            "give_up": assign(_give_up),
            "fail": _fail,
        },
        guards={
            "has_no_price": lambda call: call.context["total"] is None,
            "is_large": lambda call: call.context["total"] > APPROVAL_ABOVE,
            "is_refused": lambda call: not call.event["data"]["approved"],
            "is_closing": _is_closing,
            "may_remind": lambda call: call.context["requests"] <= REMINDERS,
            "may_ask_again": lambda call: call.context["attempt"] < SHIP_ATTEMPTS,
            "holds_goods": lambda call: call.context["holds_goods"],
            "holds_money": lambda call: call.context["holds_money"],
            "has_failed": lambda call: call.context["failure"] is not None,
        },
        delays={"APPROVAL": delays.approval, "REMINDER": delays.reminder},
    )
    return ArvoOrchestrator(machines=[machine], memory=memory, answers="awaited", policy=policy)


# --- requests ------------------------------------------------------------------


def _reserve(call: Call) -> Event:
    return _request(call, contracts.reserve_stock.type, lines=call.context["order"]["lines"])


def _approve(call: Call) -> Event:
    customer, total = call.context["order"]["customer"], call.context["total"]
    return _to_person(
        _request(call, contracts.request_approval.type, customer=customer, total=total)
    )


def _charge(call: Call) -> Event:
    return _request(
        call,
        contracts.charge_payment.type,
        card=call.context["order"]["card"],
        amount=call.context["total"],
        confirmed=call.context["confirmed"],
    )


def _confirm(call: Call) -> Event:
    return _to_person(
        _request(
            call,
            contracts.confirm_payment.type,
            customer=call.context["order"]["customer"],
            amount=call.context["total"],
            reminder=call.context["requests"] - 1,
        )
    )


def _ship(call: Call) -> Event:
    postcode, attempt = call.context["order"]["postcode"], call.context["attempt"]
    return _request(call, contracts.ship_order.type, postcode=postcode, attempt=attempt)


def _release(call: Call) -> Event:
    return _request(call, contracts.release_stock.type, lines=call.context["order"]["lines"])


def _refund(call: Call) -> Event:
    return _request(call, contracts.refund_payment.type, amount=call.context["total"])


def _request(call: Call, service: str, **data: object) -> Event:
    return {"type": service, "data": {"order_id": call.context["order"]["order_id"], **data}}


def _to_person(request: Event) -> Event:
    """Return a request that leaves the system, by the domain of its contract."""
    return {**request, "domain": ArvoDomain.FROM_EVENT_CONTRACT}


# --- context -------------------------------------------------------------------


def _first_context(call: Call) -> dict[str, Any]:
    order = call.input["data"]
    return {
        "order": order,
        "total": _price(order["lines"]),  # None for an unknown article
        "holds_goods": False,
        "holds_money": False,
        "requests": 0,  # how often the customer was asked to confirm the payment
        "confirmed": False,  # whether the customer has confirmed it
        "attempt": 0,  # how often the carrier was asked
        "closed": None,  # how the order will end, as soon as that is known
        "failure": None,  # the message of an unexpected failure of a service
    }


def _note_shortage(call: Call) -> dict[str, Any]:
    sku, available = call.event["data"]["sku"], call.event["data"]["available"]
    return _closed(call, "out_of_stock", reason=f"{available} of {sku} left")


def _note_refusal(call: Call) -> dict[str, Any]:
    return _closed(call, "refused", reason=f"refused by {call.event['data']['by']}")


def _note_no_approval(call: Call) -> dict[str, Any]:
    return _closed(call, "refused", reason=NOT_APPROVED)


def _note_no_confirmation(call: Call) -> dict[str, Any]:
    return _closed(call, "declined", reason=NOT_CONFIRMED)


def _note_decline(call: Call) -> dict[str, Any]:
    return _closed_unless_short(call, "declined", reason=call.event["data"]["reason"])


def _note_shipment(call: Call) -> dict[str, Any]:
    tracking = call.event["data"]["tracking"]
    return _closed(call, "shipped", total=call.context["total"], tracking=tracking)


def _give_up(call: Call) -> dict[str, Any]:
    return _closed(call, "undeliverable", reason=_message(call))


def _closed(call: Call, status: OrderStatus, **members: Any) -> dict[str, Any]:
    closed = OrderClosed(order_id=call.context["order"]["order_id"], status=status, **members)
    return {"closed": closed.model_dump()}


def _closed_unless_short(call: Call, status: OrderStatus, *, reason: str) -> dict[str, Any]:
    """Goods and money answer in any order; the reported reason does not depend on it."""
    return {} if call.context["closed"] else _closed(call, status, reason=reason)


def _fail(call: Call) -> None:
    raise ServiceFailed(call.context["failure"])


def _is_closing(call: Call) -> bool:
    return bool(call.context["closed"] or call.context["failure"])


def _message(call: Call) -> str:
    return str(call.event["data"]["errorMessage"])


def _price(lines: list[dict[str, Any]]) -> int | None:
    if any(line["sku"] not in CATALOGUE for line in lines):
        return None
    return sum(CATALOGUE[line["sku"]][0] * int(line["quantity"]) for line in lines)

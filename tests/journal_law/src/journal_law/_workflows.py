"""The workflows that are compared, in both styles. What an answer costs says what they do next."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from arvo_event_handler import (
    ArvoMachine,
    ArvoOrchestrator,
    ArvoResumable,
    ArvoResumableFunction,
    Complete,
    Emit,
    IMachineMemory,
    Reply,
    Start,
    Step,
)
from arvo_statechart import BuiltInAction, Call, assign, emit
from arvo_statechart.typing import MachineConfig

from ._shop import (
    ASKS,
    CHARGE,
    CHARGED,
    ENDS,
    NOTE,
    ORDER,
    ORDER_V1,
    RAISES,
    RESERVE,
    RESERVE_V1,
    RESERVED,
    SHOP,
    Order,
    Reserve,
)

AnyCall: TypeAlias = Start[Order] | Reply[dict[str, Any]]
"""What the function receives."""


async def flow(call: AnyCall) -> Step[dict[str, Any]]:
    """Keep in the context what every look at the collected answers shows."""
    if isinstance(call, Start):
        asked = [Emit(RESERVE, Reserve(item=item)) for item in call.data.items]
        return Step(context={"seen": []}, services=[*asked, Emit(NOTE, Reserve(item="x"))])
    price: int = getattr(call.data, "price", -1)
    if price == RAISES:
        raise LookupError("sold out")
    if price == ENDS:
        return Step(output=Complete({"total": sum(r.price for r in call.replies(RESERVE_V1))}))
    events: Any = call.metadata["events"]
    seen = [
        *call.context["seen"][-3:],
        [
            [reply.price for reply in call.replies(RESERVE_V1)],
            [[kind, [answer.id for answer in answers]] for kind, answers in call.collected.items()],
            [events["consumed"]["id"], len(events["produced"]), len(events["expected"])],
        ],
    ]
    services: Sequence[Emit] = ()
    if price in ASKS:
        services = [
            *(Emit(RESERVE, Reserve(item=str(position))) for position in range(price)),
            Emit(CHARGE, {"amount": price}),
            *([] if price % 2 else [Emit(NOTE, Reserve(item="x" * 50))]),
        ]
    return Step(context={"seen": seen}, services=services)


def resumable(
    memory: IMachineMemory, function: ArvoResumableFunction = flow, **options: Any
) -> ArvoResumable:
    """Make the workflow as code, or one with another function."""
    return ArvoResumable(
        contract=ORDER, services=SHOP, memory=memory, handler={"1.0.0": function}, **options
    )


def _ask(event_type: str, **data: Any) -> BuiltInAction:
    return emit({"type": event_type, "data": data})


def _costs(*prices: int) -> Callable[[Any], bool]:
    return lambda call: call.event["data"]["price"] in prices


def _total(call: Call) -> dict[str, Any]:
    return {"total": call.context["total"]}


_CHART: MachineConfig = {
    "context": lambda call: {"items": call.input["data"]["items"], "total": 0},
    "initial": "open",
    "states": {
        "open": {
            "entry": [_ask(RESERVE, item="a"), _ask(RESERVE, item="b")],
            "on": {
                RESERVED: [
                    {"guard": "ends", "target": "done"},
                    {"guard": "asks", "actions": [_ask(RESERVE, item="c"), _ask(CHARGE, amount=1)]},
                    {"actions": assign({"total": lambda call: call.event["data"]["price"]})},
                ],
                CHARGED: {"actions": _ask(RESERVE, item="d")},
            },
        },
        "done": {"type": "final"},
    },
    "output": _total,
}


def machine(memory: IMachineMemory, **options: Any) -> ArvoOrchestrator:
    """Make the workflow as a statechart."""
    chart = ArvoMachine(
        contract=ORDER.version(ORDER_V1),
        services=SHOP[:2],
        config=_CHART,
        guards={"ends": _costs(ENDS), "asks": _costs(*ASKS)},
    )
    return ArvoOrchestrator(machines=[chart], memory=memory, **options)

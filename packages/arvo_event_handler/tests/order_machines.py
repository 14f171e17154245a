"""The shop's order as statecharts, which the tests of machines and orchestrators share."""

from collections.abc import Mapping, Sequence
from typing import Any

from arvo_core import VersionedArvoContract
from arvo_event_handler import (
    Answers,
    ArvoMachine,
    ArvoOrchestrator,
    EmissionDomains,
    ExecutionPolicy,
    IMachineMemory,
    SimpleMachineMemory,
    SystemErrorPolicy,
)
from arvo_statechart import BuiltInAction, Call, assign, emit, enqueue_actions
from arvo_statechart.typing import (
    ActionImplementation,
    GuardImplementation,
    MachineConfig,
    StateConfig,
    XStateVersion,
)

from .shop import (
    CHARGE,
    CHARGE_V1,
    CHARGED,
    ORDER_V1,
    RESERVE,
    RESERVE_V1,
    RESERVED,
    charge_contract,
    order_contract,
    reserve_contract,
)

RESERVE_SERVICE = reserve_contract.version(RESERVE_V1)
CHARGE_SERVICE = charge_contract.version(CHARGE_V1)

remember_price = assign({"total": lambda call: call.event["data"]["price"]})


def ask(event_type: str, **data: Any) -> BuiltInAction:
    """Make the action that asks for an event."""
    return emit({"type": event_type, "data": data})


def ask_to_reserve() -> BuiltInAction:
    """Make the action that reserves what was ordered first."""
    return emit(
        lambda call: {"type": RESERVE, "data": {"item": call.context["items"][0], "amount": 1}}
    )


def ask_to_charge() -> BuiltInAction:
    """Make the action that charges what the context says."""
    return emit(lambda call: {"type": CHARGE, "data": {"amount": call.context["total"]}})


def total(call: Call) -> dict[str, Any]:
    """Compute what the order completes with."""
    return {"total": call.context["total"]}


def first_context(call: Call) -> dict[str, Any]:
    """Make the context that an order starts with."""
    return {"items": call.input["data"]["items"], "total": 0}


ORDER_CONFIG: MachineConfig = {
    "context": first_context,
    "initial": "reserving",
    "states": {
        "reserving": {
            "entry": ask_to_reserve(),
            "on": {RESERVED: {"target": "charging", "actions": remember_price}},
        },
        "charging": {"entry": ask_to_charge(), "on": {CHARGED: "done"}},
        "done": {"type": "final"},
    },
    "output": total,
}
"""Reserves the first item, charges its price, then ends with it."""

PARALLEL_CONFIG: MachineConfig = {
    "context": first_context,
    "initial": "both",
    "states": {
        "both": {
            "type": "parallel",
            "states": {
                "stock": {
                    "initial": "waiting",
                    "states": {
                        "waiting": {
                            "entry": ask_to_reserve(),
                            "on": {RESERVED: {"target": "got", "actions": remember_price}},
                        },
                        "got": {"type": "final"},
                    },
                },
                "payment": {
                    "initial": "waiting",
                    "states": {
                        "waiting": {"entry": ask(CHARGE, amount=1), "on": {CHARGED: "got"}},
                        "got": {"type": "final"},
                    },
                },
            },
            "onDone": "done",
        },
        "done": {"type": "final"},
    },
    "output": total,
}
"""Reserves and charges concurrently."""


DETOUR_CONFIG: MachineConfig = {
    "id": "order",
    "context": first_context,
    "entry": ask_to_reserve(),
    "initial": "open",
    "states": {
        "open": {
            "type": "parallel",
            "states": {
                "stock": {"on": {RESERVED: "#order.open.last"}},
                "payment": {"on": {RESERVED: {"target": "#order.away", "actions": remember_price}}},
                "last": {"type": "history"},
            },
        },
        "away": {
            "initial": "charging",
            "states": {"charging": {"entry": ask_to_charge(), "on": {CHARGED: "#order.done"}}},
        },
        "done": {"type": "final"},
    },
    "output": total,
}
"""Under XState 5.24 it charges in `away`, while the regions of `open` stay active beside it."""


def _ask_to_reserve_all(call: Call) -> list[BuiltInAction]:
    return [ask(RESERVE, item=item, amount=1) for item in call.context["items"]]


def _count_answer(call: Call) -> dict[str, Any]:
    price = call.event["data"].get("price", 0)
    return {"answers": call.context["answers"] + 1, "total": call.context["total"] + price}


EVERY_ITEM_CONFIG: MachineConfig = {
    "context": lambda call: {**first_context(call), "answers": 0},
    "initial": "reserving",
    "states": {
        "reserving": {
            "entry": enqueue_actions(_ask_to_reserve_all),
            "on": {
                RESERVED: {"actions": assign(_count_answer)},
                f"sys.{RESERVE}.error": {"actions": assign(_count_answer)},
            },
            "always": {
                "guard": lambda call: call.context["answers"] == len(call.context["items"]),
                "target": "charging",
            },
        },
        "charging": {"entry": ask_to_charge(), "on": {CHARGED: "done"}},
        "done": {"type": "final"},
    },
    "output": total,
}
"""Reserves all items concurrently, charges what could be reserved, then ends with its price."""


def waiting_for(
    event_type: str, then: StateConfig, *, entry: Any = (), **members: Any
) -> MachineConfig:
    """Make a machine that asks in its first state, and goes on to another with an event."""
    config: Any = {
        "context": first_context,
        "initial": "waiting",
        "states": {"waiting": {"entry": entry, "on": {event_type: "then"}}, "then": then},
        "output": total,
        **members,
    }
    made: MachineConfig = config
    return made


def machine(
    config: MachineConfig = ORDER_CONFIG,
    *,
    actions: Mapping[str, ActionImplementation] | None = None,
    guards: Mapping[str, GuardImplementation] | None = None,
    services: Sequence[VersionedArvoContract[Any]] = (RESERVE_SERVICE, CHARGE_SERVICE),
    contract: VersionedArvoContract[Any] | None = None,
    xstate: XStateVersion | None = None,
) -> ArvoMachine:
    """Make the order's machine, or one with another statechart."""
    return ArvoMachine(
        contract=contract or order_contract.version(ORDER_V1),
        services=services,
        config=config,
        actions=actions,
        guards=guards,
        xstate=xstate,
    )


def orchestrator(
    *machines: ArvoMachine,
    memory: IMachineMemory | None = None,
    domains: EmissionDomains | None = None,
    policy: ExecutionPolicy | None = None,
    locking: bool | None = None,
    executionunits: float = 0,
    answers: Answers = "any",
    system_errors: SystemErrorPolicy | None = None,
) -> ArvoOrchestrator:
    """Make the order workflow, or one of other machines."""
    return ArvoOrchestrator(
        machines=machines or [machine()],
        memory=SimpleMachineMemory() if memory is None else memory,
        domains=domains,
        policy=policy,
        requires_resource_locking=locking,
        executionunits=executionunits,
        answers=answers,
        system_errors=system_errors,
    )

"""No event and no stored record makes a workflow raise anything but the documented errors."""

import asyncio
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from arvo_core import ArvoEvent, VersionedArvoContract
from arvo_event_handler import (
    Complete,
    ConfigViolation,
    ContractViolation,
    Emit,
    ExecutionViolation,
    IArvoEventHandler,
    SimpleMachineMemory,
    Start,
    Step,
    TransactionViolation,
)
from arvo_event_handler.memory import Record
from arvo_statechart.typing import MachineConfig

from .order_machines import EVERY_ITEM_CONFIG, machine, orchestrator
from .shop import (
    CHARGE_V1,
    ORDER,
    ORDERED,
    RESERVE,
    RESERVE_V1,
    AnyCall,
    Ordered,
    charge_contract,
    order,
    reserve_contract,
    reserve_failed,
    reserved,
    start,
)

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
HEADER = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
DATA = st.dictionaries(TEXT, JSON, max_size=2) | st.fixed_dictionaries(
    {},
    optional={
        "items": st.lists(JSON, max_size=3),
        "parentSubject$$": JSON,
        "price": JSON,
        "errorName": JSON,
        "errorMessage": JSON,
        "errorStack": JSON,
    },
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "data": DATA,
        "type": st.sampled_from(
            [ORDER, ORDERED, "evt.stock.reserve.success", "sys.com.stock.reserve.error", "a.b.c"]
        ),
        "subject": TEXT,
        "dataschema": st.none()
        | TEXT
        | st.sampled_from(["#/shop/order/1.0.0", "#/shop/stock/reserve/0.0.0", "#/x/1.0.0"]),
        "parentid": st.none() | HEADER,
        "source": TEXT,
        "id": HEADER,
        "redirectto": st.none() | TEXT,
        "domain": st.none() | st.sampled_from(["a.b", "domain.event.inherit"]),
        "accesscontrol": st.none() | HEADER,
    },
)


KEPT = st.lists(
    st.tuples(
        TEXT,
        st.lists(JSON | st.fixed_dictionaries({"id": JSON}), min_size=1, max_size=2),
        st.none() | TEXT,
    ).map(list),
    min_size=1,
    max_size=2,
)
"""Almost what `redelivery.out` holds."""
_STATE_PARTS = ("value", "context", "status", "children", "historyValue", "output")


async def unlucky(call: AnyCall) -> Step[Any]:
    if isinstance(call, Start):
        return Step(services=[Emit(RESERVE, {"item": item}) for item in call.data.items])
    prices = [each.price for each in call.replies(RESERVE_V1)]
    return Step(output=Complete(Ordered(total=100 // sum(prices))))


UNLUCKY_CONFIG: MachineConfig = {
    **EVERY_ITEM_CONFIG,
    "states": {**EVERY_ITEM_CONFIG["states"], "charging": {"type": "final"}},
    "output": lambda call: {"total": 100 // call.context["total"]},
}


def workflow(flavour: str, memory: SimpleMachineMemory | None = None) -> IArvoEventHandler:
    """Make an order that may divide by zero."""
    memory = memory or SimpleMachineMemory()
    if flavour == "machine":
        return orchestrator(machine(UNLUCKY_CONFIG), memory=memory)
    services: list[VersionedArvoContract[Any]] = [
        reserve_contract.version(RESERVE_V1),
        charge_contract.version(CHARGE_V1),
    ]
    return order(unlucky, services=services, memory=memory)


@pytest.mark.parametrize("flavour", ["resumable", "machine"])
@given(
    items=st.lists(TEXT, max_size=2),
    init=CHANGES,
    replies=st.lists(st.tuples(st.integers(-1, 2**70), CHANGES), max_size=3),
    fails=st.booleans(),
)
def test_no_event_raises_anything_but_violations(
    flavour: str,
    items: list[str],
    init: dict[str, Any],
    replies: list[tuple[int, dict[str, Any]]],
    fails: bool,
) -> None:
    """Mutated starts and answers, in a workflow that runs or does not."""

    async def run() -> None:
        handler = workflow(flavour)
        event = ArvoEvent.create(**(start(*items).to_dict() | init))
        requests = await execute(handler, event)
        request = requests[0] if requests else event
        for price, changes in replies:
            reply = (
                reserve_failed(request, LookupError(str(price)))
                if fails
                else reserved(request, price=price)
            )
            await execute(handler, ArvoEvent.create(**(reply.to_dict() | changes)))
            await execute(handler, event)

    async def execute(handler: IArvoEventHandler, event: ArvoEvent) -> list[ArvoEvent]:
        try:
            outputs = await handler.execute(event)
        except (ConfigViolation, ContractViolation, ExecutionViolation):
            return []
        except TransactionViolation as error:
            raise AssertionError("there is no other worker") from error
        for output in outputs:
            assert ArvoEvent.from_json(output.to_json()) == output
        return outputs

    asyncio.run(run())


@pytest.mark.parametrize("flavour", ["resumable", "machine"])
@given(
    damage=st.dictionaries(
        st.sampled_from(
            [
                ("a",),
                ("redelivery",),
                ("redelivery", "seen"),
                ("redelivery", "out"),
                ("initEventId",),
                ("parentSubject",),
                ("status",),
                ("executionStatus",),
                ("state$$",),
                ("events",),
                ("events", "consumed"),
                ("events", "expected"),
                ("events", "produced"),
                *((member, part) for member in ("state", "state$$") for part in _STATE_PARTS),
            ]
        ),
        JSON | KEPT,
        max_size=3,
    ),
    begun=st.booleans(),
)
@example(damage={("redelivery", "out"): [["f00d", [7], None]]}, begun=True)
@example(damage={("redelivery",): None, ("events", "produced"): [None]}, begun=True)
@example(damage={("redelivery",): None, ("events", "produced"): [{"id": "1"}]}, begun=True)
def test_no_record_raises_anything_but_violations(
    flavour: str, damage: dict[tuple[str, ...], Any], begun: bool
) -> None:
    """Any content of the memory, which may be another program's, or a damaged record."""

    async def run() -> None:
        memory = SimpleMachineMemory()
        event = start()
        [request] = await workflow(flavour, memory).execute(event)
        stored = await memory.read(event.subject)
        await memory.write(event.subject, _damaged(stored if begun else {}, damage), stored)
        for each in (event, reserved(request)):
            try:
                await workflow(flavour, memory).execute(each)
            except TransactionViolation as error:
                assert error.cause == "READ_MACHINE_MEMORY_FAILURE"  # noqa: PT017
            except ConfigViolation as error:
                assert "cannot read the stored state" in str(error)  # noqa: PT017

    asyncio.run(run())


def _damaged(record: Record | None, damage: dict[tuple[str, ...], Any]) -> Record:
    damaged: dict[str, Any] = dict(record or {})
    for (member, *rest), value in damage.items():
        if rest and isinstance(damaged.get(member), dict):
            damaged[member] = {**damaged[member], rest[0]: value}
        else:
            damaged[member] = value
    return damaged

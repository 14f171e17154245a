"""The service and the workflow that several suites measure: adding two numbers, and asking for it."""

from pydantic import BaseModel

from arvo_core import (
    ArvoOrchestratorContract,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoMachine,
    ArvoOrchestrator,
    Emit,
    ExecutionPolicy,
    HandlerInput,
    IMachineMemory,
)
from arvo_statechart import Call, assign, emit
from arvo_statechart.typing import Event, MachineConfig


class Add(BaseModel):
    """The numbers to add."""

    a: float
    b: float


class Added(BaseModel):
    """The sum."""

    result: float


class Total(BaseModel):
    """The answer of the workflow."""

    total: float


ADD_V1 = SimpleVersion("1.0.0", accepts=Add, emits=Added)
ADD = SimpleArvoContract(uri="#/benchmarks/add", type="calculator.add", versions=[ADD_V1])

TOTAL_V1 = OrchestratorVersion("1.0.0", init=Add, complete=Total)
TOTAL = ArvoOrchestratorContract(uri="#/benchmarks/total", name="total", versions=[TOTAL_V1])

THRICE_V1 = OrchestratorVersion("1.0.0", init=Add, complete=Total)
THRICE = ArvoOrchestratorContract(uri="#/benchmarks/thrice", name="thrice", versions=[THRICE_V1])

ADDED = "evt.calculator.add.success"
"""The type of the service's answer."""


async def add(call: HandlerInput[Add]) -> Emit:
    """Add two numbers."""
    return Emit(ADDED, Added(result=call.data.a + call.data.b))


def adder() -> ArvoEventHandler:
    """Return the service."""
    return ArvoEventHandler(contract=ADD, handler={"1.0.0": add})


def _ask(call: Call) -> Event:
    return {"type": ADD.type, "data": {"a": call.context["total"], "b": call.context["b"]}}


_SAVE = assign({"total": lambda call: call.event["data"]["result"]})

_CONFIG: MachineConfig = {
    "id": "total",
    "context": lambda call: {"total": call.input["data"]["a"], "b": call.input["data"]["b"]},
    "initial": "first",
    "states": {
        "first": {"entry": emit(_ask), "on": {ADDED: {"target": "second", "actions": _SAVE}}},
        "second": {"entry": emit(_ask), "on": {ADDED: {"target": "done", "actions": _SAVE}}},
        "done": {"type": "final"},
    },
    "output": lambda call: {"total": call.context["total"]},
}

_THREE_STEPS: MachineConfig = {
    **_CONFIG,
    "id": "thrice",
    "states": {
        "first": {"entry": emit(_ask), "on": {ADDED: {"target": "second", "actions": _SAVE}}},
        "second": {"entry": emit(_ask), "on": {ADDED: {"target": "third", "actions": _SAVE}}},
        "third": {"entry": emit(_ask), "on": {ADDED: {"target": "done", "actions": _SAVE}}},
        "done": {"type": "final"},
    },
}


def thrice(memory: IMachineMemory) -> ArvoOrchestrator:
    """Return a workflow that asks the service three times, one after the other."""
    machine = ArvoMachine(
        contract=THRICE.version(THRICE_V1), services=[ADD.version(ADD_V1)], config=_THREE_STEPS
    )
    return ArvoOrchestrator(machines=[machine], memory=memory, requires_resource_locking=True)


def totaller(memory: IMachineMemory, *, policy: ExecutionPolicy | None = None) -> ArvoOrchestrator:
    """Return the workflow as a chart that asks the service twice, one after the other."""
    machine = ArvoMachine(
        contract=TOTAL.version(TOTAL_V1), services=[ADD.version(ADD_V1)], config=_CONFIG
    )
    return ArvoOrchestrator(
        machines=[machine], memory=memory, policy=policy, requires_resource_locking=True
    )

"""Nested workflows whose right answers are known: a parent, its children and their grandchildren."""

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from pydantic import BaseModel

from arvo_core import (
    PARENT_SUBJECT,
    ArvoEvent,
    ArvoOrchestrationSubject,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoMachine,
    ArvoOrchestrator,
    ArvoResumable,
    Complete,
    Emit,
    ExecutionPolicy,
    HandlerInput,
    IArvoEventHandler,
    IMachineMemory,
    Reply,
    Start,
    Step,
)
from arvo_statechart import Call, assign, emit
from arvo_statechart.typing import MachineConfig, StateConfig

APP = "com.app.main"
SERVICES = 5


class Number(BaseModel):
    value: int


class Numbers(BaseModel):
    values: list[int]


contracts = [
    SimpleArvoContract(
        uri=f"#/sim/s{index}",
        type=f"sim.s{index}",
        versions=[SimpleVersion("1.0.0", accepts=Number, emits=Number)],
    )
    for index in range(SERVICES)
]
NESTED_V1 = OrchestratorVersion("1.0.0", init=Number, complete=Number)
PARENT_V1 = OrchestratorVersion("1.0.0", init=Numbers, complete=Number)
parent_contract = ArvoOrchestratorContract(uri="#/sim/p", name="sim.parent", versions=[PARENT_V1])
child_contract = ArvoOrchestratorContract(uri="#/sim/c", name="sim.child", versions=[NESTED_V1])
grandchild_contract = ArvoOrchestratorContract(
    uri="#/sim/g", name="sim.grandchild", versions=[NESTED_V1]
)


def service(index: int, value: int) -> int:
    """Compute what a service answers; each service computes something else."""
    return (value * (index + 2) + index) % 10_007


def grandchild(value: int) -> int:
    """Compute what a grandchild answers: one service after the other."""
    return service(3, service(2, value))


def child(value: int) -> int:
    """Compute what a child answers: two services and a grandchild, concurrently."""
    return service(0, value) + service(1, value) + grandchild(value)


def right_answer(values: list[int]) -> int:
    """Compute what a parent answers: concurrent children, then a service with their sum."""
    return service(4, sum(map(child, values)))


def requests_of(values: list[int]) -> Counter[str]:
    """Count the requests that each service must book for one parent."""
    each = {contracts[index].type: len(values) for index in range(4)}
    return Counter(each) + Counter({contracts[4].type: 1})


def init_of(index: int, values: list[int]) -> ArvoEvent:
    """Return the event that starts a parent."""
    subject = ArvoOrchestrationSubject.new(
        orchestrator=parent_contract.type,
        version="1.0.0",
        initiator=APP,
        execution_id=f"parent-{index}",
    )
    return ArvoOrchestratorEventFactory(parent_contract.version(PARENT_V1)).init(
        source=APP, data=Numbers(values=values), subject=subject, id=f"init-{index}"
    )


class World(Protocol):
    """What the handlers touch."""

    async def take_time(self) -> None:
        """Take some time."""
        ...

    def book(self, event: ArvoEvent, value: int) -> None:
        """Note that a service handles an event."""
        ...


def flow_of(
    world: World, *, memory: IMachineMemory, policy: ExecutionPolicy
) -> list[IArvoEventHandler]:
    """Return the handlers of one worker."""
    services = [contract.version("1.0.0") for contract in contracts]
    machine = ArvoMachine(
        contract=child_contract.version(NESTED_V1),
        services=[*services[:2], grandchild_contract.version(NESTED_V1)],
        config=_child_config(),
    )
    return [
        *(
            ArvoEventHandler(contract=contract, handler={"1.0.0": _serving(world, index)})
            for index, contract in enumerate(contracts)
        ),
        ArvoOrchestrator(machines=[machine], memory=memory, policy=policy),
        ArvoResumable(
            contract=grandchild_contract,
            services=services[2:4],
            memory=memory,
            handler={"1.0.0": partial(_grandchild, world=world)},
            policy=policy,
        ),
        ArvoResumable(
            contract=parent_contract,
            services=[child_contract.version(NESTED_V1), services[4]],
            memory=memory,
            handler={"1.0.0": partial(_parent, world=world)},
            policy=policy,
        ),
    ]


def _serving(world: World, index: int) -> Callable[[HandlerInput[Number]], Awaitable[Emit]]:
    async def serve(call: HandlerInput[Number]) -> Emit:
        await world.take_time()
        world.book(call.event, call.data.value)
        return Emit(_answer(index), Number(value=service(index, call.data.value)))

    return serve


async def _grandchild(
    call: Start[Number] | Reply[dict[str, int]], *, world: World
) -> Step[dict[str, int]]:
    await world.take_time()
    if isinstance(call, Start):
        return Step(context={}, services=[Emit(contracts[2].type, call.data)])
    if last := call.collected.get(_answer(3)):
        return Step(output=Complete(Number(value=last[0].data["value"])))
    return Step(services=[Emit(contracts[3].type, Number(value=_sum(call)))])


async def _parent(
    call: Start[Numbers] | Reply[dict[str, int]], *, world: World
) -> Step[dict[str, int]]:
    await world.take_time()
    if isinstance(call, Start):
        asked = [Emit(child_contract.type, Number(value=value)) for value in call.data.values]
        return Step(context={"children": len(asked)}, services=asked)
    if last := call.collected.get(_answer(4)):
        return Step(output=Complete(Number(value=last[0].data["value"])))
    if sum(map(len, call.collected.values())) < call.context["children"]:
        return Step()
    return Step(services=[Emit(contracts[4].type, Number(value=_sum(call)))])


def _answer(index: int) -> str:
    return f"evt.sim.s{index}.success"


def _sum(call: Reply[dict[str, int]]) -> int:
    return sum(event.data["value"] for events in call.collected.values() for event in events)


def _child_config() -> MachineConfig:
    def region(request: str, answer: str) -> StateConfig:
        add = assign({"total": lambda call: call.context["total"] + call.event["data"]["value"]})

        def ask(call: Call) -> dict[str, Any]:
            data: dict[str, Any] = {"value": call.context["value"]}
            if request == grandchild_contract.type:
                data[PARENT_SUBJECT] = call.context["subject"]
            return {"type": request, "data": data}

        return {
            "initial": "waiting",
            "states": {
                "waiting": {"entry": emit(ask), "on": {answer: {"target": "got", "actions": add}}},
                "got": {"type": "final"},
            },
        }

    def context(call: Call) -> dict[str, Any]:
        return {
            "value": call.input["data"]["value"],
            "subject": call.input["subject"],
            "total": 0,
        }

    regions = {f"s{index}": region(contracts[index].type, _answer(index)) for index in range(2)}
    regions["grandchild"] = region(grandchild_contract.type, f"{grandchild_contract.type}.done")
    return {
        "context": context,
        "initial": "asking",
        "states": {
            "asking": {"type": "parallel", "states": regions, "onDone": "done"},
            "done": {"type": "final"},
        },
        "output": lambda call: {"value": call.context["total"]},
    }

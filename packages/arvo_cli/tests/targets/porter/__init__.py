"""A statechart that rings twice, for somebody outside to answer, then opens."""

from pydantic import BaseModel

from arvo_core import (
    ArvoOrchestratorContract,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import ArvoMachine, ArvoOrchestrator, IArvoEventHandler, IMachineMemory
from arvo_statechart import emit


class Knock(BaseModel):
    name: str


class Opened(BaseModel):
    text: str


PORTER_V1 = OrchestratorVersion("1.0.0", init=Knock, complete=Opened)
porter = ArvoOrchestratorContract(uri="#/test/porter", name="porter", versions=[PORTER_V1])
RING_V1 = SimpleVersion("1.0.0", accepts=Knock, emits=Opened)
ring = SimpleArvoContract(uri="#/test/ring", type="bell.ring", versions=[RING_V1])

asks = emit(lambda call: {"type": "com.bell.ring", "data": {"name": call.context["name"]}})
machine = ArvoMachine(
    contract=porter.version(PORTER_V1),
    services=[ring.version(RING_V1)],
    config={
        "id": "porter",
        "context": lambda call: {"name": call.input["data"]["name"]},
        "initial": "first",
        "states": {
            "first": {"entry": asks, "on": {"evt.bell.ring.success": "second"}},
            "second": {"entry": asks, "on": {"evt.bell.ring.success": "open"}},
            "open": {"type": "final"},
        },
        "output": lambda call: {"text": f"{call.context['name']} may come in"},
    },
)


def create_handlers(memory: IMachineMemory) -> list[IArvoEventHandler]:
    return [ArvoOrchestrator(machines=[machine], memory=memory)]

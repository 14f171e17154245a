"""A machine that waits for time, so that its memory must have an index of what is due."""

from pydantic import BaseModel

from arvo_core import ArvoOrchestratorContract, OrchestratorVersion
from arvo_event_handler import ArvoMachine, ArvoOrchestrator, IArvoEventHandler, IMachineMemory


class Boiled(BaseModel):
    text: str


EGG_V1 = OrchestratorVersion("1.0.0", init=Boiled, complete=Boiled)
egg = ArvoOrchestratorContract(uri="#/test/egg", name="egg", versions=[EGG_V1])


def create_handlers(memory: IMachineMemory) -> list[IArvoEventHandler]:
    machine = ArvoMachine(
        contract=egg.version(EGG_V1),
        services=[],
        config={
            "id": "egg",
            "initial": "waiting",
            "states": {"waiting": {"after": {1000: "over"}}, "over": {"type": "final"}},
            "output": {"text": "over"},
        },
    )
    return [ArvoOrchestrator(machines=[machine], memory=memory)]

"""Workflows that are statecharts, in two versions, and a flavour without any."""

from typing import Literal

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
    HandlerInput,
    IArvoEventHandler,
    IMachineMemory,
)


class Knock(BaseModel):
    name: str


class Opened(BaseModel):
    text: str


DOOR_V1 = OrchestratorVersion("1.0.0", init=Knock, complete=Opened)
DOOR_V2 = OrchestratorVersion("2.0.0", init=Knock, complete=Opened)
door = ArvoOrchestratorContract(uri="#/test/door", name="door", versions=[DOOR_V1, DOOR_V2])
BELL_V1 = SimpleVersion("1.0.0", accepts=Knock, emits=Opened)
bell = SimpleArvoContract(uri="#/test/bell", type="bell.ring", versions=[BELL_V1])


def machine(version: Literal["1.0.0", "2.0.0"], end: str) -> ArvoMachine:
    return ArvoMachine(
        contract=door.version(version),
        services=[],
        config={
            "id": "door",
            "context": lambda call: {"name": call.input["data"]["name"]},
            "initial": end,
            "states": {end: {"type": "final"}},
            "output": lambda call: {"text": f"{call.context['name']} finds it {end}"},
        },
    )


async def ring_v1(call: HandlerInput[Knock]) -> None:
    return None


def create_handlers(
    memory: IMachineMemory, *, flavour: Literal["both", "first", "bell"] = "both"
) -> list[IArvoEventHandler]:
    match flavour:
        case "both":
            machines = [machine("1.0.0", "open"), machine("2.0.0", "shut")]
        case "first":
            machines = [machine("1.0.0", "open")]
        case "bell":
            return [ArvoEventHandler(contract=bell, handler={"1.0.0": ring_v1})]
    return [ArvoOrchestrator(machines=machines, memory=memory)]


def must_choose(
    memory: IMachineMemory, flavour: "Literal['both', 'first']"
) -> list[IArvoEventHandler]:
    return create_handlers(memory, flavour=flavour)


def any_text(memory: IMachineMemory, *, flavour: str = "both") -> list[IArvoEventHandler]:
    return create_handlers(memory)


def unreadable(memory: IMachineMemory, *, flavour: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
    return None

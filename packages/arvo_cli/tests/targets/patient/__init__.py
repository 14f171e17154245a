"""A workflow that waits for time as often as it is told, then ends; it can fail when it is called.
Another one only asks it."""

import os
from datetime import timedelta

from pydantic import BaseModel

from arvo_core import ArvoOrchestratorContract, OrchestratorVersion
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    Due,
    Emit,
    ExecutionViolation,
    IArvoEventHandler,
    IMachineMemory,
    Reply,
    Start,
    Step,
    Timer,
)


class Wait(BaseModel):
    name: str
    seconds: float
    times: int = 1


class Waited(BaseModel):
    name: str


WAIT_V1 = OrchestratorVersion("1.0.0", init=Wait, complete=Waited)
patient = ArvoOrchestratorContract(uri="#/test/patient", name="patient", versions=[WAIT_V1])
PARENT_V1 = OrchestratorVersion("1.0.0", init=Wait, complete=Waited)
parent = ArvoOrchestratorContract(uri="#/test/parent", name="parent", versions=[PARENT_V1])


async def parent_v1(call: Start[Wait] | Reply[Wait]) -> Step[Wait]:
    if isinstance(call, Start):
        return Step(context=call.data, services=[Emit(patient.type, call.data)])
    return Step(output=Complete(Waited(name=f"parent of {call.context.name}")))


async def patient_v1(call: Start[Wait] | Reply[Wait] | Due[Wait]) -> Step[Wait]:
    """Fails while the environment says so, as code that is mended later."""
    if isinstance(call, Reply):
        raise TypeError("nothing is asked")
    wait = call.data if isinstance(call, Start) else call.context
    if os.environ.get("PATIENT_FAILS") == wait.name:
        raise ValueError(f"{wait.name} is not to be waited for")
    if isinstance(call, Due) and os.environ.get("PATIENT_FAILS_LATER") == wait.name:
        raise ExecutionViolation("the line is dead")
    left = wait.times if isinstance(call, Start) else wait.times - 1
    if left == 0:
        return Step(output=Complete(Waited(name=wait.name)))
    return Step(
        context=wait.model_copy(update={"times": left}),
        timers=[Timer("remind", after=timedelta(seconds=wait.seconds))],
    )


def create_handlers(memory: IMachineMemory) -> list[IArvoEventHandler]:
    return [
        ArvoResumable(contract=patient, services=[], memory=memory, handler={"1.0.0": patient_v1}),
        ArvoResumable(
            contract=parent,
            services=[patient.version(WAIT_V1)],
            memory=memory,
            handler={"1.0.0": parent_v1},
        ),
    ]

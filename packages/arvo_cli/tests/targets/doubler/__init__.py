"""A workflow and the service that it asks, as they were and as they are: with a second version."""

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
    ArvoResumable,
    Complete,
    Emit,
    HandlerInput,
    IArvoEventHandler,
    IMachineMemory,
    Reply,
    Start,
    Step,
)


class Number(BaseModel):
    value: int


FACTORS = {"1.0.0": 2, "2.0.0": 3}
"""By what each version of the service multiplies."""


def create_handlers(
    memory: IMachineMemory, *, flavour: Literal["old", "new"] = "new"
) -> list[IArvoEventHandler]:
    numbers = ["1.0.0"] if flavour == "old" else [*FACTORS]
    service = SimpleArvoContract(
        uri="#/test/multiply",
        type="number.multiply",
        versions=[SimpleVersion(number, accepts=Number, emits=Number) for number in numbers],
    )
    workflow = ArvoOrchestratorContract(
        uri="#/test/double",
        name="double",
        versions=[OrchestratorVersion(number, init=Number, complete=Number) for number in numbers],
    )

    async def multiply(call: HandlerInput[Number]) -> Emit:
        factor = FACTORS[call.contract.version]
        return Emit("evt.number.multiply.success", Number(value=call.data.value * factor))

    async def double(call: Start[Number] | Reply[Number]) -> Step[Number]:
        if isinstance(call, Start):
            return Step(context=call.data, services=[Emit(service.type, call.data)])
        return Step(output=Complete(Number.model_validate(call.data, from_attributes=True)))

    return [
        ArvoEventHandler(contract=service, handler=dict.fromkeys(numbers, multiply)),
        ArvoResumable(
            contract=workflow,
            services=[service.version(numbers[-1])],
            memory=memory,
            handler=dict.fromkeys(numbers, double),
        ),
    ]

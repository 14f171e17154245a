"""A service that signals its start and waits for permission to end, through two named pipes."""

import asyncio
import os
from pathlib import Path

from pydantic import BaseModel

from arvo_core import SimpleArvoContract, SimpleVersion
from arvo_event_handler import (
    ArvoEventHandler,
    Emit,
    HandlerInput,
    IArvoEventHandler,
    IMachineMemory,
)


class Pass(BaseModel):
    number: int


PASS_V1 = SimpleVersion("1.0.0", accepts=Pass, emits=Pass)
gate = SimpleArvoContract(uri="#/test/gate", type="gate.open", versions=[PASS_V1])


async def pass_v1(call: HandlerInput[Pass]) -> Emit:
    begun, go = Path(os.environ["GATE_BEGUN"]), Path(os.environ["GATE_GO"])
    await asyncio.to_thread(begun.write_text, "begun")
    await asyncio.to_thread(go.read_text)
    return Emit("evt.gate.open.success", call.data)


def create_handlers(memory: IMachineMemory) -> list[IArvoEventHandler]:
    return [ArvoEventHandler(contract=gate, handler={"1.0.0": pass_v1})]

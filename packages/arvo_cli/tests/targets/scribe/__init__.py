"""A service that notes in a file what it begins, and ends when a test says so."""

import asyncio
import os
import time
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


class Note(BaseModel):
    number: int
    patient: bool = False
    """Whether it ends only once the file `go` is there."""
    stubborn: bool = False
    """Whether it never ends, nor yields to the event loop."""


class Noted(BaseModel):
    number: int


NOTE_V1 = SimpleVersion("1.0.0", accepts=Note, emits=Noted)
note = SimpleArvoContract(uri="#/test/note", type="note.write", versions=[NOTE_V1])


async def note_v1(call: HandlerInput[Note]) -> Emit:
    folder = Path(os.environ["SCRIBE_FOLDER"])
    with (folder / "begun").open("a") as begun:
        begun.write(f"{call.data.number}\n")
    await asyncio.sleep(0.01)  # so that a signal finds some of them under way
    while call.data.stubborn:  # the event loop stands still
        time.sleep(1)  # noqa: ASYNC251
    while call.data.patient and not (folder / "go").exists():  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    return Emit("evt.note.write.success", Noted(number=call.data.number))


def create_handlers(memory: IMachineMemory) -> list[IArvoEventHandler]:
    return [ArvoEventHandler(contract=note, handler={"1.0.0": note_v1})]

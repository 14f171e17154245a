"""A service that behaves as its input says; the module has no listener for domains."""

import asyncio
import signal
from contextlib import suppress

from pydantic import BaseModel

from arvo_core import SimpleArvoContract, SimpleVersion
from arvo_event_handler import (
    ArvoEventHandler,
    Emit,
    ExecutionViolation,
    HandlerInput,
    IArvoEventHandler,
    IMachineMemory,
)


class Greet(BaseModel):
    name: str
    times: int = 1


class Greeted(BaseModel):
    text: str


GREET_V1 = SimpleVersion("1.0.0", accepts=Greet, emits=Greeted)
greet = SimpleArvoContract(uri="#/test/greet", type="greet.name", versions=[GREET_V1])


async def greet_v1(call: HandlerInput[Greet]) -> list[Emit]:
    answer = Emit("evt.greet.name.success", Greeted(text=f"hello {call.data.name}"))
    match call.data.name:
        case "broken":
            raise LookupError("nobody is called that")
        case "silent":
            return []
        case "outside":
            return [Emit(answer.type, answer.data, domain="some.where")]
        case "chatty":
            return [answer, Emit(answer.type, answer.data, to="com.no.body")]
        case "liar":
            return [Emit("evt.never.promised.this", answer.data)]
        case "late":
            for _ in range(call.data.times):
                await asyncio.sleep(0)
        case "escape":
            raise ExecutionViolation("\x1b[2J")
        case "interrupt":
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(0)
        case "terminate":
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0)
        case "stubborn":
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            await asyncio.Event().wait()
        case "immovable":
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            signal.raise_signal(signal.SIGINT)
            await asyncio.Event().wait()
        case "busy":
            while True:  # and never gives way to the event loop
                signal.raise_signal(signal.SIGINT)
        case _:
            pass
    return [answer]


def create_handlers(memory: IMachineMemory) -> list[IArvoEventHandler]:
    return [ArvoEventHandler(contract=greet, handler={"1.0.0": greet_v1})]


def fails(memory: IMachineMemory) -> list[IArvoEventHandler]:
    raise RuntimeError("no database\nanywhere")


def takes_nothing() -> list[IArvoEventHandler]:
    return []


async def is_async(memory: IMachineMemory) -> list[IArvoEventHandler]:
    return create_handlers(memory)


def returns_nothing(memory: IMachineMemory) -> list[IArvoEventHandler]:
    return []


def returns_rubbish(memory: IMachineMemory) -> list[str]:
    return ["greeter"]


def returns_none(memory: IMachineMemory) -> None:
    return None


def returns_twins(memory: IMachineMemory) -> list[IArvoEventHandler]:
    return [*create_handlers(memory), *create_handlers(memory)]


number = 7

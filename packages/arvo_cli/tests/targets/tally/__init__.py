"""A workflow that counts letters, asking a human outside when there are many."""

import asyncio

from pydantic import BaseModel

from arvo_core import (
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestratorContract,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_core.event_id import derive_id
from arvo_event_handler import (
    ArvoDomain,
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
from arvo_event_handler.delivery import Publish

calls: list[str] = []
"""The words the counting service was asked about, in order."""


class Word(BaseModel):
    word: str


class Count(BaseModel):
    letters: int


COUNT_V1 = SimpleVersion("1.0.0", accepts=Word, emits=Count)
count = SimpleArvoContract(uri="#/test/count", type="word.count", versions=[COUNT_V1])
ASK_V1 = SimpleVersion("1.0.0", accepts=Word, emits=Count)
ask = SimpleArvoContract(uri="#/test/ask", type="word.ask", versions=[ASK_V1], domain="human.help")
TALLY_V1 = OrchestratorVersion("1.0.0", init=Word, complete=Count)
tally = ArvoOrchestratorContract(uri="#/test/tally", name="tally", versions=[TALLY_V1])


async def count_v1(call: HandlerInput[Word]) -> Emit:
    calls.append(call.data.word)
    return Emit("evt.word.count.success", Count(letters=len(call.data.word)))


async def tally_v1(call: Start[Word] | Reply[Word]) -> Step[Word]:
    if isinstance(call, Reply):
        return Step(output=Complete(Count.model_validate(call.data, from_attributes=True)))
    if call.data.word == "bad":
        raise ValueError("mind your language")
    if len(call.data.word) > 10:
        service = Emit(ask.type, call.data, domain=ArvoDomain.FROM_EVENT_CONTRACT)
    else:
        service = Emit(count.type, call.data)
    return Step(context=call.data, services=[service])


async def on_domained_event(event: ArvoEvent, publish: Publish) -> None:
    word = Word.model_validate(event.data).word
    if word == "undecidable":
        return
    if word == "unanswerable":
        raise ConnectionError("the line is dead")
    await asyncio.sleep(0)  # gives way, so that others run meanwhile
    await publish(
        ArvoEventFactory(ask.version(ASK_V1)).emits(
            type="evt.word.ask.success",
            source="com.human.help",
            to=event.redirectto,
            subject=event.subject,
            parentid=event.id,
            id=derive_id(event.source, event.id),
            data=Count(letters=len(word)),
        )
    )


def create_handlers(memory: IMachineMemory) -> list[IArvoEventHandler]:
    return [
        ArvoEventHandler(contract=count, handler={"1.0.0": count_v1}),
        ArvoResumable(
            contract=tally,
            services=[count.version(COUNT_V1), ask.version(ASK_V1)],
            memory=memory,
            handler={"1.0.0": tally_v1},
        ),
    ]

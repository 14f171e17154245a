"""A workflow that asks once, for tests of a memory that misbehaves."""

from pydantic import BaseModel

from arvo_core import (
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import ArvoResumable, Complete, Emit, IMachineMemory, Reply, Start, Step


class Text(BaseModel):
    text: str


ANSWERER_V1 = SimpleVersion("1.0.0", accepts=Text, emits=Text)
answerer_contract = SimpleArvoContract(
    uri="#/storm/answerer", type="storm.answerer", versions=[ANSWERER_V1]
)
QUESTION_V1 = OrchestratorVersion("1.0.0", init=Text, complete=Text)
question_contract = ArvoOrchestratorContract(
    uri="#/storm/question", name="storm.question", versions=[QUESTION_V1]
)


async def question_v1(call: Start[Text] | Reply[Text]) -> Step[Text]:
    if isinstance(call, Start):
        return Step(context=call.data, services=[Emit(answerer_contract.type, call.data)])
    return Step(output=Complete(call.data))


def asking(memory: IMachineMemory) -> ArvoResumable:
    """Make the workflow: it asks once, and ends with the answer."""
    return ArvoResumable(
        contract=question_contract,
        services=[answerer_contract.version(ANSWERER_V1)],
        memory=memory,
        handler={"1.0.0": question_v1},
    )


def question(text: str = "hello") -> ArvoEvent:
    """Make the event that starts the workflow."""
    factory = ArvoOrchestratorEventFactory(question_contract.version(QUESTION_V1))
    return factory.init(source="com.app.main", data=Text(text=text))


def answer_to(request: ArvoEvent) -> ArvoEvent:
    """Make the answer to the workflow's request."""
    return ArvoEventFactory(answerer_contract.version(ANSWERER_V1)).emits(
        type="evt.storm.answerer.success",
        source=request.type,
        subject=request.subject,
        parentid=request.id,
        to=request.source,
        data=Text(text="good"),
    )

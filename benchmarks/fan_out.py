"""A workflow that asks many at once and waits for all of them, in both styles."""

from collections.abc import Callable
from typing import Any, TypeAlias

from pydantic import BaseModel

from arvo_core import ArvoEvent, ArvoEventFactory, ArvoOrchestratorEventFactory
from arvo_event_handler import (
    ArvoMachine,
    ArvoOrchestrator,
    ArvoResumable,
    Complete,
    Emit,
    ExecutionPolicy,
    IArvoEventHandler,
    IMachineMemory,
    Reply,
    Start,
    Step,
)
from arvo_statechart import BuiltInAction, Call, assign, emit, enqueue_actions
from arvo_statechart.typing import MachineConfig
from benchmarks.calculator import ADD, ADD_V1, ADDED, TOTAL, TOTAL_V1, Add, Added

_STARTS = ArvoOrchestratorEventFactory(TOTAL.version(TOTAL_V1))
_ANSWERS = ArvoEventFactory(ADD.version(ADD_V1))

Style: TypeAlias = Callable[[IMachineMemory, ExecutionPolicy], IArvoEventHandler]
"""Makes the workflow over a memory."""


class Asked(BaseModel):
    """The context of the workflow."""

    requests: int


async def _total_v1(call: Start[Add] | Reply[Asked]) -> Step[Asked]:
    if isinstance(call, Start):
        requests = int(call.data.a)
        return Step(
            context=Asked(requests=requests),
            services=[Emit(ADD.type, Add(a=number, b=1)) for number in range(requests)],
        )
    answers = call.replies(ADD_V1)
    if len(answers) < call.context.requests:
        return Step()
    return Step(output=Complete({"total": sum(answer.result for answer in answers)}))


def resumable(memory: IMachineMemory, policy: ExecutionPolicy) -> IArvoEventHandler:
    """Make the workflow as code."""
    return ArvoResumable(
        contract=TOTAL,
        services=[ADD.version(ADD_V1)],
        memory=memory,
        handler={"1.0.0": _total_v1},
        policy=policy,
    )


def _ask_all(call: Call) -> list[BuiltInAction]:
    return [
        emit({"type": ADD.type, "data": {"a": number, "b": 1}})
        for number in range(int(call.context["requests"]))
    ]


def _add_up(call: Call) -> dict[str, Any]:
    return {
        "answers": call.context["answers"] + 1,
        "total": call.context["total"] + call.event["data"]["result"],
    }


_CONFIG: MachineConfig = {
    "context": lambda call: {"requests": call.input["data"]["a"], "answers": 0, "total": 0},
    "initial": "adding",
    "states": {
        "adding": {
            "entry": enqueue_actions(_ask_all),
            "on": {ADDED: {"actions": assign(_add_up)}},
            "always": {
                "guard": lambda call: call.context["answers"] == call.context["requests"],
                "target": "done",
            },
        },
        "done": {"type": "final"},
    },
    "output": lambda call: {"total": call.context["total"]},
}


def orchestrator(memory: IMachineMemory, policy: ExecutionPolicy) -> IArvoEventHandler:
    """Make the workflow as a statechart."""
    machine = ArvoMachine(
        contract=TOTAL.version(TOTAL_V1), services=[ADD.version(ADD_V1)], config=_CONFIG
    )
    return ArvoOrchestrator(machines=[machine], memory=memory, policy=policy)


def start(requests: int) -> ArvoEvent:
    """Make the event that starts a workflow with so many requests."""
    return _STARTS.init(source="com.benchmark.source", data=Add(a=requests, b=0))


def answer(request: ArvoEvent) -> ArvoEvent:
    """Make what the service answers."""
    return _ANSWERS.emits(
        type=ADDED,
        source=ADD.type,
        subject=request.subject,
        data=Added(result=1),
        to=request.redirectto,
        parentid=request.id,
    )


async def run(handler: IArvoEventHandler, first: ArvoEvent) -> list[ArvoEvent]:
    """Start a workflow, answer all its requests, and return what the last answer leads to."""
    events: list[ArvoEvent] = []
    for request in await handler.execute(first):
        events = await handler.execute(answer(request))
    return events

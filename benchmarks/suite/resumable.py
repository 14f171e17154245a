"""What a workflow written as code costs. Run: uv run python -m benchmarks --only resumable."""

from collections.abc import AsyncIterator
from typing import TypeAlias

from pydantic import BaseModel

from arvo_core import ArvoEvent, ArvoEventFactory, ArvoOrchestratorEventFactory
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    Emit,
    Reply,
    SimpleMachineMemory,
    Start,
    Step,
)
from benchmarks.calculator import ADD, ADD_V1, TOTAL, TOTAL_V1, Add, Added, Total
from benchmarks.workload import Workload, benchmark

_STARTS = ArvoOrchestratorEventFactory(TOTAL.version(TOTAL_V1))
_ANSWERS = ArvoEventFactory(ADD.version(ADD_V1))

_NewWorkflow: TypeAlias = tuple[ArvoResumable, ArvoEvent]


class Asked(BaseModel):
    """The context of the workflow."""

    request: Add


@benchmark("resumable.step")
async def step() -> AsyncIterator[Workload[_NewWorkflow, list[ArvoEvent]]]:
    """Starting a workflow, locked and stored in the process, is twice as fast as in TypeScript."""

    async def operation(workflow: _NewWorkflow) -> list[ArvoEvent]:
        resumable, start = workflow
        return await resumable.execute(start)

    yield Workload(
        inputs=_new_workflows,
        operation=operation,
        check=lambda events: [event.type for event in events] == [ADD.type],
    )


@benchmark("resumable.flow2")
async def flow2() -> AsyncIterator[Workload[_NewWorkflow, list[ArvoEvent]]]:
    """A workflow from start to end, asking one service, is twice as fast as in TypeScript.

    Making the service's answer is part of it, running a service is not.
    """

    async def operation(workflow: _NewWorkflow) -> list[ArvoEvent]:
        resumable, start = workflow
        (request,) = await resumable.execute(start)
        answer = _ANSWERS.emits(
            type="evt.calculator.add.success",
            source=ADD.type,
            subject=request.subject,
            data=Added(result=5),
            to=request.redirectto,
            parentid=request.id,
        )
        return await resumable.execute(answer)

    yield Workload(
        inputs=_new_workflows,
        operation=operation,
        check=lambda events: (
            [(event.type, event.data) for event in events]
            == [(TOTAL.complete_type, {"total": 5.0})]
        ),
    )


def _new_workflows(count: int) -> list[_NewWorkflow]:
    """Pair start events, each of a subject of its own, with a resumable whose memory is empty."""
    resumable = ArvoResumable(
        contract=TOTAL,
        services=[ADD.version(ADD_V1)],
        memory=SimpleMachineMemory(),
        handler={"1.0.0": _total},
        requires_resource_locking=True,
    )
    return [
        (resumable, _STARTS.init(source="com.benchmark.source", data=Add(a=2, b=3)))
        for _ in range(count)
    ]


async def _total(call: Start[Add] | Reply[Asked]) -> Step[Asked]:
    if isinstance(call, Start):
        return Step(context=Asked(request=call.data), services=[Emit(ADD.type, call.data)])
    (sum_,) = call.replies(ADD_V1)
    return Step(output=Complete(Total(total=sum_.result)))

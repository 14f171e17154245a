"""What a workflow written as a statechart costs.

Run: uv run python -m benchmarks --only orchestrator.
"""

from collections.abc import AsyncIterator
from typing import TypeAlias

from arvo_core import ArvoEvent, ArvoEventFactory, ArvoOrchestratorEventFactory
from arvo_event_handler import ArvoOrchestrator, SimpleMachineMemory
from benchmarks.calculator import (
    ADD,
    ADD_V1,
    ADDED,
    TOTAL,
    TOTAL_V1,
    Add,
    Added,
    totaller,
)
from benchmarks.workload import Workload, benchmark

_STARTS = ArvoOrchestratorEventFactory(TOTAL.version(TOTAL_V1))
_ANSWERS = ArvoEventFactory(ADD.version(ADD_V1))

_NewWorkflow: TypeAlias = tuple[ArvoOrchestrator, ArvoEvent]


@benchmark("orchestrator.step")
async def step() -> AsyncIterator[Workload[_NewWorkflow, list[ArvoEvent]]]:
    """Starting a machine of three states, stored in the process, is twice as fast as in TypeScript."""

    async def operation(workflow: _NewWorkflow) -> list[ArvoEvent]:
        orchestrator, start = workflow
        return await orchestrator.execute(start)

    yield Workload(
        inputs=_new_workflows,
        operation=operation,
        check=lambda events: [event.type for event in events] == [ADD.type],
    )


@benchmark("orchestrator.flow3")
async def flow3() -> AsyncIterator[Workload[_NewWorkflow, list[ArvoEvent]]]:
    """A machine from start to end, asking twice, is 2.5 times as fast as in TypeScript.

    Making the service's answers is included, running a service is not.
    """

    async def operation(workflow: _NewWorkflow) -> list[ArvoEvent]:
        orchestrator, start = workflow
        events = await orchestrator.execute(start)
        for result in (5, 8):
            (request,) = events
            answer = _ANSWERS.emits(
                type=ADDED,
                source=ADD.type,
                subject=request.subject,
                data=Added(result=result),
                to=request.redirectto,
                parentid=request.id,
            )
            events = await orchestrator.execute(answer)
        return events

    yield Workload(
        inputs=_new_workflows,
        operation=operation,
        check=lambda events: (
            [(event.type, event.data) for event in events]
            == [(TOTAL.complete_type, {"total": 8.0})]
        ),
    )


def _new_workflows(count: int) -> list[_NewWorkflow]:
    """Pair start events, each of a subject of its own, with an orchestrator of empty memory."""
    orchestrator = totaller(SimpleMachineMemory())
    return [
        (orchestrator, _STARTS.init(source="com.benchmark.source", data=Add(a=2, b=3)))
        for _ in range(count)
    ]

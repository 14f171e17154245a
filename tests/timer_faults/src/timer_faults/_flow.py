"""A workflow that waits for time, whose function each test chooses."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias

from pydantic import BaseModel

from arvo_core import (
    ArvoEvent,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    Due,
    ExecutionPolicy,
    IMachineMemory,
    Reply,
    Start,
    Step,
    Timer,
)
from arvo_event_handler.delivery import timer_event
from arvo_event_handler.memory import DueMachine
from arvo_time import SYSTEM_CLOCK, Clock

CLIENT: Final = "com.faults.client"
"""The address that starts the workflows and gets the completions."""
HOLD: Final = timedelta(seconds=30)
"""How long a first claim of a broker holds."""


class Waiting(BaseModel):
    """What a workflow begins with, and remembers."""

    number: int = 0
    milliseconds: int = 0
    """How long it waits."""
    fired: list[str] = []
    cancelled: list[str] = []


class Ended(BaseModel):
    """How it ended."""

    number: int = 0


ASK_V1 = SimpleVersion("1.0.0", accepts=Waiting, emits=Waiting)
ASK = SimpleArvoContract(uri="#/faults/ask", type="faults.ask", versions=[ASK_V1])
FLOW_V1 = OrchestratorVersion("1.0.0", init=Waiting, complete=Ended)
FLOW = ArvoOrchestratorContract(uri="#/faults/flow", name="faults.flow", versions=[FLOW_V1])

Call: TypeAlias = Start[Waiting] | Reply[Waiting] | Due[Waiting]
Function: TypeAlias = Callable[[Any], Awaitable[Step[Waiting]]]


def init(number: int = 0, *, after: timedelta = timedelta(0)) -> ArvoEvent:
    """Make the event that starts a workflow, which waits for a time or as its function says."""
    waiting = Waiting(number=number, milliseconds=after // timedelta(milliseconds=1))
    return ArvoOrchestratorEventFactory(FLOW.version(FLOW_V1)).init(source=CLIENT, data=waiting)


def flow(
    memory: IMachineMemory,
    fired: Callable[[Due[Waiting]], None] = lambda _: None,
    *,
    function: Function | None = None,
    clock: Clock = SYSTEM_CLOCK,
    finished_expiry: timedelta | None = timedelta(days=1),
) -> ArvoResumable:
    """Make the workflow.

    Args:
        memory: Where it is kept.
        fired: Called in the step of its timer.
        function: What it does. None: it waits for the time of its init event, and ends.
        clock: The worker's.
        finished_expiry: As in `ExecutionPolicy`.
    """

    async def wait_v1(call: Call) -> Step[Waiting]:
        if isinstance(call, Due):
            fired(call)
            return Step(output=Complete(Ended(number=call.context.number)))
        assert isinstance(call, Start)
        delay = timedelta(milliseconds=call.data.milliseconds)
        return Step(context=call.data, timers=[Timer("wait", after=delay)])

    async def chosen_v1(call: Call) -> Step[Waiting]:
        assert function is not None
        return await function(call)

    return ArvoResumable(
        contract=FLOW,
        services=[ASK.version(ASK_V1)],
        memory=memory,
        handler={"1.0.0": wait_v1 if function is None else chosen_v1},
        policy=ExecutionPolicy(clock=clock, finished_expiry=finished_expiry),
    )


def ticks_of(claimed: Sequence[DueMachine]) -> list[ArvoEvent]:
    """Make the ticks of claimed timers, as a pump does."""
    return [
        timer_event(
            due.machine_id, key=due.key, at=due.at, due_by=due.due_by, now=SYSTEM_CLOCK.now()
        )
        for due in claimed
    ]


async def is_done(memory: IMachineMemory, subject: str) -> bool:
    """Return whether a workflow has ended well."""
    record = await memory.read(subject)
    return record is not None and record["status"] == "done"


async def each(calls: Sequence[Callable[[], Awaitable[object]]], *, at_once: int = 50) -> None:
    """Make many calls, some of them at a time."""
    left = iter(calls)

    async def work() -> None:
        for call in left:
            await call()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())

"""A small workflow whose steps the suite for histories looks at: it asks for numbers, one by one."""

from datetime import datetime, timedelta
from typing import Final

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
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    Emit,
    ExecutionPolicy,
    IMachineMemory,
    Reply,
    Start,
    Step,
    WorkflowControl,
)
from arvo_time.testing import FakeClock


class _Count(BaseModel):
    steps: int


class _Number(BaseModel):
    number: int


class _Progress(BaseModel):
    steps: int
    count: int
    note: str = ""


class _Counted(BaseModel):
    count: int


_NUMBER = SimpleVersion("1.0.0", accepts=_Number, emits=_Number)
_NUMBERS = SimpleArvoContract(uri="#/suite/step", type="suite.step", versions=[_NUMBER])
_COUNT = OrchestratorVersion("1.0.0", init=_Count, complete=_Counted)
_COUNTING = ArvoOrchestratorContract(uri="#/suite/steps", name="suite.steps", versions=[_COUNT])
TOOK: Final = timedelta(milliseconds=250)
"""How long each step takes."""


class CountedSteps:
    """Hands the events of one workflow to it, each as the one before asked for it.

    Args:
        memory: The memory.
        finished_expiry: See `ExecutionPolicy`.
        failed_expiry: See `ExecutionPolicy`.
    """

    def __init__(
        self,
        memory: IMachineMemory,
        *,
        finished_expiry: timedelta | None = timedelta(minutes=1),
        failed_expiry: timedelta | None = timedelta(minutes=1),
    ) -> None:
        self.clock = FakeClock()
        self.handled: list[tuple[ArvoEvent, list[ArvoEvent]]] = []
        """Each event, with what the workflow emitted."""
        self.stored: list[datetime] = []
        """When each step ended."""
        self.fails = False
        """Whether the next step raises."""
        self.note = ""
        """What the next step writes into the context."""
        self._workflow = ArvoResumable(
            contract=_COUNTING,
            services=[_NUMBERS.version(_NUMBER)],
            memory=memory,
            handler={"1.0.0": self._count},
            policy=ExecutionPolicy(
                clock=self.clock, finished_expiry=finished_expiry, failed_expiry=failed_expiry
            ),
        )

    @property
    def subject(self) -> str:
        """The workflow's."""
        return self.handled[0][0].subject

    async def run(self, steps: int, *, until: int | None = None) -> None:
        """Start a workflow of that many steps, and take them, or the first few.

        Args:
            steps: How many it has, its start included.
            until: How many to take; None takes all.
        """
        factory = ArvoOrchestratorEventFactory(_COUNTING.version(_COUNT))
        await self.handle(factory.init(source="com.suite.main", data=_Count(steps=steps)))
        while len(self.handled) < (steps if until is None else until):
            await self.go_on()

    async def go_on(self) -> None:
        """Answer the latest request."""
        request = self.handled[-1][1][0]
        await self.handle(
            ArvoEventFactory(_NUMBERS.version(_NUMBER)).emits(
                type="evt.suite.step.success",
                source=request.type,
                subject=request.subject,
                parentid=request.id,
                to=request.source,
                data=_Number(number=request.data["number"]),
            )
        )

    async def retry(self) -> list[ArvoEvent]:
        """Run the step that failed again; return what it emitted."""
        control = WorkflowControl(self.subject, source="com.suite.main")
        return await self._workflow.execute(control.retry(attempt=1))

    async def handle(self, event: ArvoEvent) -> None:
        """Handle an event a minute after the one before."""
        await self.clock.run_for(timedelta(minutes=1))
        self.handled.append((event, await self._workflow.execute(event)))
        self.stored.append(self.clock.now())

    async def _count(self, call: Start[_Count] | Reply[_Progress]) -> Step[_Progress]:
        await self.clock.run_for(TOOK)
        if self.fails:
            raise LookupError("no number")
        if isinstance(call, Start):
            context = _Progress(steps=call.data.steps, count=1, note=self.note)
        else:
            before = call.context
            context = _Progress(steps=before.steps, count=before.count + 1, note=self.note)
        if context.count == context.steps:
            return Step(context=context, output=Complete(_Counted(count=context.count)))
        request = Emit(_NUMBERS.type, _Number(number=context.count))
        return Step(context=context, services=[request])

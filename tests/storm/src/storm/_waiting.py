"""The workload of waiting: timers that fire, and timers that are cancelled at a random moment.

`storm.wait` sets all its timers, and asks what to give up, some of them later. The answer says which of the
timers to give up; those that are still pending are cancelled. Each that fires rings a bell.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Final, TypeAlias

from pydantic import BaseModel, ValidationError
from typing_extensions import override

from arvo_core import (
    ArvoEvent,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoResumable,
    Complete,
    Due,
    Emit,
    ExecutionPolicy,
    HandlerInput,
    IArvoEventHandler,
    IMachineMemory,
    Reply,
    Start,
    Step,
    Timer,
)

from ._contracts import CLIENT
from ._ledger import Ledger
from ._workload import Workload

_MILLISECOND: Final = timedelta(milliseconds=1)


class Plan(BaseModel):
    """What one workflow does."""

    workflow: int
    delays: list[int]
    """Of its timers, in milliseconds."""
    give_up: list[int]
    """Which timers it gives up."""
    decides_after: int
    """When it does so, in milliseconds; with 0 it does not wait."""


class Bell(BaseModel):
    """One timer of one workflow."""

    workflow: int
    timer: int


class Waited(BaseModel):
    """How the timers of a workflow ended, each in one of the lists."""

    workflow: int
    fired: list[int]
    """In the order in which they fired."""
    cancelled: list[int]


class Waiting(BaseModel):
    """What `storm.wait` remembers."""

    plan: Plan
    fired: list[int] = []
    cancelled: list[int] = []
    decided: bool = False
    rung: int = 0


DECIDE_V1 = SimpleVersion("1.0.0", accepts=Plan, emits=Plan)
DECIDE = SimpleArvoContract(uri="#/storm/decide", type="storm.decide", versions=[DECIDE_V1])
RING_V1 = SimpleVersion("1.0.0", accepts=Bell, emits=Bell)
RING = SimpleArvoContract(uri="#/storm/ring", type="storm.ring", versions=[RING_V1])
WAIT_V1 = OrchestratorVersion("1.0.0", init=Plan, complete=Waited)
WAIT = ArvoOrchestratorContract(uri="#/storm/wait", name="storm.wait", versions=[WAIT_V1])

_Call: TypeAlias = Start[Plan] | Reply[Waiting] | Due[Waiting]


class Patience(Workload):
    """Workflows that wait for some timers each, of which about half are cancelled.

    Args:
        timers: How many.
        within: How far ahead they are set at most.
    """

    def __init__(self, *, timers: int, within: timedelta) -> None:
        self._timers = timers
        self._longest = max(1, within // _MILLISECOND)

    @property
    @override
    def sources(self) -> Sequence[str]:
        return [WAIT.type]

    @override
    def init_of(self, workflow: int) -> ArvoEvent:
        return ArvoOrchestratorEventFactory(WAIT.version(WAIT_V1)).init(
            source=CLIENT, data=self._plan_of(workflow)
        )

    def _plan_of(self, workflow: int) -> Plan:
        random = Random(workflow)
        return Plan(
            workflow=workflow,
            delays=[random.randrange(self._longest) for _ in range(self._timers)],
            # So that about half of all timers are cancelled, some of them just when they are due.
            give_up=[timer for timer in range(self._timers) if random.random() < 0.75],
            decides_after=random.choice([0, random.randrange(self._longest // 2 + 1)]),
        )

    @override
    def create_handlers(
        self,
        memory: IMachineMemory,
        *,
        ledger: Ledger,
        think: timedelta,
        policy: ExecutionPolicy,
        random: Random,
    ) -> list[IArvoEventHandler]:
        async def wait_v1(call: _Call) -> Step[Waiting]:
            await asyncio.sleep(random.random() * think.total_seconds())
            return _step(call)

        async def decide_v1(call: HandlerInput[Plan]) -> Emit:
            return Emit("evt.storm.decide.success", call.data)

        async def ring_v1(call: HandlerInput[Bell]) -> Emit:
            ledger.book(call.event, "rung", 1)
            return Emit("evt.storm.ring.success", call.data)

        return [
            ArvoEventHandler(contract=DECIDE, handler={"1.0.0": decide_v1}),
            ArvoEventHandler(contract=RING, handler={"1.0.0": ring_v1}),
            ArvoResumable(
                contract=WAIT,
                services=[DECIDE.version(DECIDE_V1), RING.version(RING_V1)],
                memory=memory,
                handler={"1.0.0": wait_v1},
                policy=policy,
            ),
        ]

    @override
    def complaint(self, workflow: int, answer: ArvoEvent) -> str | None:
        waited = waited_of(answer)
        if waited is None:
            return f"{answer.type} {answer.data}"
        plan = self._plan_of(workflow)
        fired, cancelled = waited.fired, waited.cancelled
        if sorted(fired + cancelled) != [*range(self._timers)]:
            return f"fired {fired} and cancelled {cancelled} of {self._timers} timers"
        if unasked := {*cancelled} - {*plan.give_up}:
            return f"cancelled {unasked} unasked"
        if fired != sorted(fired, key=lambda timer: (plan.delays[timer], timer)):
            return f"fired {fired} in the wrong order, set for {plan.delays} ms"
        return None

    @override
    def sums(self, workflows: int, answers: Mapping[int, ArvoEvent]) -> Counter[str]:
        ends = [waited_of(answer) for answer in answers.values()]
        return Counter(rung=sum(len(each.fired) for each in ends if each is not None))


def waited_of(answer: ArvoEvent) -> Waited | None:
    """Return how a workflow's timers ended; None if it has failed."""
    try:
        return Waited.model_validate(answer.data)
    except ValidationError:
        return None


def _step(call: _Call) -> Step[Waiting]:
    if isinstance(call, Start):
        plan = call.data
        after = plan.decides_after * _MILLISECOND if plan.decides_after else None
        return Step(
            context=Waiting(plan=plan),
            services=[Emit("com.storm.decide", plan, after=after)],
            timers=[
                Timer(str(timer), after=delay * _MILLISECOND)
                for timer, delay in enumerate(plan.delays)
            ],
        )
    waiting = call.context
    workflow = waiting.plan.workflow
    if isinstance(call, Due):
        timer = int(call.name)
        if timer in waiting.fired or timer in waiting.cancelled:
            raise RuntimeError(f"timer {timer} of {workflow} fired again, or was cancelled")
        waiting.fired.append(timer)
        bell = Bell(workflow=workflow, timer=timer)
        return Step(context=waiting, services=[Emit("com.storm.ring", bell)])
    if call.error is not None:
        raise RuntimeError(call.error.error_message)
    cancelled: list[int] = []
    if isinstance(call.data, Plan):
        cancelled = [timer for timer in waiting.plan.give_up if timer not in waiting.fired]
        waiting.cancelled, waiting.decided = cancelled, True
    else:
        waiting.rung += 1
    settled = len(waiting.fired) + len(waiting.cancelled) == len(waiting.plan.delays)
    if waiting.decided and settled and waiting.rung == len(waiting.fired):
        waited = Waited(workflow=workflow, fired=waiting.fired, cancelled=waiting.cancelled)
        return Step(output=Complete(waited), cancel=[str(timer) for timer in cancelled])
    return Step(context=waiting, cancel=[str(timer) for timer in cancelled])

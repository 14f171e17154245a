"""What the concurrent broker costs. Run: uv run python -m benchmarks --only broker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeAlias

from opentelemetry.context import Context
from pydantic import BaseModel
from typing_extensions import override

from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory
from arvo_core import ArvoEvent, ArvoEventFactory, ArvoOrchestratorEventFactory
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    Emit,
    IArvoEventHandler,
    Reply,
    Start,
    Step,
)
from arvo_event_handler.delivery import HandlerDefaults
from benchmarks.calculator import (
    ADD,
    ADD_V1,
    TOTAL,
    TOTAL_V1,
    Add,
    Total,
    adder,
    totaller,
)
from benchmarks.workload import Workload, benchmark

_SOURCE = "com.benchmark.source"
_REQUESTS = ArvoEventFactory(ADD.version(ADD_V1))
_STARTS = ArvoOrchestratorEventFactory(TOTAL.version(TOTAL_V1))
_REPLIES = 50

_Answer: TypeAlias = ArvoEvent | None


class _Nothing(IArvoEventHandler):
    """A handler that does nothing, so that only the broker is measured."""

    source = ADD.type
    stateful = False

    @override
    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        return []


class _Asked(BaseModel):
    """The context of the contended workflow, which is empty."""


@benchmark("broker.resolve.handler")
async def resolve_handler() -> AsyncIterator[Workload[ArvoEvent, _Answer]]:
    """One request to one service is answered in 0.4 ms and less, half of the time."""
    async with ConcurrentEventBroker([adder()]) as broker:
        yield Workload(
            inputs=_requests, operation=broker.resolve, check=_says(result=5.0), latencies=True
        )


@benchmark("broker.resolve.orchestrator")
async def resolve_orchestrator() -> AsyncIterator[Workload[ArvoEvent, _Answer]]:
    """One workflow that asks two services is answered in 1 ms and less, half of the time."""
    handlers = [adder(), totaller(ConcurrentMachineMemory())]
    async with ConcurrentEventBroker(handlers) as broker:
        yield Workload(
            inputs=_starts, operation=broker.resolve, check=_says(total=8.0), latencies=True
        )


@benchmark("broker.noop.10k")
async def noop() -> AsyncIterator[Workload[Sequence[ArvoEvent], int]]:
    """Carrying an event costs little compared to handling it: 10,000 together, whose handler is empty."""
    defaults = HandlerDefaults(prefetch=100)
    async with ConcurrentEventBroker([_Nothing()], defaults=defaults) as broker:

        async def operation(events: Sequence[ArvoEvent]) -> int:
            for event in events:
                await broker.publish(event)
            await broker.wait_idle()
            return broker.stats.unfinished

        yield Workload(
            inputs=lambda count: [_requests(10_000)] * count,
            operation=operation,
            check=lambda unfinished: unfinished == 0,
            units=10_000,
        )


@benchmark("broker.handler.2k")
async def handler() -> AsyncIterator[Workload[Sequence[ArvoEvent], int]]:
    """2,000 concurrent requests go through a service twice as fast as in TypeScript."""
    answers: list[ArvoEvent] = []

    async def on_unclaimed(answer: ArvoEvent) -> None:
        answers.append(answer)

    defaults = HandlerDefaults(prefetch=100)
    async with ConcurrentEventBroker(
        [adder()], defaults=defaults, on_unclaimed=on_unclaimed
    ) as broker:

        async def operation(events: Sequence[ArvoEvent]) -> int:
            answers.clear()
            for event in events:
                await broker.publish(event)
            await broker.wait_idle()
            return len(answers)

        yield Workload(
            inputs=lambda count: [_requests(2_000) for _ in range(count)],
            operation=operation,
            check=lambda answered: answered == 2_000,
            units=2_000,
        )


@benchmark("broker.orchestrations.200")
async def orchestrations() -> AsyncIterator[Workload[Sequence[ArvoEvent], list[_Answer]]]:
    """200 concurrent workflows that ask two services each are twice as fast as in TypeScript."""
    handlers = [adder(), totaller(ConcurrentMachineMemory())]
    async with ConcurrentEventBroker(handlers) as broker:

        async def operation(starts: Sequence[ArvoEvent]) -> list[_Answer]:
            return await asyncio.gather(*map(broker.resolve, starts))

        yield Workload(
            inputs=lambda count: [_starts(200) for _ in range(count)],
            operation=operation,
            check=lambda answers: len(answers) == 200 and all(map(_says(total=8.0), answers)),
            units=200,
        )


@benchmark("broker.contended")
async def contended() -> AsyncIterator[Workload[ArvoEvent, _Answer]]:
    """50 concurrent answers to one workflow are handled one by one; none backs off."""
    workflow = ArvoResumable(
        contract=TOTAL,
        services=[ADD.version(ADD_V1)],
        memory=ConcurrentMachineMemory(),
        handler={"1.0.0": _fan_out},
    )
    async with ConcurrentEventBroker([adder(), workflow]) as broker:
        yield Workload(
            inputs=_starts,
            operation=broker.resolve,
            check=_says(total=5.0 * _REPLIES),
            latencies=True,
        )


async def _fan_out(call: Start[Add] | Reply[_Asked]) -> Step[_Asked]:
    if isinstance(call, Start):
        return Step(context=_Asked(), services=[Emit(ADD.type, call.data)] * _REPLIES)
    sums = call.replies(ADD_V1)
    if len(sums) < _REPLIES:
        return Step()
    return Step(output=Complete(Total(total=sum(each.result for each in sums))))


def _requests(count: int) -> list[ArvoEvent]:
    return [_REQUESTS.accepts(source=_SOURCE, data=Add(a=2, b=3)) for _ in range(count)]


def _starts(count: int) -> list[ArvoEvent]:
    return [_STARTS.init(source=_SOURCE, data=Add(a=2, b=3)) for _ in range(count)]


def _says(**data: float) -> Callable[[_Answer], bool]:
    return lambda answer: answer is not None and answer.data == data

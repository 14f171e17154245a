"""What a stateless handler costs. Run: uv run python -m benchmarks --only handler."""

from collections.abc import AsyncIterator

from arvo_core import ArvoEvent, ArvoEventFactory
from benchmarks.calculator import ADD, ADD_V1, Add, adder
from benchmarks.large_order import echoing, large_data, large_event
from benchmarks.workload import Workload, benchmark


@benchmark("handler.execute")
async def execute() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """A service that adds two numbers, untraced, is twice as fast as in TypeScript."""
    handler = adder()
    factory = ArvoEventFactory(ADD.version(ADD_V1))

    def requests(count: int) -> list[ArvoEvent]:
        return [
            factory.accepts(
                source="com.benchmark.source", subject="benchmark-subject", data=Add(a=2, b=3)
            )
            for _ in range(count)
        ]

    yield Workload(
        inputs=requests,
        operation=handler.execute,
        check=lambda events: [event.data for event in events] == [{"result": 5.0}],
    )


@benchmark("handler.large")
async def execute_large() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """A service that answers 1 MB of small objects with the same makes their models only once."""
    event = large_event(large_data())
    yield Workload(
        inputs=lambda count: [event] * count,
        operation=echoing().execute,
        check=lambda events: [answer.data for answer in events] == [event.data],
    )

"""What reactions must do on every store, as tests to subclass."""

from ._worker_faults import WorkerFaults
from ._worker_runs import WorkerRuns


class WorkerSuite(WorkerFaults, WorkerRuns):
    """What a `ReactionWorker` must do on every store, one test for each promise.

    Subclass it in a test module and supply a fixture `store`: your store with nothing in it, new for
    each test. Where the store takes a clock, a `FakeClock` saves the time: set `clock` to it in the
    fixture, and let `complete` move it. Without one, the test of a slow handler takes `lease`.

    Example:
        ```python
        class TestMyWorkers(WorkerSuite):
            @pytest.fixture
            async def store(self) -> AsyncIterator[IEventStore]:
                self.clock = FakeClock()
                async with MyEventStore(clock=self.clock) as store:
                    yield store

            async def complete(self, scenario: Coroutine[Any, Any, None]) -> None:
                await self.clock.run_until_complete(scenario)
        ```
    """

"""The suite of workers passes on the store in memory, by a clock that tests move and by the real one."""

from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
from typing_extensions import override

from arvo_event_store import MemoryEventStore
from arvo_event_store.testing import WorkerSuite
from arvo_time.testing import FakeClock


class TestWorkersInMemory(WorkerSuite):
    @pytest.fixture
    async def store(self) -> AsyncIterator[MemoryEventStore]:
        self.clock = FakeClock()
        async with MemoryEventStore(clock=self.clock) as store:
            yield store

    @override
    async def complete(self, scenario: Coroutine[Any, Any, None]) -> None:
        assert isinstance(self.clock, FakeClock)
        await self.clock.run_until_complete(scenario)


class TestWorkersInMemoryByTheRealClock(WorkerSuite):
    @pytest.fixture
    async def store(self) -> AsyncIterator[MemoryEventStore]:
        async with MemoryEventStore() as store:
            yield store

"""The suite of workers passes on the store in memory, by a clock that tests move, and in a file."""

from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from arvo_event_store import MemoryEventStore, SqliteEventStore
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


class TestWorkersOnAFile(WorkerSuite):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteEventStore]:
        path = tmp_path / "events.db"
        async with SqliteEventStore.connect(path, synchronous="normal") as store:
            yield store

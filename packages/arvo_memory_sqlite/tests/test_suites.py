"""The suites for machine memories pass, on a file and without one."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from arvo_event_handler.memory import ILeasedMachineMemory, LockPolicy
from arvo_event_handler.testing import (
    ClosableMachineMemory,
    ClosedMachineMemorySuite,
    ConnectLeasedMachineMemory,
    LeasedMachineMemorySuite,
    LetTimePass,
    MachineMemorySuite,
    MachineTimerSuite,
    SharedMachineMemorySuite,
    StepHistorySuite,
    WorkflowQueriesSuite,
)
from arvo_memory_sqlite import SqliteMachineMemory
from arvo_time import SystemClock

POLICY = LockPolicy(max_wait=timedelta(milliseconds=40))


class ClockAhead(SystemClock):
    """The system's clock, by which threads can wait, with a wall clock that can jump."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    @override
    def now(self) -> datetime:
        return super().now() + self._ahead

    async def jump(self, delta: timedelta) -> None:
        self._ahead += delta


@pytest.fixture
def clock() -> ClockAhead:
    return ClockAhead()


class OnAFile:
    @pytest.fixture
    def connect(self, tmp_path: Path, clock: ClockAhead) -> ConnectLeasedMachineMemory:
        return lambda: SqliteMachineMemory.connect(
            tmp_path / "state.db", policy=POLICY, synchronous="normal", clock=clock
        )

    @pytest.fixture
    async def memory(
        self, connect: ConnectLeasedMachineMemory
    ) -> AsyncIterator[ILeasedMachineMemory]:
        async with connect() as memory:
            yield memory


class WithoutAFile:
    @pytest.fixture
    async def memory(self, clock: ClockAhead) -> AsyncIterator[ILeasedMachineMemory]:
        async with SqliteMachineMemory.connect(":memory:", policy=POLICY, clock=clock) as memory:
            yield memory

    @pytest.fixture
    def connect(self, memory: ILeasedMachineMemory) -> ConnectLeasedMachineMemory:
        @asynccontextmanager
        async def same() -> AsyncIterator[ILeasedMachineMemory]:
            yield memory

        def connect() -> AbstractAsyncContextManager[ILeasedMachineMemory]:
            return same()

        return connect


@pytest.fixture
def let_pass(clock: ClockAhead) -> LetTimePass:
    return clock.jump


class TestMemoryOnAFile(OnAFile, MachineMemorySuite):
    pass


class TestMemoryWithoutAFile(WithoutAFile, MachineMemorySuite):
    pass


class TestSharedFile(OnAFile, SharedMachineMemorySuite):
    pass


class TestLeasesOnAFile(OnAFile, LeasedMachineMemorySuite):
    pass


class TestLeasesWithoutAFile(WithoutAFile, LeasedMachineMemorySuite):
    pass


class TestQueriesOnAFile(OnAFile, WorkflowQueriesSuite):
    pass


class TestQueriesWithoutAFile(WithoutAFile, WorkflowQueriesSuite):
    pass


class TestTimersOnAFile(OnAFile, MachineTimerSuite):
    pass


class TestTimersWithoutAFile(WithoutAFile, MachineTimerSuite):
    pass


class TestHistoryOnAFile(OnAFile, StepHistorySuite):
    @pytest.fixture
    @override
    def connect(self, tmp_path: Path, clock: ClockAhead) -> ConnectLeasedMachineMemory:
        return lambda: SqliteMachineMemory.connect(
            tmp_path / "state.db",
            policy=POLICY,
            synchronous="normal",
            history=self.history,
            clock=clock,
        )

    @pytest.fixture
    async def forgetful(
        self, tmp_path: Path, clock: ClockAhead
    ) -> AsyncIterator[SqliteMachineMemory]:
        async with SqliteMachineMemory.connect(tmp_path / "state.db", clock=clock) as memory:
            yield memory


class TestHistoryWithoutAFile(WithoutAFile, StepHistorySuite):
    @pytest.fixture
    @override
    async def memory(self, clock: ClockAhead) -> AsyncIterator[ILeasedMachineMemory]:
        async with SqliteMachineMemory.connect(
            ":memory:", policy=POLICY, history=self.history, clock=clock
        ) as memory:
            yield memory

    @pytest.fixture
    async def forgetful(self, clock: ClockAhead) -> AsyncIterator[SqliteMachineMemory]:
        async with SqliteMachineMemory.connect(":memory:", clock=clock) as memory:
            yield memory


class TestClosed(ClosedMachineMemorySuite):
    @pytest.fixture
    async def closed_memory(self, tmp_path: Path) -> ClosableMachineMemory:
        async with SqliteMachineMemory.connect(tmp_path / "state.db") as memory:
            await memory.read("order-7")
        return memory

"""All suites for machine memories, on this memory."""

from contextlib import nullcontext
from datetime import timedelta

import pytest
from typing_extensions import override

from arvo_concurrent import ConcurrentMachineMemory
from arvo_event_handler import IMachineMemory
from arvo_event_handler.memory import LockPolicy
from arvo_event_handler.testing import (
    ConnectLeasedMachineMemory,
    LeasedMachineMemorySuite,
    LetTimePass,
    MachineMemorySuite,
    MachineTimerSuite,
    StepHistorySuite,
    WorkflowQueriesSuite,
)
from arvo_time.testing import FakeClock


class TestTheFourCalls(MachineMemorySuite):
    @pytest.fixture
    def memory(self) -> IMachineMemory:
        return ConcurrentMachineMemory(policy=LockPolicy(max_wait=timedelta(milliseconds=20)))


class OnAFakeClock:
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def memory(self, clock: FakeClock) -> ConcurrentMachineMemory:
        return ConcurrentMachineMemory(clock=clock)

    @pytest.fixture
    def connect(self, memory: ConcurrentMachineMemory) -> ConnectLeasedMachineMemory:
        return lambda: nullcontext(memory)

    @pytest.fixture
    def let_pass(self, clock: FakeClock) -> LetTimePass:
        return clock.run_for


class TestLeases(OnAFakeClock, LeasedMachineMemorySuite):
    pass


class TestQueries(OnAFakeClock, WorkflowQueriesSuite):
    pass


class TestTimers(OnAFakeClock, MachineTimerSuite):
    pending = 1000


class TestHistory(OnAFakeClock, StepHistorySuite):
    @pytest.fixture(params=[0, 4096])
    @override
    def memory(self, clock: FakeClock, request: pytest.FixtureRequest) -> ConcurrentMachineMemory:
        return ConcurrentMachineMemory(clock=clock, chunk_bytes=request.param, history=self.history)

    @pytest.fixture
    def forgetful(self, clock: FakeClock) -> ConcurrentMachineMemory:
        return ConcurrentMachineMemory(clock=clock)

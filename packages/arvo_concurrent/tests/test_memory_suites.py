"""All suites for machine memories, on this memory."""

from contextlib import nullcontext
from datetime import timedelta

import pytest

from arvo_concurrent import ConcurrentMachineMemory
from arvo_event_handler import IMachineMemory
from arvo_event_handler.memory import LockPolicy
from arvo_event_handler.testing import (
    ConnectLeasedMachineMemory,
    LeasedMachineMemorySuite,
    LetTimePass,
    MachineMemorySuite,
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

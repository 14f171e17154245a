"""The suite for timers passes a sound memory, and fails each broken one by the name of what it breaks."""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

import pytest

from arvo_core import ArvoError
from arvo_event_handler.testing import ConnectLeasedMachineMemory, LetTimePass, MachineTimerSuite
from arvo_time.testing import FakeClock

from .broken_timer_claims import BROKEN_TIMER_CLAIMS
from .broken_timer_commits import BROKEN_TIMER_COMMITS
from .timed_memory import TimedMemory

BROKEN_TIMERS = {**BROKEN_TIMER_COMMITS, **BROKEN_TIMER_CLAIMS}


class TestSoundTimers(MachineTimerSuite):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def memory(self, clock: FakeClock) -> TimedMemory:
        return TimedMemory(clock=clock)

    @pytest.fixture
    def connect(self, memory: TimedMemory) -> ConnectLeasedMachineMemory:
        return lambda: nullcontext(memory.another_client())

    @pytest.fixture
    def let_pass(self, clock: FakeClock) -> LetTimePass:
        return clock.run_for


class FewTimers(MachineTimerSuite):
    pending = 60


def test_every_behaviour_has_a_memory_that_breaks_it() -> None:
    behaviours = {name for name in dir(MachineTimerSuite) if name.startswith("test_")}
    assert {name for name, memories in BROKEN_TIMERS.items() if memories} == behaviours


@pytest.mark.parametrize(
    ("behaviour", "broken"),
    [
        pytest.param(behaviour, memory, id=f"{behaviour}-{memory.__name__}")
        for behaviour, memories in BROKEN_TIMERS.items()
        for memory in memories
    ],
)
async def test_a_broken_memory_fails_by_name(behaviour: str, broken: type[TimedMemory]) -> None:
    clock = FakeClock()
    memory = broken(clock=clock)
    fixtures: dict[str, object] = {
        "memory": memory,
        "connect": lambda: nullcontext(memory.another_client()),
        "let_pass": clock.run_for,
    }
    test: Callable[..., Awaitable[None]] = getattr(FewTimers(), behaviour)
    wanted = {name: fixtures[name] for name in inspect.signature(test).parameters}
    with pytest.raises((AssertionError, ArvoError, ValueError, OverflowError)):
        await test(**wanted)

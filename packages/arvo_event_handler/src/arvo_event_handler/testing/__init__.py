"""Test kit for what you build on Arvo. Never imported in production.

`HandlerSuite` tests handlers and workflows by cases of steps. `MachineMemorySuite` tests a machine
memory of your own. `FakeClock` moves the time by hand. `SpanRecorder` shows what was traced.
"""

from ._fake_clock import FakeClock
from ._machine_memory_suite import (
    ConnectMachineMemory,
    MachineMemorySuite,
    SharedMachineMemorySuite,
)

__all__ = ["ConnectMachineMemory", "FakeClock", "MachineMemorySuite", "SharedMachineMemorySuite"]

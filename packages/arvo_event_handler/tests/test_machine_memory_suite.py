"""The memory suite passes on the plain memory."""

import pytest

from arvo_event_handler import IMachineMemory, SimpleMachineMemory
from arvo_event_handler.testing import MachineMemorySuite


class TestSimpleMachineMemory(MachineMemorySuite):
    @pytest.fixture
    def memory(self) -> IMachineMemory:
        return SimpleMachineMemory()

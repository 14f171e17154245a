"""A store in memory by a clock that tests move."""

from collections.abc import AsyncIterator

import pytest

from arvo_event_store import MemoryEventStore
from arvo_time.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(clock: FakeClock) -> AsyncIterator[MemoryEventStore]:
    async with MemoryEventStore(clock=clock) as store:
        yield store

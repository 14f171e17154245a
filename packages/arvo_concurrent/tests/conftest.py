import pytest

from arvo_event_handler.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()

import pytest

from arvo_time.testing import FakeClock

from .broker_owner import Owner


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def owner() -> Owner:
    return Owner()

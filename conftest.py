import os

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("arvo_event_handler.testing")

# A slow machine is not a failure, so neither deadlines nor the health check of data generation.
settings.register_profile(
    "quick",
    max_examples=100,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("full", settings.get_profile("quick"), max_examples=1_000)
settings.register_profile("few", settings.get_profile("quick"), max_examples=10)
settings.load_profile("full" if os.environ.get("ARVO_FULL") == "1" else "quick")


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"debug": True}


def pytest_collection() -> None:
    """Measure the coverage of this process and of its workers, which run by now, and of no other."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)

import os

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("arvo_event_handler.testing")

settings.register_profile("quick", max_examples=100, deadline=None, derandomize="CI" in os.environ)
settings.register_profile(
    "full", max_examples=2_000, deadline=None, derandomize="CI" in os.environ
)
settings.load_profile("full" if os.environ.get("ARVO_FULL") == "1" else "quick")


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"debug": True}

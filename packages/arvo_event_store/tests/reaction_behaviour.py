"""One test of `ReactionStoreSuite`, on a store of its own."""

import inspect
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from arvo_event_store import MemoryEventStore
from arvo_event_store.testing import ReactionStoreSuite
from arvo_time.testing import FakeClock


async def behave(name: str, kind: type[MemoryEventStore]) -> None:
    """Run a test of the suite by its name, with the fixtures that it asks for."""
    clock = FakeClock(start=datetime(2025, 1, 1, tzinfo=UTC))
    async with kind(clock=clock) as store:
        fixtures: dict[str, Any] = {
            "store": store,
            "connect": lambda: nullcontext(store),
            "advance": clock.run_for,
        }
        test = getattr(ReactionStoreSuite(), name)
        await test(**{asked: fixtures[asked] for asked in inspect.signature(test).parameters})

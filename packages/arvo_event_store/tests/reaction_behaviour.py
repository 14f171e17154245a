"""The suites of reactions, on a store that a test makes itself."""

import inspect
from contextlib import nullcontext
from typing import Any

from arvo_event_store import MemoryEventStore
from arvo_event_store.testing import ReactionLawSuite, ReactionStoreSuite
from arvo_time.testing import FakeClock


async def behave(name: str, kind: type[MemoryEventStore]) -> None:
    """Run a test of `ReactionStoreSuite` by its name, with the fixtures that it asks for."""
    clock = FakeClock()
    async with kind(clock=clock) as store:
        fixtures: dict[str, Any] = {
            "store": store,
            "connect": lambda: nullcontext(store),
            "advance": clock.run_for,
        }
        test = getattr(ReactionStoreSuite(), name)
        await test(**{asked: fixtures[asked] for asked in inspect.signature(test).parameters})


async def obey(kind: type[MemoryEventStore]) -> None:
    """Run the laws of reactions."""
    clock = FakeClock()
    async with kind(clock=clock) as store:
        await ReactionLawSuite().test_any_sequence_of_steps_gives_the_same(store, clock.run_for)

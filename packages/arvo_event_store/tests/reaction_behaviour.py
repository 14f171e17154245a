"""The suites of reactions, on a store that a test makes itself."""

import inspect
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, TypeAlias

import pytest
from typing_extensions import override

from arvo_event_store import MemoryEventStore
from arvo_event_store.stores import Lease
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


def cases(broken: Mapping[str, Sequence[type[MemoryEventStore]]]) -> list[Any]:
    """Return a case for each test of the suite and each store that must fail it."""
    return [
        pytest.param(behaviour, store, id=f"{behaviour}-{store.__name__}")
        for behaviour, stores in broken.items()
        for store in stores
    ]


Place: TypeAlias = tuple[str, str]
"""Which target it is: its reaction and its key."""


def place(lease: Lease) -> Place:
    """Return which target a lease is of."""
    return lease.reaction, lease.key


class NotingStore(MemoryEventStore):
    """Notes the last lease of each target; it is not broken itself."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.last: dict[Place, Lease] = {}

    @override
    async def claim(self, group: str, **given: Any) -> list[Lease]:
        leases = await super().claim(group, **given)
        self.last |= {place(lease): lease for lease in leases}
        return leases

    def current(self, lease: Lease) -> Lease:
        """Return the lease that somebody has by now."""
        return replace(lease, token=self.last[place(lease)].token)

"""The suite fails on broken transports, by the name of what they break.

A suite that passes with every transport proves nothing, so every behaviour has at least one defect
here that it must find, and no defect is found by what has nothing to do with it.
"""

import asyncio
import os
import unittest

import pytest

from arvo_transport.testing import EventTransportSuite

from .broken_keeping import KEEPING
from .broken_operation import OPERATION
from .broken_order import ORDER
from .broken_publishing import PUBLISHING
from .broken_receiving import RECEIVING
from .broken_registry import REGISTRY
from .broken_settling import SETTLING
from .defects import Defect
from .transports import engine_under_test

DEFECTS = [
    defect
    for group in (PUBLISHING, REGISTRY, RECEIVING, SETTLING, ORDER, KEEPING, OPERATION)
    for defect in group.all
]
BEHAVIOURS = frozenset(
    name.removeprefix("test_") for name in dir(EventTransportSuite) if name.startswith("test_")
)
FULL = os.environ.get("ARVO_FULL") == "1"


async def fails(behaviour: str) -> bool:
    """Run one behaviour on a new engine; return whether it failed."""
    try:
        async with asyncio.timeout(10):  # broken ones may spin
            await getattr(EventTransportSuite(), f"test_{behaviour}")(engine_under_test())
    except unittest.SkipTest:
        return False
    except Exception:
        return True
    return False


def test_every_behaviour_has_a_defect_that_it_finds() -> None:
    assert frozenset().union(*(each.behaviours for each in DEFECTS)) == BEHAVIOURS


def test_every_defect_has_a_name_of_its_own() -> None:
    assert len({each.name for each in DEFECTS}) == len(DEFECTS)


@pytest.mark.scaled
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda each: each.name)
async def test_a_defect_is_found_by_its_behaviours(
    defect: Defect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `ARVO_FULL`, also that no other behaviour fails."""
    defect.apply(monkeypatch)
    tried = BEHAVIOURS if FULL else defect.behaviours
    assert {each for each in sorted(tried) if await fails(each)} == defect.behaviours

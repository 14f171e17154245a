"""Nested workflows over workers that die, freeze and are replaced end once, and leave nothing."""

import logging
import os
from collections.abc import Iterator

import pytest

from .simulation import Simulation

_CHOSEN = os.environ.get("ARVO_SEED")
_COUNT = 5_000 if os.environ.get("ARVO_FULL") == "1" else 200
_CHUNK = 25
CHUNKS = (
    [range(int(_CHOSEN), int(_CHOSEN) + 1)]
    if _CHOSEN
    else [range(first, first + _CHUNK) for first in range(0, _COUNT, _CHUNK)]
)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Log nothing: what fails here on purpose is most of the work otherwise."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.scaled
@pytest.mark.parametrize("seeds", CHUNKS, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
async def test_every_workflow_ends_once_over_workers_that_die(seeds: range) -> None:
    for seed in seeds:
        simulation = Simulation(seed)
        try:
            await simulation.play()
            await simulation.verify()
        except BaseException as error:
            error.add_note(f"reproduce with: ARVO_SEED={seed} pytest {__file__}")
            raise

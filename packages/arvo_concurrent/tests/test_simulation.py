"""Nested workflows end once, with the right answer, and leave nothing behind."""

import os

import pytest

from .simulation import Simulation

_CHOSEN = os.environ.get("ARVO_SEED")
_COUNT = 3_000 if os.environ.get("ARVO_FULL") == "1" else 200
_CHUNK = 25
CHUNKS = (
    [range(int(_CHOSEN), int(_CHOSEN) + 1)]
    if _CHOSEN
    else [range(first, first + _CHUNK) for first in range(0, _COUNT, _CHUNK)]
)


@pytest.mark.scaled
@pytest.mark.parametrize("seeds", CHUNKS, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
async def test_every_workflow_ends_once_with_the_right_answer(seeds: range) -> None:
    for seed in seeds:
        simulation = Simulation(seed)
        try:
            await simulation.play()
            simulation.verify()
        except BaseException as error:
            error.add_note(f"reproduce with: ARVO_SEED={seed} pytest {__file__}")
            raise

"""Timers fire once or are cancelled, whatever crashes and however wrong the clocks are."""

import os
from collections import Counter

import pytest

from .timer_simulation import TimerSimulation

_CHOSEN = os.environ.get("ARVO_SEED")
_COUNT = 400 if os.environ.get("ARVO_FULL") == "1" else 24
_CHUNK = 8
CHUNKS = (
    [range(int(_CHOSEN), int(_CHOSEN) + 1)]
    if _CHOSEN
    else [range(first, first + _CHUNK) for first in range(0, _COUNT, _CHUNK)]
)


@pytest.mark.scaled
@pytest.mark.parametrize("seeds", CHUNKS, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
async def test_every_timer_fires_once_or_is_cancelled(seeds: range) -> None:
    figures: Counter[str] = Counter()
    for seed in seeds:
        simulation = TimerSimulation(seed)
        try:
            await simulation.play()
            await simulation.verify()
        except BaseException as error:
            error.add_note(f"reproduce with: ARVO_SEED={seed} pytest {__file__}")
            raise
        figures += simulation.figures
    assert all(figures[what] or _CHOSEN for what in ("crashes", "fired", "cancelled", "gave up"))
    print(", ".join(f"{count} {what}" for what, count in figures.items()), "and 0 wrong")  # noqa: T201

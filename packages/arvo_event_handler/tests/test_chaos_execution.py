"""Workflows end once, with the right answer, on a machine that keeps failing."""

import os

import pytest

from .chaos import Chaos

_CHOSEN = os.environ.get("ARVO_CHAOS_SEED")
_COUNT = 150 if os.environ.get("ARVO_FULL") == "1" else 25
SEEDS = [int(_CHOSEN)] if _CHOSEN else list(range(_COUNT))


@pytest.mark.scaled
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("memory", ["leased", "locked", "unlocked"])
@pytest.mark.parametrize("flavour", ["resumable", "machine"])
async def test_every_workflow_ends_once_with_the_right_answer(
    memory: str, seed: int, flavour: str
) -> None:
    chaos = Chaos(seed, memory=memory, flavour=flavour)
    try:
        await chaos.play()
        await chaos.verify()
    except BaseException as error:
        error.add_note(
            f"reproduce with: ARVO_CHAOS_SEED={seed} pytest {__file__} -k '{memory} and {flavour}'"
        )
        raise

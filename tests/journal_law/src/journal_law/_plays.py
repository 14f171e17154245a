"""What happens to a workflow, at random."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from hypothesis import given, settings, strategies as st

from arvo_event_handler import Answers

from ._shop import ASKS, ENDS, RAISES
from ._workflows import machine, resumable

Command: TypeAlias = Literal["answer", "again", "unsaid", "unstored", "anew"]
"""Answer a request; deliver an event again; answer, but the commit's reply is lost; answer, but it
fails; forget the workflow and start again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """All that is random."""

    make: Callable[..., Any]
    """Makes a handler over a memory."""
    commands: Sequence[tuple[Command, int, int]]
    """What to do, with which event or request, and what its answer costs."""
    workers: Sequence[int]
    """Who does it, in turn."""
    warm_bytes: Sequence[int]
    """How much each worker remembers."""
    chunk_bytes: int
    """When a tail is closed."""
    answers: Answers
    """Which answers are accepted."""


_PRICES: Final = st.integers(0, 30) | st.sampled_from([ENDS, RAISES, *ASKS])
_KINDS: Final[Sequence[Command]] = ("answer", "answer", "again", "unsaid", "unstored", "anew")
PLAYS: Final = st.builds(
    Play,
    make=st.sampled_from([resumable, machine]),
    commands=st.lists(st.tuples(st.sampled_from(_KINDS), st.integers(0, 99), _PRICES), max_size=40),
    workers=st.lists(st.integers(0, 2), min_size=1, max_size=7),
    warm_bytes=st.tuples(*[st.sampled_from([0, 3000, 64 * 1024 * 1024])] * 3),
    chunk_bytes=st.sampled_from([0, 700, 4096]),
    answers=st.sampled_from(["any", "awaited"]),
)

_EXAMPLES: Final = 500 if os.environ.get("ARVO_FULL") == "1" else 10


def keeps_the_law(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test with a few plays, or with 500 where `ARVO_FULL` is 1; it takes `play`."""
    return settings(max_examples=_EXAMPLES)(given(play=PLAYS)(test))

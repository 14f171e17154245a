"""How often the garbage collector looks for cycles."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_YOUNG_OBJECTS: Final = 20_000
"""New objects after which it looks for cycles."""


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """Spare the garbage collector most of its work, a twentieth of a command.

    Neither what is imported nor the events that are run make many cycles. But by default the
    collector visits the new objects after every few hundred, and all others at times.
    """
    young, *older = gc.get_threshold()
    gc.set_threshold(max(young, _YOUNG_OBJECTS) if young else 0, *older)
    try:
        yield
    finally:
        gc.set_threshold(young, *older)

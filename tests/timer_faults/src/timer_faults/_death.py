"""Kills a worker at one of the points between a timer that is due and the commit of its step."""

import os
import signal
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final, Literal, TypeAlias, get_args

from arvo_event_handler.delivery._timer_pump import _Watch

Death: TypeAlias = Literal["claimed", "published", "committed"]
"""A claim has returned timers; the tick of the first one was published; a step was committed."""
POINTS: Final[tuple[Death, ...]] = get_args(Death)
"""All of them."""


def die_when(death: Death | None, memory: Any) -> None:
    """Let this process kill itself at a point, with SIGKILL.

    Args:
        death: The point; None lets it live.
        memory: The only memory of this process.
    """
    if death == "claimed":
        memory.claim_due = _fatal(memory.claim_due, when=bool)
    elif death == "published":
        _Watch._fire = _fatal(_Watch._fire)  # type: ignore[method-assign, assignment]
    elif death == "committed":
        memory.commit = _fatal(memory.commit)


def _fatal(
    call: Callable[..., Awaitable[Any]], *, when: Callable[[Any], bool] = lambda _: True
) -> Callable[..., Awaitable[Any]]:
    @wraps(call)
    async def fatal(*args: Any, **options: Any) -> Any:
        result = await call(*args, **options)
        if when(result):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return fatal

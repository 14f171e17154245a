"""The ticks of timers that wait for their workflow, or are handled."""

import asyncio
from typing import Final

from arvo_event_handler.delivery import TICKS_TOGETHER

from ._delivery import Identity

_FEW: Final = TICKS_TOGETHER // 2


class TicksInHand:
    """Counts ticks, so that no more timers are claimed than are handled soon.

    What is claimed is kept from other processes, and claimed again if it is not handled in time.
    """

    __slots__ = ("_few", "_ticks")

    def __init__(self) -> None:
        self._ticks: set[Identity] = set()
        self._few: asyncio.Future[None] | None = None

    def __bool__(self) -> bool:
        return bool(self._ticks)

    def add(self, tick: Identity) -> None:
        """Count a tick that is on its way; once, however often it was claimed."""
        self._ticks.add(tick)

    def discard(self, event: Identity) -> None:
        """Count it no more, if it is one: it is handled, or given up."""
        self._ticks.discard(event)
        if self._few is not None and len(self._ticks) <= _FEW and not self._few.done():
            self._few.set_result(None)

    async def room(self) -> int:
        """Wait until half of the ticks are handled, and return how many more there may be."""
        while len(self._ticks) > _FEW:
            if self._few is None or self._few.done():
                self._few = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._few)
        return TICKS_TOGETHER - len(self._ticks)

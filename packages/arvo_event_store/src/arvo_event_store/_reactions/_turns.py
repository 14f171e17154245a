"""Turns of those that decide on the same stream."""

import asyncio
from weakref import WeakValueDictionary


class Turns:
    """Lets tries of one worker that met each other at a stream go one after the other.

    Without it they would only make each other decide again.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def at(self, stream: str) -> asyncio.Lock:
        """Return the lock of a stream, which lives as long as somebody has it."""
        return self._locks.setdefault(stream, asyncio.Lock())

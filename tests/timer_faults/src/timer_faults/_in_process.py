"""A memory of this process."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Self

from typing_extensions import override

from arvo_concurrent import ConcurrentMachineMemory
from arvo_time import SystemClock

from ._store import Store


class InProcessStore(Store):
    """One memory, whoever connects. Its clock can be moved, and is then not that of a broker."""

    name: ClassVar[str] = "in process"

    def __init__(self) -> None:
        self._clock = _AheadClock()
        self._memory = ConcurrentMachineMemory(clock=self._clock)

    @classmethod
    @override
    @contextmanager
    def start(cls, folder: Path) -> Iterator[Self]:
        yield cls()

    @property
    @override
    def url(self) -> str:
        raise NotImplementedError("no other process can open it")

    @override
    def connect(self) -> AbstractAsyncContextManager[Any]:
        return self._connected()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[ConcurrentMachineMemory]:
        yield self._memory

    @override
    async def empty(self) -> None:
        self._clock = _AheadClock()
        self._memory = ConcurrentMachineMemory(clock=self._clock)

    @override
    async def now(self) -> datetime:
        return self._clock.now()

    @override
    async def let_pass(self, by: timedelta) -> None:
        self._clock.ahead += by

    @override
    async def entries(self) -> int:
        return len(self._memory._timers._entries)


class _AheadClock(SystemClock):
    ahead = timedelta(0)

    @override
    def now(self) -> datetime:
        return super().now() + self.ahead

    @override
    def monotonic(self) -> float:
        return super().monotonic() + self.ahead.total_seconds()

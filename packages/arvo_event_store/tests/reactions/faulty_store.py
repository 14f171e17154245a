"""A store whose calls fail and take time, as one that is far away does."""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

from arvo_event_store import MemoryEventStore, StoreFailure
from arvo_time import Clock

_CALLS = (
    *("register", "scan", "mark", "leave", "ready", "claim", "extend", "finish", "release", "lag"),
    "wait_for_change",
)


class FaultyStore:
    """Hands on calls to a store, and fails some before or after they happened."""

    changes: int

    def __init__(
        self, store: MemoryEventStore, *, clock: Clock, random: Random, odds: float
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self.odds = odds
        self._back_at = clock.monotonic()
        self._lost_finish: bool | None = None
        self.reply_after = timedelta(0)
        """How long a finish takes after it was stored."""

    def fail_for(self, time: timedelta) -> None:
        """Be away for a time."""
        self._back_at = self._clock.monotonic() + time.total_seconds()

    def lose_next_finish(self, *, stored: bool) -> None:
        """Let nobody know what became of the next finish."""
        self._lost_finish = stored

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        return self._faulty(call, name) if name in _CALLS else call

    def _faulty(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        async def faulty(*args: Any, **settings: Any) -> Any:
            draw = self._random
            if draw.random() < self.odds / 20:  # for longer than leases are
                self.fail_for(timedelta(seconds=5))
            if self._clock.monotonic() < self._back_at:
                raise StoreFailure("no connection", retryable=True, outcome="failed")
            if draw.random() < self.odds * 3:
                await self._clock.sleep(timedelta(milliseconds=draw.randrange(1, 400)))
            if draw.random() < self.odds:
                raise StoreFailure(f"{name} failed", retryable=True, outcome="failed")
            if name == "finish" and self._lost_finish is not None:
                stored, self._lost_finish = self._lost_finish, None
                if stored:
                    await call(*args, **settings)
                raise StoreFailure("connection lost", retryable=True, outcome="unknown")
            result = await call(*args, **settings)
            if name == "finish" and self.reply_after:
                await self._clock.sleep(self.reply_after)
            if draw.random() < self.odds:
                raise StoreFailure(f"{name} is unknown", retryable=True, outcome="unknown")
            return result

        return faulty

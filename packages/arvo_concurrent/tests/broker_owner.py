"""Owns a broker under test: records what is reported to it, and can block its handlers."""

import asyncio
from datetime import timedelta
from typing import Any

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoEvent
from arvo_event_handler import IArvoEventHandler
from arvo_event_handler.delivery import (
    DeadLetter,
    DeadLetterReason,
    HandlerConfig,
    HandlerDefaults,
    Topic,
)
from arvo_time import Backoff
from arvo_time.testing import FakeClock

from .stub_handler import emitted

SECOND = timedelta(seconds=1)
STEADY = Backoff(initial=SECOND, maximum=60 * SECOND, jitter=False)


class Owner:
    """Records what the broker reports to its owner."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.errors: list[tuple[str, str]] = []
        self.unclaimed: list[str] = []

    async def on_dead_letter(self, letter: DeadLetter) -> None:
        self.letters.append(letter)

    async def on_broker_error(self, failed: ArvoEvent, error: Exception) -> None:
        self.errors.append((failed.id, str(error)))

    async def on_unclaimed(self, answer: ArvoEvent) -> None:
        self.unclaimed.append(answer.id)

    @property
    def reasons(self) -> list[tuple[str, DeadLetterReason]]:
        return [(letter.event.id, letter.reason) for letter in self.letters]


def broker_of(
    owner: Owner,
    clock: FakeClock,
    *handlers: HandlerConfig | IArvoEventHandler,
    defaults: HandlerDefaults | None = None,
    max_queued: int | None = None,
) -> ConcurrentEventBroker:
    return ConcurrentEventBroker(
        handlers,
        defaults=defaults,
        on_dead_letter=owner.on_dead_letter,
        on_broker_error=owner.on_broker_error,
        on_unclaimed=owner.on_unclaimed,
        max_queued=max_queued,
        clock=clock,
    )


def workers() -> list[str]:
    """Return the names of the broker tasks that still run."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("arvo ")]


class Gate:
    """Holds handlers until it is opened."""

    def __init__(self) -> None:
        self._open = asyncio.Event()

    async def act(self, cause: ArvoEvent) -> list[ArvoEvent]:
        await self.opened()
        return [emitted(cause)]

    async def opened(self) -> None:
        await self._open.wait()

    def open(self) -> None:
        self._open.set()


def left_inside(broker: ConcurrentEventBroker) -> dict[str, object]:
    """Return what a broker still holds of its events; empty when all are done."""
    router, admission = broker._router, broker._admission
    held: dict[str, object] = {
        "leaving": router._leaving,
        "under way": router._under_way,
        "work in hand": router._work._trees,
        "open": admission.open,
        "waiting": admission.waiting,
        "waiters": admission._waiters,
        "idle": admission._idle,
    }
    topics: list[Topic[Any, Any]] = [*router.topics.values(), router._listeners.topic]
    for topic in topics:
        held |= {
            f"{topic.name} size": topic._size,
            f"{topic.name} ready": topic._ready,
            f"{topic.name} lanes": topic._lanes,
            f"{topic.name} sleeping": topic._sleeping,
            f"{topic.name} running": topic._running,
            f"{topic.name} seats": topic.seats._taken,
            f"{topic.name} metered": topic._metered,
            f"{topic.name} held lanes": topic.seats._lanes,
        }
    return {what: value for what, value in held.items() if value}

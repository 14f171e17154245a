"""Answers, kept for those who ask from outside."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TypeAlias

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_transport._transport import IAnswerBox

from ._connection import Connection
from ._engine_clock import EngineClock
from ._entry import Microseconds

_Place: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    event: ArvoEvent
    until: Microseconds


class Answers:
    """All answers of an engine.

    Args:
        clock: The engine's.
        kept: How long an answer stays.
    """

    def __init__(self, *, clock: EngineClock, kept: Microseconds) -> None:
        self._clock = clock
        self._kept = kept
        # Oldest first, as all are kept for the same time.
        self._answers: dict[_Place, _Answer] = {}
        self._waiters: defaultdict[_Place, set[asyncio.Future[ArvoEvent]]] = defaultdict(set)

    def put(self, event: ArvoEvent, *, address: str, request: str) -> None:
        """Keep an answer, unless there is one that stays."""
        self._forget_old_ones()
        place = address, request
        first = self._answers.get(place)
        if first is not None and not (_is_failure(first.event) and not _is_failure(event)):
            return
        self._answers.pop(place, None)
        self._answers[place] = _Answer(event=event, until=self._clock.now() + self._kept)
        for waiter in self._waiters.pop(place, ()):
            if not waiter.done():
                waiter.set_result(event)

    def get(self, address: str, request: str) -> ArvoEvent | None:
        """Return an answer, or None while there is none."""
        self._forget_old_ones()
        found = self._answers.get((address, request))
        return None if found is None else found.event

    async def wait(self, address: str, request: str) -> ArvoEvent:
        """Wait for an answer."""
        found = self.get(address, request)
        if found is not None:
            return found
        place = address, request
        waiter: asyncio.Future[ArvoEvent] = asyncio.get_running_loop().create_future()
        self._waiters[place].add(waiter)
        try:
            return await waiter
        finally:
            waiting = self._waiters.get(place)
            if waiting is not None:
                waiting.discard(waiter)
                if not waiting:
                    del self._waiters[place]

    def _forget_old_ones(self) -> None:
        now = self._clock.now()
        while self._answers:
            place = next(iter(self._answers))
            if self._answers[place].until > now:
                return
            del self._answers[place]


class AnswerBox(IAnswerBox):
    """The answers to one address, for one client.

    Args:
        answers: All answers of the engine.
        address: The address.
        connection: The client's.
    """

    def __init__(self, answers: Answers, *, address: str, connection: Connection) -> None:
        self._answers = answers
        self._address = address
        self._connection = connection

    @override
    async def get(self, request: str) -> ArvoEvent | None:
        return await self._connection.call(lambda: self._answers.get(self._address, request))

    @override
    async def wait(self, request: str) -> ArvoEvent:
        return await self._connection.wait(self._answers.wait(self._address, request))


def _is_failure(event: ArvoEvent) -> bool:
    return event.type.startswith("sys.") and event.type.endswith(".error")

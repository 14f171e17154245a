"""Handlers that a vector describes: what they emit, how often they fail, how long they take."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from opentelemetry.context import Context
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import IArvoEventHandler
from arvo_time import Clock


class StubHandler(IArvoEventHandler):
    """Does for each event what a vector says, and notes it.

    Args:
        description: The vector's handler.
        log: Gets a line for each try.
        clock: Passes the time that a try takes.
    """

    def __init__(self, description: Mapping[str, Any], *, log: list[str], clock: Clock) -> None:
        self._description = description
        self._log = log
        self._clock = clock
        self._tried = 0
        self._running = 0
        self.most_at_once = 0
        """The highest number of tries that ran at the same time."""

    @property
    @override
    def source(self) -> str:
        source: str = self._description["source"]
        return source

    @property
    @override
    def stateful(self) -> bool:
        return False

    @override
    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        self._log.append(f"exec {self.source} {event.id}")
        self._tried += 1
        tried = self._tried
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        try:
            if "sleepMs" in self._description:
                await self._clock.sleep(timedelta(milliseconds=self._description["sleepMs"]))
            if tried <= self._description.get("failTimes", 0):
                raise RuntimeError(f"fail {tried}")
            return self._emitted(event)
        finally:
            self._running -= 1

    def _emitted(self, cause: ArvoEvent) -> list[ArvoEvent]:
        given = {"source": self.source, "subject": cause.subject, "parentid": cause.id}
        return [
            ArvoEvent.create(**{**given, "id": f"{cause.id}>{position}", **members})
            for position, members in enumerate(self._description.get("emit", ()))
        ]

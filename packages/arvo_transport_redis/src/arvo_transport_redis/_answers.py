"""Answer boxes."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_transport import IAnswerBox, TransportClosedError

from ._namespace import Namespace


class AnswerBox(IAnswerBox):
    """The answers to the requests of one address. Get one from `open`."""

    def __init__(self, namespace: Namespace, *, address: str) -> None:
        """Ask the server for nothing yet."""
        self._namespace = namespace
        self._prefix = namespace.keys.answers(address)
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._closed = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator["AnswerBox"]:
        """Listen for answers for as long as the block lasts."""
        async with self._namespace.bells.listen(self._prefix, self._rung):
            try:
                yield self
            finally:
                self.close()

    def close(self) -> None:
        """Let those who wait fail."""
        self._closed = True
        self._rung(None)

    @override
    async def get(self, request: str) -> ArvoEvent | None:
        if self._closed:
            raise TransportClosedError("the answer box")
        found = await self._namespace.server.ask("GET", f"{self._prefix}{request}")
        return None if found is None else ArvoEvent.from_json(found[1:].decode())

    @override
    async def wait(self, request: str) -> ArvoEvent:
        rung = asyncio.Event()
        self._waiting[request].add(rung)
        try:
            while True:
                rung.clear()
                found = await self.get(request)
                if found is not None:
                    return found
                await rung.wait()
        finally:
            self._waiting[request].discard(rung)
            if not self._waiting[request]:
                del self._waiting[request]

    def _rung(self, message: bytes | None) -> None:
        waiting = list(self._waiting) if message is None else [message.decode()]
        for request in waiting:
            for rung in self._waiting.get(request, ()):
                rung.set()

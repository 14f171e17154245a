"""Calls of the server: repeated where that is safe, traced, and failing in the memory's terms."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from arvo_event_handler import Backoff, Clock, MachineMemoryError

from ._failure import DRIVER_ERRORS, failure, outcome_of, worth_another_try
from ._scripts import Script
from ._telemetry import operation_span
from ._transport import Transport, Word

_TRIES: Final = 3
_BACKOFF: Final = Backoff(
    initial=timedelta(milliseconds=10), maximum=timedelta(milliseconds=100), factor=4
)


class Server:
    """The server behind a transport."""

    def __init__(self, transport: Transport, *, clock: Clock) -> None:
        """Use a transport; `clock` is for the pauses between two tries."""
        self._transport = transport
        self._clock = clock
        self._attributes = transport.attributes
        self._closed = False

    async def run(self, script: Script, key: str, *arguments: Word) -> Any:
        """Run a script; after a broken connection again, which changes nothing twice.

        Raises:
            MachineMemoryError: The server failed, or the memory was closed.
        """
        with operation_span("EVALSHA", self._attributes, script=script.name):
            return await self._tried(
                lambda: self._transport.run(script, key, *arguments), doing=script.name
            )

    async def ask(self, command: str, *words: Word) -> Any:
        """Send a command that may run twice; errors as `run`."""
        with operation_span(command, self._attributes):
            return await self._tried(
                lambda: self._transport.send(command, *words), doing=command.lower()
            )

    async def keys(self, pattern: str) -> AsyncIterator[bytes]:
        """Go through all keys of a pattern, each once; errors as `run`."""
        self._check_open()
        seen: set[bytes] = set()
        for tried in range(_TRIES):
            try:
                keys = self._transport.keys(pattern)
                while (key := await _cancellable(anext(keys, None))) is not None:
                    if key not in seen:
                        seen.add(key)
                        yield key
                return
            except DRIVER_ERRORS as error:
                if tried == _TRIES - 1 or not worth_another_try(error):
                    raise failure("scan", error, outcome="failed") from error
            await self._clock.sleep(_BACKOFF.delay(tried))

    async def aclose(self) -> None:
        """Close the transport; again does no harm."""
        if not self._closed:
            self._closed = True
            await self._transport.aclose()

    async def _tried(self, call: Callable[[], Awaitable[Any]], *, doing: str) -> Any:
        handled = sys.exception()
        unknown = False
        for tried in range(_TRIES):
            self._check_open()
            try:
                return await _cancellable(call())
            except DRIVER_ERRORS as error:
                unknown = unknown or outcome_of(error, handled=handled) == "unknown"
                if tried == _TRIES - 1 or not worth_another_try(error):
                    # An earlier try may have come through although this one did not.
                    raise failure(
                        doing, error, outcome="unknown" if unknown else "failed"
                    ) from error
            await self._clock.sleep(_BACKOFF.delay(tried))
        raise AssertionError("the last try returns or raises")

    def _check_open(self) -> None:
        if self._closed:
            raise MachineMemoryError(
                "the Redis machine memory was closed; connect again",
                retryable=False,
                outcome="failed",
            )


async def _cancellable(call: Awaitable[Any]) -> Any:
    """Await a call, and end by a cancellation that the call has swallowed.

    Before Python 3.12 `asyncio.wait_for`, by which redis-py sends, does so at times.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        return await call
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError

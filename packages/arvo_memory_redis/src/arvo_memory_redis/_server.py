"""Calls of the server: repeated where that is safe, traced, and failing in the memory's terms."""

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

    @property
    def ordered(self) -> bool:
        """As `Transport.ordered`."""
        return self._transport.ordered

    async def run(self, script: Script, key: str, *arguments: Word) -> Any:
        """Run a script; after a broken connection again, which changes nothing twice.

        Raises:
            MachineMemoryError: The server failed, or the memory was closed.
        """
        with operation_span("EVALSHA", self._attributes, script=script.name):
            self._check_open()
            handled = sys.exception()
            try:
                return await self._transport.run(script, key, *arguments)
            except DRIVER_ERRORS as error:
                return await self._try_again(
                    lambda: self._transport.run(script, key, *arguments),
                    error,
                    handled=handled,
                    doing=script.name,
                )

    async def ask(self, command: str, *words: Word) -> Any:
        """Send a command that may run twice; errors as `run`."""
        with operation_span(command, self._attributes):
            self._check_open()
            handled = sys.exception()
            try:
                return await self._transport.send(command, *words)
            except DRIVER_ERRORS as error:
                return await self._try_again(
                    lambda: self._transport.send(command, *words),
                    error,
                    handled=handled,
                    doing=command.lower(),
                )

    async def keys(self, pattern: str) -> AsyncIterator[bytes]:
        """Go through all keys of a pattern, each once; errors as `run`."""
        self._check_open()
        seen: set[bytes] = set()
        for tried in range(_TRIES):
            try:
                async for key in self._transport.keys(pattern):
                    if key not in seen:
                        seen.add(key)
                        yield key
                return
            except DRIVER_ERRORS as error:
                if tried == _TRIES - 1 or not worth_another_try(error):
                    raise failure("scan", error, outcome="failed") from error
            await self._clock.sleep(_BACKOFF.delay(tried))
            self._check_open()

    def close(self) -> None:
        """Refuse further calls; whoever made the transport closes it."""
        self._closed = True

    async def _try_again(
        self,
        call: Callable[[], Awaitable[Any]],
        error: Exception,
        *,
        handled: BaseException | None,
        doing: str,
    ) -> Any:
        first = error
        unknown = False
        for tried in range(_TRIES):
            unknown = unknown or outcome_of(error, handled=handled) == "unknown"
            if tried == _TRIES - 1 or not worth_another_try(error):
                break
            await self._clock.sleep(_BACKOFF.delay(tried))
            self._check_open()
            try:
                return await call()
            except DRIVER_ERRORS as another:
                error, handled = another, first
        # An earlier try may have come through although the last one did not.
        raise failure(doing, error, outcome="unknown" if unknown else "failed") from error

    def _check_open(self) -> None:
        if self._closed:
            raise MachineMemoryError(
                "the Redis machine memory was closed; connect again",
                retryable=False,
                outcome="failed",
            )

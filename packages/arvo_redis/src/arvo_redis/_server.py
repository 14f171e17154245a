"""Calls of the server: repeated where that is safe, traced, and failing in the memory's terms."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, Final, TypeVar

from arvo_event_handler import MachineMemoryError
from arvo_time import Backoff, Clock

from ._calls_under_way import CallsUnderWay
from ._failure import DRIVER_ERRORS, failure, outcome_of, worth_another_try
from ._scripts import RELEASE, Script
from ._telemetry import operation_span
from ._transport import Transport, Word

T = TypeVar("T")

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
        self.ordered: Final = transport.ordered
        """As `Transport.ordered`."""
        self._under_way = CallsUnderWay()
        self._closing = self._closed = False

    async def run(self, script: Script, key: str, *arguments: Word) -> Any:
        """Run a script; after a broken connection again, which changes nothing twice.

        Raises:
            MachineMemoryError: The server failed, or the memory was closed. While it closes, only
                what a lease is given back with is let through. Or a write was refused the second
                time, and may have happened the first time: others may have written since.
        """
        with operation_span("EVALSHA", self._attributes, script=script.name), self._under_way:
            if self._closing and (self._closed or script is not RELEASE):
                raise _closed()
            handled = sys.exception()
            try:
                return await self._transport.run(script, key, *arguments)
            except DRIVER_ERRORS as error:
                return await self._try_again(
                    lambda: self._transport.run(script, key, *arguments),
                    error,
                    handled=handled,
                    doing=script.name,
                    compares=script.compares,
                )

    async def ask(self, command: str, *words: Word) -> Any:
        """Send a command that may run twice; errors as `run`."""
        with operation_span(command, self._attributes), self._under_way:
            if self._closing:
                raise _closed()
            handled = sys.exception()
            try:
                return await self._transport.send(command, *words)
            except DRIVER_ERRORS as error:
                return await self._try_again(
                    lambda: self._transport.send(command, *words),
                    error,
                    handled=handled,
                    doing=f"answer {command}",
                )

    async def keys(self, pattern: str) -> AsyncIterator[bytes]:
        """Go through all keys of a pattern, each once; errors as `run`."""
        seen: set[bytes] = set()
        for tried in range(_TRIES):
            if self._closing:
                raise _closed()
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

    def in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that `aclose` waits for."""
        return self._under_way.in_background(work)

    async def aclose(self) -> None:
        """Refuse new calls and wait for those under way; whoever made the transport closes it."""
        self._closing = True
        try:
            await self._under_way.none()
        finally:
            self._closed = True

    async def _try_again(
        self,
        call: Callable[[], Awaitable[Any]],
        error: Exception,
        *,
        handled: BaseException | None,
        doing: str,
        compares: bool = False,
    ) -> Any:
        first = error
        unknown = False
        for tried in range(_TRIES):
            unknown = unknown or outcome_of(error, handled=handled) == "unknown"
            if tried == _TRIES - 1 or not worth_another_try(error):
                break
            await self._clock.sleep(_BACKOFF.delay(tried))
            try:
                answer = await call()
            except DRIVER_ERRORS as another:
                error, handled = another, first
                continue
            if compares and unknown and not answer:
                raise _in_doubt(doing) from error
            return answer
        # An earlier try may have come through although the last one did not.
        raise failure(doing, error, outcome="unknown" if unknown else "failed") from error


def _in_doubt(doing: str) -> MachineMemoryError:
    return MachineMemoryError(
        f"Redis lost the answer to a {doing}, and somebody else has written since: whether this one "
        "came before is unknown; deliver again",
        retryable=True,
        outcome="unknown",
    )


def _closed() -> MachineMemoryError:
    return MachineMemoryError(
        "the Redis machine memory was closed; connect again", retryable=False, outcome="failed"
    )

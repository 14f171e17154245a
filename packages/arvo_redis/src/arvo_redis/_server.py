"""Calls to a server: repeated where that is safe, traced, and failing with the caller's errors."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar

from arvo_time import SYSTEM_CLOCK, BackendError, Backoff, Clock, ClosedError, repeated
from arvo_time.settings import check_clock
from arvo_time.telemetry import client_span

from ._failure import DRIVER_ERRORS, failure, in_doubt, judged, worth_another_try
from ._transport import Script, Transport, Word

T = TypeVar("T")

_TRIES: Final = 3
_BACKOFF: Final = Backoff(
    initial=timedelta(milliseconds=10), maximum=timedelta(milliseconds=100), factor=4
)


class Server:
    """The server behind a transport, for one user of the transport.

    Args:
        transport: Carries the calls, such as one from `connect`. It stays open.
        clock: For the pauses between tries.
        scope: The package that calls, for its tracer.
        translated: Returns what to raise instead of a `BackendError`; None raises that as it is.

    Raises:
        TypeError: `clock` is not a `Clock`.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock = SYSTEM_CLOCK,
        scope: str = "arvo_redis",
        translated: Callable[[BackendError], Exception] | None = None,
    ) -> None:
        self._transport = transport
        self._clock = check_clock(clock)
        self._scope = scope
        self._translated = translated
        self._attributes = {"db.system.name": "redis", **transport.attributes}
        self.ordered: Final = transport.ordered
        """See `Transport.ordered`."""
        self._pending = PendingCalls()
        self._closing = self._closed = False

    async def run(self, script: Script, key: str, *arguments: Word) -> Any:
        """Run a script, and run it again after a broken connection, which changes nothing twice.

        Raises:
            BackendError: The server failed. Or a script that compares refused the second time, and
                may have succeeded the first time: other writers may have followed.
            ClosedError: This was closed. While it closes, only scripts with `while_closing` run.
        """
        with (
            client_span(
                "EVALSHA", scope=self._scope, attributes=self._attributes, procedure=script.name
            ),
            self._pending,
        ):
            if self._closing and (self._closed or not script.while_closing):
                raise self._closed_error()
            handled = sys.exception()
            try:
                return await self._transport.run(script, key, *arguments)
            except DRIVER_ERRORS as error:
                failed = error
            return await self._try_again(
                lambda: self._transport.run(script, key, *arguments),
                failed,
                handled=handled,
                doing=script.name,
                compares=script.compares,
            )

    async def ask(self, command: str, *words: Word) -> Any:
        """Send a command that may run twice; raises as `run` does."""
        with (
            client_span(command, scope=self._scope, attributes=self._attributes),
            self._pending,
        ):
            if self._closing:
                raise self._closed_error()
            handled = sys.exception()
            try:
                return await self._transport.send(command, *words)
            except DRIVER_ERRORS as error:
                failed = error
            return await self._try_again(
                lambda: self._transport.send(command, *words),
                failed,
                handled=handled,
                doing=f"answer {command}",
            )

    async def keys(self, pattern: str) -> AsyncIterator[bytes]:
        """Yield all keys that match a pattern, each once; raises as `run` does."""
        seen: set[bytes] = set()
        for tried in range(_TRIES):
            if self._closing:
                raise self._closed_error()
            try:
                async for key in self._transport.keys(pattern):
                    if key not in seen:
                        seen.add(key)
                        yield key
                return
            except DRIVER_ERRORS as error:
                if tried == _TRIES - 1 or not worth_another_try(error):
                    raise self._error(failure("scan", error, outcome="failed")) from error
            await self._clock.sleep(_BACKOFF.delay(tried))

    def in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that `aclose` waits for."""
        return self._pending.in_background(work)

    async def aclose(self) -> None:
        """Refuse new calls and wait for pending ones; the transport stays open."""
        self._closing = True
        try:
            await self._pending.wait()
        finally:
            self._closed = True

    async def _try_again(
        self,
        call: Callable[[], Awaitable[Any]],
        failed: Exception,
        *,
        handled: BaseException | None,
        doing: str,
        compares: bool = False,
    ) -> Any:
        try:
            answer, doubt = await repeated(
                call,
                judge=partial(judged, doing=doing, handled=handled),
                backoff=_BACKOFF,
                clock=self._clock,
                errors=DRIVER_ERRORS,
                failed=failed,
            )
        except BackendError as error:
            raise self._error(error) from error.__cause__
        if compares and doubt is not None and not answer:
            raise self._error(in_doubt(doing)) from doubt
        return answer

    def _closed_error(self) -> Exception:
        return self._error(ClosedError("the Redis client was closed; connect again"))

    def _error(self, error: BackendError) -> Exception:
        return error if self._translated is None else self._translated(error)


class PendingCalls:
    """Counts calls and background tasks, as a context manager of each call."""

    def __init__(self) -> None:
        self._calls = 0
        # Keeps background tasks from being garbage-collected while they run.
        self._tasks: set[asyncio.Task[Any]] = set()
        self._all_ended: asyncio.Future[None] | None = None

    def __enter__(self) -> None:
        self._calls += 1

    def __exit__(self, *_: object) -> None:
        self._calls -= 1
        self._notify()

    def in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that counts as a pending call immediately, even before it first runs."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def wait(self) -> None:
        """Wait until no call is pending."""
        while self._calls or self._tasks:
            if self._all_ended is None:
                self._all_ended = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._all_ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._notify()

    def _notify(self) -> None:
        if self._all_ended is not None and not self._calls and not self._tasks:
            self._all_ended.set_result(None)
            self._all_ended = None

"""Calls to a server: repeated where that is safe, traced, and failing with the caller's errors."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Final, Self, TypeVar

from arvo_time import SYSTEM_CLOCK, BackendError, Backoff, Clock, ClosedError, repeated
from arvo_time.settings import check_clock, check_flag
from arvo_time.telemetry import client_span

from ._connect import ConnectionSettings, TransportName, open_transport
from ._failure import DRIVER_ERRORS, failure, in_doubt, judged, worth_another_try
from ._redis_py import RedisClient, RedisPyTransport
from ._subscription import OnMessage, Subscription
from ._transport import Script, Transport, Word

T = TypeVar("T")

_SCOPE: Final = "arvo_redis"
_TRIES: Final = 3
_FIVE_SECONDS: Final = timedelta(seconds=5)
# Commands that change nothing, as far as they are asked for.
_READS: Final = frozenset(("EXISTS", "HGET", "HMGET", "PING"))
_BACKOFF: Final = Backoff(
    initial=timedelta(milliseconds=10), maximum=timedelta(milliseconds=100), factor=4
)


class Server:
    """The server behind a transport, for one user of the transport.

    Get one from `connect`, or pass a client of your own.

    Args:
        client: Carries the calls; it stays open. A client of redis-py must return bytes and must not
            repeat calls by itself. Another `Server` lends its transport, read-only if it is.
        clock: For the pauses between tries.
        translated: Returns what to raise instead of a `BackendError`; None raises that as it is.

    Raises:
        TypeError: The client is not one of redis-py's asyncio clients, or `clock` is not a `Clock`.
        ValueError: The client would damage bytes or hide lost replies.
    """

    def __init__(
        self,
        client: "RedisClient | Transport | Server",
        *,
        clock: Clock = SYSTEM_CLOCK,
        translated: Callable[[BackendError], Exception] | None = None,
    ) -> None:
        transport = _transport_of(client)
        self.transport: Final = transport
        """Carries the calls."""
        self._read_only = isinstance(client, Server) and client.read_only
        self._clock = check_clock(clock)
        self._translated = translated
        self._attributes = {"db.system.name": "redis", **transport.attributes}
        self.ordered: Final = transport.ordered
        """See `Transport.ordered`."""
        self.clustered: Final = transport.clustered
        """See `Transport.clustered`."""
        self._pending = PendingCalls()
        self._closing = self._closed = False
        self._owned = AsyncExitStack()  # opened by `connect`
        self._closing_owned = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str,
        *,
        transport: TransportName = "auto",
        max_connections: int = 50,
        socket_timeout: timedelta = _FIVE_SECONDS,
        read_only: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> AsyncIterator[Self]:
        """Connect to a server or Cluster for as long as the block lasts.

        Close each `Server` that shares this one within the block, which waits for its calls in flight:
        at the end of the block, redis-py aborts them.

        Args:
            url: `redis://host:port/db`, `rediss://` for TLS, or `unix://path?db=0`, with any other
                option that redis-py reads from a URL. One node of a Cluster is enough.
            transport: What carries calls. `multiplexed`: one connection to one server for all tasks.
                `redis-py`: its client with a pool of connections. `auto`: redis-py for a Cluster,
                otherwise multiplexed.
            max_connections: How many calls redis-py may have pending, 1 to 10,000; others wait.
            socket_timeout: How long to wait for a connection, and how long a server may send nothing
                while an answer is outstanding; through redis-py, how long a call may take. Above 0, at
                most a day.
            read_only: Whether to refuse what writes: scripts that say so, and all commands but those that
                are known to write nothing. The server is told nothing.
            clock: For pauses and timeouts.

        Raises:
            ValueError: redis-py does not understand the URL, or the URL asks for decoded replies or an
                encoding other than UTF-8, leads to a Sentinel, or leads to a Cluster with
                `transport="multiplexed"`; there is no such transport; or a number or timeout is too
                small or too large.
            TypeError: `socket_timeout` is not a timedelta, `max_connections` is not an int, `read_only`
                not a bool, or `clock` is not a `Clock`.
            BackendError: The server cannot be reached or, `retryable` being false, refuses the login.
        """
        check_flag(read_only, name="read_only")
        settings = ConnectionSettings(
            url=url,
            transport=transport,
            max_connections=max_connections,
            timeout=socket_timeout,
            clock=clock,
        )
        async with AsyncExitStack() as stack:
            opening = open_transport(
                settings, ask=lambda opened, command: cls(opened, clock=clock).ask(command)
            )
            server = cls(await stack.enter_async_context(opening), clock=clock)
            server._read_only = read_only
            server._owned = stack.pop_all()
        try:
            yield server
        finally:
            await server.aclose()

    @property
    def read_only(self) -> bool:
        """Whether what writes is refused."""
        return self._read_only

    def check_writable(self, doing: str) -> None:
        """Check that something may be written.

        Args:
            doing: What is about to write, for the error.

        Raises:
            BackendError: This was opened read-only.
        """
        if self._read_only:
            raise self._error(
                BackendError(
                    f"the connection to Redis was opened read-only; {doing} needs one that is not",
                    retryable=False,
                    outcome="failed",
                )
            )

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Make several calls count as one, which `aclose` waits for as a whole.

        While this closes, an operation that has begun goes on with its scripts that have
        `while_closing`.

        Raises:
            ClosedError: This was closed, or is closing.
        """
        if self._closing:
            raise self._closed_error()
        with self._pending:
            yield

    async def run(self, script: Script, key: str, *arguments: Word) -> Any:
        """Run a script, and run it again after a broken connection, which changes nothing twice.

        Raises:
            BackendError: The server failed, or this is read-only and the script writes. Or a script that
                compares refused the second time, and may have succeeded the first time: other writers
                may have followed.
            ClosedError: This was closed. While it closes, only scripts with `while_closing` run.
        """
        # No span: nothing is sent.
        if self._closing and (self._closed or not script.while_closing):
            raise self._closed_error()
        if script.writes:
            self.check_writable(script.name)
        with (
            client_span(
                "EVALSHA", scope=_SCOPE, attributes=self._attributes, procedure=script.name
            ),
            self._pending,
        ):
            handled = sys.exception()
            try:
                return await self.transport.run(script, key, *arguments)
            except DRIVER_ERRORS as error:
                failed = error
            return await self._try_again(
                lambda: self.transport.run(script, key, *arguments),
                failed,
                handled=handled,
                doing=script.name,
                compares=script.compares,
            )

    async def ask(self, command: str, *words: Word) -> Any:
        """Send a command that may run twice; raises as `run` does."""
        if self._closing:
            raise self._closed_error()
        if command not in _READS:
            self.check_writable(command)
        with (
            client_span(command, scope=_SCOPE, attributes=self._attributes),
            self._pending,
        ):
            handled = sys.exception()
            try:
                return await self.transport.send(command, *words)
            except DRIVER_ERRORS as error:
                failed = error
            return await self._try_again(
                lambda: self.transport.send(command, *words),
                failed,
                handled=handled,
                doing=f"answer {command}",
            )

    async def keys(self, pattern: str) -> AsyncGenerator[bytes, None]:
        """Yield all keys that match a pattern, each once; raises as `run` does."""
        seen: set[bytes] = set()
        for tried in range(_TRIES):
            if self._closing:
                raise self._closed_error()
            try:
                async for key in self.transport.keys(pattern):
                    if key not in seen:
                        seen.add(key)
                        yield key
                return
            except DRIVER_ERRORS as error:
                if tried == _TRIES - 1 or not worth_another_try(error):
                    raise self._error(failure("scan", error, outcome="failed")) from error
            await self._clock.sleep(_BACKOFF.delay(tried))

    def subscription(self, *, on_message: OnMessage) -> Subscription:
        """Return what listens to channels, over a connection of its own; close it yourself.

        Args:
            on_message: Receives the channel and each message; None instead of a message says that the
                subscription begins, or begins again. It must not raise.
        """
        return Subscription(self.transport.pubsub, on_message=on_message, clock=self._clock)

    def in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that `aclose` waits for."""
        return self._pending.in_background(work)

    async def aclose(self) -> None:
        """Refuse new calls, wait for pending ones, and close what `connect` opened. Idempotent."""
        self._closing = True
        try:
            await self._pending.wait()
        finally:
            self._closed = True
            async with self._closing_owned:  # concurrent calls of aclose() wait for the end too
                await self._owned.aclose()

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


def _transport_of(client: RedisClient | Transport | Server) -> Transport:
    if isinstance(client, Server):
        return client.transport
    return client if isinstance(client, Transport) else RedisPyTransport(client)


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

"""One connection on which commands are pipelined."""

import asyncio
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Self, cast

from hiredis import ProtocolError, Reader
from redis.exceptions import (
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError as RedisTimeoutError,
)
from typing_extensions import override

from arvo_time import Clock, ClockTimer

from ._endpoint import Endpoint
from ._failure import ConnectionLostError, NotConnectedError
from ._in_flight_limit import InFlightLimit
from ._resp import encode_request, reply_error

_MOST_COMMANDS: Final = 1_000
_MOST_BYTES: Final = 32 * 1024 * 1024
_KEEP_ALIVE: Final = timedelta(seconds=30)
_PING: Final = encode_request(("PING",))


class Connection(asyncio.Protocol):
    """Sends commands in the order of the calls, and receives their replies in the same order.

    A call on an idle connection is written immediately; calls on a busy one that are made within one
    turn of the event loop are written together. A cancelled call keeps its place in the order, so
    that no other call gets its reply. When the connection ends, all calls in flight fail. Get one
    from `open`.
    """

    def __init__(self, endpoint: Endpoint, *, clock: Clock) -> None:
        self._endpoint = endpoint
        self._limit = InFlightLimit(commands=_MOST_COMMANDS, n_bytes=_MOST_BYTES)
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(replyError=reply_error)
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._in_flight: deque[tuple[asyncio.Future[Any], int]] = deque()
        self._last_received = clock.monotonic()
        self._liveness_timer: ClockTimer | None = None
        self._closing = False
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._end_reason = "the connection was closed"
        self.ended = False
        """Whether it refuses further calls."""

    @classmethod
    async def open(cls, endpoint: Endpoint, *, clock: Clock) -> Self:
        """Connect and log in.

        Args:
            endpoint: The server, and how to log in.
            clock: For timeouts.

        Raises:
            NotConnectedError: The server cannot be reached, does not answer in time, or ends the
                connection.
            RedisError: The server refuses the login.
        """
        connection = cls(endpoint, clock=clock)
        try:
            async with clock.timeout(endpoint.connect_timeout):
                await connection._connect()
                await connection._log_in()
        except (OSError, ConnectionLostError, RedisTimeoutError) as error:
            connection._end(ConnectionLostError, "the connection was abandoned")
            raise NotConnectedError(
                f"cannot connect to {endpoint.name}: {type(error).__name__}: {error}"
            ) from error
        except BaseException:
            connection._end(ConnectionLostError, "the connection was abandoned")
            raise
        return connection

    def call(self, request: bytes) -> Awaitable[Any]:
        """Send an encoded command, once the limits allow it, and wait for its reply.

        Returns:
            The reply: bytes, an int, None, or a list of these.

        Raises:
            NotConnectedError: The connection had ended already.
            ConnectionLostError: It ended before the reply came.
            TimeoutError: redis-py's; the server has sent nothing for too long.
            RedisError: The reply is an error.
        """
        if not self.ended and self._limit.try_enter(len(request)):
            return self._send(request)
        return self._send_later(request)

    async def aclose(self) -> None:
        """Close it when all calls in flight are answered, or immediately when this is cancelled."""
        self._closing = True
        self.ended = True
        if not self._in_flight:
            self._close()
        try:
            await asyncio.shield(self._closed)
        finally:
            self.abort()

    def abort(self) -> None:
        """Close it immediately; what is in flight fails. Idempotent."""
        self._end(ConnectionLostError, "the connection was closed")

    # --- called by asyncio --------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._last_received = self._clock.monotonic()
        if self.ended:  # ended while connecting
            self._transport.abort()
        else:
            self._check_liveness()

    @override
    def eof_received(self) -> None:
        self._end(ConnectionLostError, "the server closed the connection")

    @override
    def data_received(self, data: bytes) -> None:
        self._last_received = self._clock.monotonic()
        answered = n_bytes = 0
        demoted = False
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                if not self._in_flight:
                    self._end(
                        ConnectionLostError, f"the server sent an unexpected reply: {reply!s:.100}"
                    )
                    break
                waiting, size = self._in_flight.popleft()
                answered += 1
                n_bytes += size
                if not waiting.done():
                    if isinstance(reply, RedisError):
                        waiting.set_exception(reply)
                        demoted = demoted or isinstance(reply, ReadOnlyError)
                    else:
                        waiting.set_result(reply)
        except ProtocolError as error:
            self._end(ConnectionLostError, f"the server does not speak RESP: {error}", error)
        self._limit.leave(answered, n_bytes)
        if demoted:
            # Its name may lead to the new master by now, which only a new connection can find.
            self._end(ConnectionLostError, "the server has become a replica")
        if self._closing and not self._in_flight:
            self._close()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._end(ConnectionLostError, "the server closed the connection", exc)
        if not self._closed.done():
            self._closed.set_result(None)

    # ------------------------------------------------------------------------

    async def _connect(self) -> None:
        here = self._endpoint
        tls = here.ssl
        ending = None if tls is None else here.reply_timeout.total_seconds()
        if here.path is not None:
            await self._loop.create_unix_connection(lambda: self, here.path)
        else:
            await self._loop.create_connection(
                lambda: self, here.host, here.port, ssl=tls, ssl_shutdown_timeout=ending
            )

    async def _log_in(self) -> None:
        requests = [encode_request(words) for words in self._endpoint.login()]
        await asyncio.gather(*map(self.call, requests), self._ping())

    async def _ping(self) -> None:
        # Something that accepts connections need not be a server that answers.
        with suppress(ResponseError):  # such as a missing permission, which is an answer too
            await self.call(_PING)

    async def _send_later(self, request: bytes) -> Any:
        await self._limit.enter(len(request))
        if self.ended:
            self._limit.leave(1, len(request))
            raise NotConnectedError(f"{self._end_reason} ({self._endpoint.name})")
        return await self._send(request)

    def _send(self, request: bytes) -> asyncio.Future[Any]:
        reply: asyncio.Future[Any] = self._loop.create_future()
        if not self._in_flight:
            self._last_received = self._clock.monotonic()
            self._write(request)
        else:
            if not self._unsent:
                self._loop.call_soon(self._flush)
            self._unsent.append(request)
        self._in_flight.append((reply, len(request)))
        return reply

    def _flush(self) -> None:
        self._write(b"".join(self._unsent))
        self._unsent.clear()

    def _write(self, data: bytes) -> None:
        assert self._transport is not None, "write before connect"  # noqa: S101
        self._transport.write(data)  # drops it once the connection is going down

    def _check_liveness(self) -> None:
        """Check that the server still answers; called by a timer."""
        allowed = self._endpoint.reply_timeout
        silent = self._silent
        if self._in_flight and silent >= allowed:
            self._end(RedisTimeoutError, f"no reply within {allowed.total_seconds():g} s")
            return
        if not self._in_flight and silent >= _KEEP_ALIVE and self._limit.try_enter(len(_PING)):
            # Firewalls drop idle connections, and this one may be dead.
            self._send(_PING).add_done_callback(asyncio.Future.exception)
        left = allowed - self._silent if self._in_flight else allowed
        self._liveness_timer = self._clock.call_later(min(left, _KEEP_ALIVE), self._check_liveness)

    @property
    def _silent(self) -> timedelta:
        return timedelta(seconds=self._clock.monotonic() - self._last_received)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _end(self, kind: type[RedisError], reason: str, cause: BaseException | None = None) -> None:
        if not self.ended:
            self.ended, self._end_reason = True, reason
        if self._liveness_timer is not None:
            self._liveness_timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        failed, self._in_flight = self._in_flight, deque()
        sent = len(failed) - len(self._unsent)
        self._unsent.clear()
        self._limit.leave(len(failed), sum(size for _, size in failed))
        for number, (waiting, _) in enumerate(failed):
            if not waiting.done():
                # One error per call: raising an error changes its traceback.
                lost = kind if number < sent else NotConnectedError
                error = lost(f"{reason} ({self._endpoint.name})")
                error.__cause__ = cause
                waiting.set_exception(error)

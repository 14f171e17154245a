"""One connection for all calls, as a transport."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from redis.exceptions import NoScriptError
from typing_extensions import override

from arvo_time import Backoff, Clock

from ._connection import Connection
from ._endpoint import Endpoint
from ._failure import NotConnectedError
from ._resp import encode_request
from ._transport import Script, Transport, Word

_RECONNECT: Final = Backoff(initial=timedelta(milliseconds=10), maximum=timedelta(seconds=1))


class MultiplexedTransport(Transport):
    """Commands of any number of tasks over one connection to one server.

    When the connection is lost, the calls in flight fail. The next call makes a new connection, after
    a pause that grows with each failed try.
    """

    def __init__(self, endpoint: Endpoint, *, clock: Clock, open_pubsub: Callable[[], Any]) -> None:
        """Do not connect yet: the first call does.

        Args:
            endpoint: The server, and how to log in.
            clock: For pauses and timeouts.
            open_pubsub: Returns a `PubSub` of redis-py that is not connected.
        """
        self._endpoint = endpoint
        self._open_pubsub = open_pubsub
        self._clock = clock
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._tries = 0
        self._closed = False

    @property
    @override
    def attributes(self) -> dict[str, str | int]:
        return self._endpoint.attributes

    @property
    @override
    def ordered(self) -> bool:
        return True

    @property
    @override
    def clustered(self) -> bool:
        return False

    @override
    async def run(self, script: Script, key: str, *arguments: Word) -> Any:
        try:
            return await self.send("EVALSHA", script.sha, 1, key, *arguments)
        except NoScriptError:
            return await self.send("EVAL", script.source, 1, key, *arguments)

    @override
    def send(self, command: str, *words: Word) -> Awaitable[Any]:
        request = encode_request((command, *words))
        connection = self._connection
        if connection is None or connection.ended:
            return self._connect_and_send(request)
        return connection.call(request)

    @override
    async def keys(self, pattern: str) -> AsyncIterator[bytes]:
        cursor: Word = 0
        while True:
            cursor, found = await self.send("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            for key in found:
                yield key
            if cursor == b"0":
                return

    @override
    def pubsub(self) -> Any:
        return self._open_pubsub()

    async def aclose(self) -> None:
        """Close the connection when the calls in flight are answered; further calls are refused."""
        self._closed = True
        try:
            if self._connecting is not None:
                self._connecting.cancel()
                await asyncio.wait([self._connecting])
            if self._connection is not None:
                await self._connection.aclose()
        finally:
            # Cancelled before it got there: the connection may have been made a moment ago.
            if self._connection is not None:
                self._connection.abort()

    async def _connect_and_send(self, request: bytes) -> Any:
        connection = await self._connected()
        return await connection.call(request)

    async def _connected(self) -> Connection:
        if self._closed:
            raise NotConnectedError("the transport was closed")
        # In a task of its own, as many callers wait for it, and each of them may be cancelled.
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._has_connected)
        task = self._connecting
        await asyncio.wait([task])
        if task.cancelled():
            raise NotConnectedError("the transport was closed meanwhile")
        error = task.exception()
        if error is None:
            return task.result()
        # One error per caller: raising an error changes its traceback.
        own = type(error)(*error.args)
        own.__cause__ = error.__cause__
        raise own

    async def _connect(self) -> Connection:
        if self._tries:
            await self._clock.sleep(_RECONNECT.delay(self._tries - 1))
        self._tries += 1
        self._connection = await Connection.open(self._endpoint, clock=self._clock)
        # Not 0, so that the clients of a server that restarts do not all come back together.
        self._tries = 1
        return self._connection

    def _has_connected(self, task: asyncio.Task[Connection]) -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # marks it as retrieved, as no caller may be waiting any more

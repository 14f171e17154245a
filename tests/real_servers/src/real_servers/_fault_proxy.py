"""A TCP proxy that breaks connections where a test needs it."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from ssl import SSLContext
from typing import Literal, Self

_CHUNK = 65_536


@dataclass(slots=True, kw_only=True, eq=False)
class Fault:
    """A cut that will happen, or has happened."""

    side: Literal["request", "reply"]
    """Direction of the bytes that are cut."""
    containing: bytes
    """Bytes that a request must contain to set the fault off."""
    after: int
    """How many such requests pass first."""
    n_bytes: int
    """How many bytes pass before the cut."""
    happened: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the connection was cut, so that a test can wait for it."""


@dataclass(slots=True, eq=False)
class _Connection:
    client: StreamWriter
    server: StreamWriter
    fault: Fault | None = None
    """The fault that a request of this connection has set off."""

    def cut(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()


class FaultProxy:
    """Forwards bytes between clients and a server, whatever the protocol; made by `open`.

    A fault is armed beforehand and hits one connection: the first whose request sets it off. Bytes
    that arrive in one piece count as one request, so clients must not pipeline for exact counts.
    """

    def __init__(self, *, host: str, port: int, unix_path: Path | None) -> None:
        self.delay = timedelta(0)
        """How long each piece is delayed, in either direction."""
        self.piece_size = _CHUNK
        """How many bytes of a reply are forwarded at a time, 1 or more."""
        self.refusing = False
        """Whether new connections are cut immediately."""
        self.connections = 0
        """How many connections were accepted in all."""
        self.accepted = asyncio.Event()
        """Set when the first connection was accepted."""
        self.host = "127.0.0.1"
        """The address for clients."""
        self._target = (host, port, unix_path)
        self._flow = asyncio.Event()
        self._flow.set()
        self._faults: list[Fault] = []
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        unix_path: Path | None = None,
        ssl: SSLContext | None = None,
    ) -> AsyncIterator[Self]:
        """Listen on loopback within the block.

        Args:
            host: The server's host.
            port: The server's port.
            unix_path: The server's unix socket, instead of `host` and `port`.
            ssl: Use TLS with clients; the connection to the server has none.
        """
        proxy = cls(host=host, port=port, unix_path=unix_path)
        proxy._listener = await asyncio.start_server(proxy._accept, proxy.host, 0, ssl=ssl)
        try:
            yield proxy
        finally:
            await proxy._aclose()

    @property
    def port(self) -> int:
        """The port for clients."""
        assert self._listener is not None, "made by FaultProxy.open"
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    def lose_next_request(
        self, *, containing: bytes = b"", after: int = 0, n_bytes: int = 0
    ) -> Fault:
        """Cut the connection when a request arrives, before the server has all of it.

        Args:
            containing: Bytes that the request must contain.
            after: How many such requests pass first.
            n_bytes: How many bytes of the request to forward.
        """
        return self._arm("request", containing, after, n_bytes)

    def lose_next_reply(self, *, containing: bytes = b"", after: int = 0) -> Fault:
        """Forward a request and cut the connection instead of forwarding the reply.

        By then the server has handled the request. Arguments as for `lose_next_request`.
        """
        return self._arm("reply", containing, after, 0)

    def cut_reply_after(self, n_bytes: int, *, containing: bytes = b"", after: int = 0) -> Fault:
        """Do the same as `lose_next_reply`, but cut after `n_bytes` of the reply."""
        return self._arm("reply", containing, after, n_bytes)

    def cut_all(self) -> None:
        """Cut every connection now."""
        for connection in list(self._open):
            connection.cut()

    def pause(self) -> None:
        """Forward nothing and cut nothing, like a network that drops packets."""
        self._flow.clear()

    def resume(self) -> None:
        """Forward again, beginning with what arrived meanwhile."""
        self._flow.set()

    def _arm(
        self, side: Literal["request", "reply"], containing: bytes, after: int, n_bytes: int
    ) -> Fault:
        fault = Fault(side=side, containing=containing, after=after, n_bytes=n_bytes)
        self._faults.append(fault)
        return fault

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections += 1
        self.accepted.set()
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the server has ended, or the proxy closes: the client sees its connection end
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        if self.refusing:
            return
        host, port, unix_path = self._target
        if unix_path is not None:
            server_reader, server_writer = await asyncio.open_unix_connection(unix_path)
        else:
            server_reader, server_writer = await asyncio.open_connection(host, port)
        for each in (writer, server_writer):
            # drain() waits until everything is sent, as a cut drops the rest. TLS has no such wait.
            if each.get_extra_info("ssl_object") is None:
                each.transport.set_write_buffer_limits(high=0)
        connection = _Connection(writer, server_writer)
        self._open.add(connection)
        try:
            # When one side ends, both do: no protocol here uses half-closed connections.
            both = [
                asyncio.ensure_future(self._forward_requests(connection, reader)),
                asyncio.ensure_future(self._forward_replies(connection, server_reader)),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)
        finally:
            self._open.discard(connection)
            connection.cut()

    async def _forward_requests(self, connection: _Connection, reader: StreamReader) -> None:
        while piece := await self._read(reader):
            fault = connection.fault or self._set_off(piece)
            connection.fault = fault
            if fault is not None and fault.side == "request":
                await _send(connection.server, piece[: fault.n_bytes])
                self._cut(connection, fault)
                return
            await _send(connection.server, piece)

    async def _forward_replies(self, connection: _Connection, reader: StreamReader) -> None:
        while piece := await self._read(reader):
            fault = connection.fault
            if fault is not None and fault.side == "reply":
                passed, fault.n_bytes = piece[: fault.n_bytes], fault.n_bytes - len(piece)
                await _send(connection.client, passed)
                if fault.n_bytes <= 0:
                    self._cut(connection, fault)
                    return
            else:
                await self._send_in_pieces(connection.client, piece)

    async def _read(self, reader: StreamReader) -> bytes:
        piece = await reader.read(_CHUNK)
        await self._flow.wait()
        if self.delay:
            await asyncio.sleep(self.delay.total_seconds())
        return piece

    async def _send_in_pieces(self, writer: StreamWriter, reply: bytes) -> None:
        for start in range(0, len(reply), self.piece_size):
            await _send(writer, reply[start : start + self.piece_size])
            if self.piece_size < len(reply):
                # A client in this loop must get its turn, or it reads all pieces as one.
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    def _set_off(self, piece: bytes) -> Fault | None:
        for fault in self._faults:
            if fault.containing in piece:
                if fault.after == 0:
                    self._faults.remove(fault)
                    return fault
                fault.after -= 1
        return None

    def _cut(self, connection: _Connection, fault: Fault) -> None:
        connection.cut()
        fault.happened.set()

    async def _aclose(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listener.wait_closed()


async def _send(writer: StreamWriter, piece: bytes) -> None:
    if not piece:
        return
    with suppress(ConnectionError):  # then reading ends as well
        writer.write(piece)
        await writer.drain()

"""The faulty network: what is cut, and what has arrived by then."""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import trustme
from typing_extensions import override

from real_servers import FaultProxy


class Upper:
    """A server that answers each line in capitals and remembers what it got."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.partial = b""

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while (line := await reader.readline()).endswith(b"\n"):
                self.lines.append(line)
                writer.write(line.upper())
                await writer.drain()
            self.partial = line
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def opened(
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[FaultProxy, Upper]]:
    upper = Upper()
    server = await asyncio.start_server(upper.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, FaultProxy.open(port=port, ssl=context) as proxy:
        yield proxy, upper


class Client:
    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def connect(cls, proxy: FaultProxy) -> AsyncIterator["Client"]:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def ask(self, line: bytes) -> bytes:
        """Return what came back before the connection ended or the line did."""
        self.writer.write(line)
        try:
            return await self.reader.readline()
        except ConnectionError:
            return b""


async def test_it_forwards_both_ways() -> None:
    async with opened() as (proxy, _), Client.connect(proxy) as client:
        assert await client.ask(b"one\n") == b"ONE\n"
        assert await client.ask(b"x" * 60_000 + b"\n") == b"X" * 60_000 + b"\n"


async def test_a_lost_reply_is_of_a_request_that_arrived() -> None:
    async with opened() as (proxy, upper), Client.connect(proxy) as client:
        assert await client.ask(b"one\n") == b"ONE\n"
        fault = proxy.lose_next_reply()
        assert await client.ask(b"two\n") == b""
        assert fault.happened.is_set()
        assert upper.lines == [b"one\n", b"two\n"]


async def test_a_lost_request_never_arrives() -> None:
    async with opened() as (proxy, upper), Client.connect(proxy) as client:
        fault = proxy.lose_next_request()
        assert await client.ask(b"one\n") == b""
        assert fault.happened.is_set()
        assert upper.lines == []


async def test_a_reply_is_cut_after_so_many_bytes() -> None:
    async with opened() as (proxy, upper), Client.connect(proxy) as client:
        fault = proxy.cut_reply_after(2)
        assert await client.ask(b"one\n") == b"ON"
        assert fault.happened.is_set()
        assert upper.lines == [b"one\n"]


async def test_a_fault_waits_for_its_request() -> None:
    async with opened() as (proxy, _), Client.connect(proxy) as client:
        fault = proxy.lose_next_reply(containing=b"COMMIT", after=1)
        assert await client.ask(b"SELECT\n") == b"SELECT\n"
        assert await client.ask(b"COMMIT 1\n") == b"COMMIT 1\n"
        assert not fault.happened.is_set()
        assert await client.ask(b"COMMIT 2\n") == b""
        assert fault.happened.is_set()


async def test_a_fault_hits_once() -> None:
    async with opened() as (proxy, _):
        proxy.lose_next_reply()
        async with Client.connect(proxy) as client:
            assert await client.ask(b"one\n") == b""
        async with Client.connect(proxy) as client:
            assert await client.ask(b"two\n") == b"TWO\n"


async def test_all_connections_can_be_cut_now() -> None:
    async with opened() as (proxy, _), Client.connect(proxy) as one, Client.connect(proxy) as two:
        await one.ask(b"one\n")
        await two.ask(b"two\n")
        proxy.cut_all()
        assert await one.ask(b"one\n") == b""
        assert await two.ask(b"two\n") == b""


async def test_new_connections_can_be_refused() -> None:
    async with opened() as (proxy, _):
        async with Client.connect(proxy) as old:
            await old.ask(b"one\n")
            proxy.refusing = True
            async with Client.connect(proxy) as new:
                assert await new.ask(b"two\n") == b""
            assert await old.ask(b"three\n") == b"THREE\n"
        proxy.refusing = False
        async with Client.connect(proxy) as new:
            assert await new.ask(b"four\n") == b"FOUR\n"


async def test_a_paused_proxy_swallows_and_cuts_nothing() -> None:
    async with opened() as (proxy, upper), Client.connect(proxy) as client:
        await client.ask(b"one\n")
        proxy.pause()
        waiting = asyncio.ensure_future(client.ask(b"two\n"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.05)
        assert upper.lines == [b"one\n"]
        proxy.resume()
        assert await waiting == b"TWO\n"


async def test_replies_can_come_in_small_pieces() -> None:
    async with opened() as (proxy, _):
        proxy.piece_size = 1
        pieces: list[bytes] = []
        whole = asyncio.Event()

        class Collector(asyncio.Protocol):
            @override
            def data_received(self, data: bytes) -> None:
                pieces.append(data)
                if data.endswith(b"\n"):
                    whole.set()

        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(Collector, proxy.host, proxy.port)
        transport.write(b"one two three\n")
        await whole.wait()
        transport.abort()
        assert b"".join(pieces) == b"ONE TWO THREE\n"
        assert len(pieces) > 7


async def test_clients_can_be_spoken_to_by_tls() -> None:
    authority = trustme.CA()
    offered = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(offered)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    async with opened(offered) as (proxy, _):
        assert proxy.accepted.is_set() is False
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port, ssl=trusted)
        writer.write(b"one\n")
        assert await reader.readline() == b"ONE\n"
        assert proxy.accepted.is_set()
        writer.transport.abort()


async def test_a_delay_holds_every_piece_back() -> None:
    async with opened() as (proxy, _), Client.connect(proxy) as client:
        proxy.delay = timedelta(milliseconds=20)
        before = asyncio.get_running_loop().time()
        assert await client.ask(b"one\n") == b"ONE\n"
        assert asyncio.get_running_loop().time() - before >= 0.04


async def test_a_server_that_is_gone_ends_the_connection() -> None:
    async with FaultProxy.open(port=1) as proxy, Client.connect(proxy) as client:
        assert await client.ask(b"one\n") == b""

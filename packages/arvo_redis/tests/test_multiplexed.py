"""One connection for all: each reply reaches its call, whatever happens to calls and sockets."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from random import Random

import pytest
from real_servers.fixtures import StartRedis
from redis.exceptions import ConnectionError as RedisConnectionError, TimeoutError as RedisTimeout
from typing_extensions import override

from arvo_redis._endpoint import Endpoint
from arvo_redis._failure import NotConnectedError
from arvo_redis._multiplexed import MultiplexedTransport
from arvo_redis._redis_py import redis_py_client
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.testing import FakeClock
from real_servers import FaultProxy, RedisServer

from .proxies import turns, url_of

CANCELLED = 10_000 if os.environ.get("ARVO_FULL") == "1" else 2_000
SECOND = timedelta(seconds=1)
LONGEST_FIRST_PAUSE = timedelta(milliseconds=10)
EIGHT_MIB = 8 * 1024 * 1024


@asynccontextmanager
async def opened(url: str, *, clock: Clock = SYSTEM_CLOCK) -> AsyncIterator[MultiplexedTransport]:
    endpoint = Endpoint.of(redis_py_client(url, connect_timeout=5 * SECOND), timeout=5 * SECOND)
    async with aclosing(
        MultiplexedTransport(endpoint, clock=clock, open_pubsub=pytest.fail)
    ) as transport:
        yield transport


@asynccontextmanager
async def through_proxy(
    server: RedisServer, *, clock: Clock = SYSTEM_CLOCK
) -> AsyncIterator[tuple[MultiplexedTransport, FaultProxy]]:
    async with (
        FaultProxy.open(port=server.port) as proxy,
        opened(url_of(proxy), clock=clock) as transport,
    ):
        yield transport, proxy


class ImpatientClock(FakeClock):
    """Records the pauses and does not make them."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[timedelta] = []

    @override
    async def sleep(self, delay: timedelta) -> None:
        self.pauses.append(delay)


async def echo(transport: MultiplexedTransport, text: str) -> str:
    reply: bytes = await transport.send("ECHO", text)
    return reply.decode()


class TestReplies:
    @pytest.mark.scaled
    async def test_no_call_gets_a_wrong_reply_when_calls_are_cancelled_at_random(
        self, redis_url: str
    ) -> None:
        random = Random(5)
        answered = cancelled = 0
        async with opened(redis_url) as transport:
            while cancelled < CANCELLED:
                texts = [f"call-{answered + cancelled + each}" for each in range(100)]
                tasks = [asyncio.ensure_future(echo(transport, text)) for text in texts]
                await turns(random.randrange(4))
                for task in random.sample(tasks, 70):
                    task.cancel()
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
                for text, outcome in zip(texts, outcomes, strict=True):
                    if isinstance(outcome, asyncio.CancelledError):
                        cancelled += 1
                    else:
                        assert outcome == text
                        answered += 1
        print(f"{cancelled} calls cancelled, {answered} answered, no wrong reply")  # noqa: T201 - the figure of the run

    async def test_all_tasks_share_one_connection(self, start_redis: StartRedis) -> None:
        async with through_proxy(start_redis()) as (transport, proxy):
            texts = [f"call-{each}" for each in range(500)]
            assert await asyncio.gather(*(echo(transport, text) for text in texts)) == texts
            assert proxy.connections == 1

    async def test_an_error_reply_reaches_only_its_own_caller(self, redis_url: str) -> None:
        async with opened(redis_url) as transport:
            outcomes = await asyncio.gather(
                echo(transport, "one"),
                transport.send("NOSUCHCOMMAND"),
                echo(transport, "two"),
                return_exceptions=True,
            )
            assert (outcomes[0], outcomes[2]) == ("one", "two")
            assert "NOSUCHCOMMAND" in str(outcomes[1])


class TestLostConnections:
    async def test_a_call_fails_when_the_server_closes_inside_its_reply(
        self, start_redis: StartRedis
    ) -> None:
        """At every byte of the reply; the next call works."""
        reply = b"$8\r\nabcdefgh\r\n"
        async with through_proxy(start_redis()) as (transport, proxy):
            for n_bytes in range(1, len(reply)):
                assert await echo(transport, "fine") == "fine"
                proxy.cut_reply_after(n_bytes, containing=b"abcdefgh")
                with pytest.raises(RedisConnectionError):
                    await echo(transport, "abcdefgh")
            assert await echo(transport, "fine") == "fine"
            assert proxy.connections == len(reply)

    async def test_every_call_in_flight_fails_with_an_unknown_outcome(
        self, start_redis: StartRedis
    ) -> None:
        async with through_proxy(start_redis()) as (transport, proxy):
            assert await echo(transport, "fine") == "fine"
            proxy.pause()
            calls = [asyncio.ensure_future(echo(transport, str(each))) for each in range(20)]
            await turns(5)
            proxy.cut_all()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(each).__name__ for each in outcomes} == {"ConnectionLostError"}
            assert len({id(each) for each in outcomes}) == 20

    async def test_many_callers_share_each_try_to_connect(self) -> None:
        clock = ImpatientClock()
        async with opened("redis://127.0.0.1:1", clock=clock) as transport:
            for pauses in range(3):
                outcomes = await asyncio.gather(
                    *(echo(transport, "fine") for _ in range(50)), return_exceptions=True
                )
                assert {type(each) for each in outcomes} == {NotConnectedError}
                assert len({id(each) for each in outcomes}) == 50
                assert len(clock.pauses) == pauses  # one before each try but the first

    @pytest.mark.parametrize("accepting", [False, True])
    async def test_pauses_between_failed_tries_to_connect_grow(
        self, start_redis: StartRedis, accepting: bool
    ) -> None:
        """Even if something accepts connections without a server behind it."""
        clock = ImpatientClock()
        async with FaultProxy.open(port=start_redis().port) as proxy:
            proxy.refusing = True
            url = url_of(proxy) if accepting else "redis://127.0.0.1:1"
            async with opened(url, clock=clock) as transport:
                for _ in range(30):
                    with pytest.raises(NotConnectedError):
                        await echo(transport, "fine")
        pauses = clock.pauses
        assert len(pauses) == 29  # none before the first try
        assert pauses[0] <= LONGEST_FIRST_PAUSE
        assert timedelta(milliseconds=100) < max(pauses[8:]) <= SECOND

    async def test_a_caller_cancelled_while_connecting_does_not_cancel_others(
        self, start_redis: StartRedis
    ) -> None:
        async with through_proxy(start_redis()) as (transport, proxy):
            one, two = (asyncio.ensure_future(echo(transport, name)) for name in ("one", "two"))
            await turns(2)
            one.cancel()
            assert await two == "two"
            assert proxy.connections == 1


class TestTime:
    async def test_a_server_that_falls_silent_is_given_up(self, start_redis: StartRedis) -> None:
        clock = FakeClock()
        async with through_proxy(start_redis(), clock=clock) as (transport, proxy):
            assert await echo(transport, "fine") == "fine"
            clock.advance(4 * SECOND)
            proxy.pause()
            calls = [asyncio.ensure_future(echo(transport, "lost")) for _ in range(3)]
            await turns(3)
            clock.advance(4.9 * SECOND)
            await turns(3)
            assert not any(call.done() for call in calls)
            clock.advance(0.1 * SECOND)
            for call in calls:
                with pytest.raises(RedisTimeout, match="no reply within 5 s"):
                    await call
            proxy.resume()
            call = asyncio.ensure_future(echo(transport, "fine"))
            await turns(2)
            clock.advance(LONGEST_FIRST_PAUSE)
            assert await call == "fine"
            assert proxy.connections == 2

    async def test_a_server_that_does_not_answer_the_login_is_given_up(
        self, start_redis: StartRedis
    ) -> None:
        clock = FakeClock()
        async with FaultProxy.open(port=start_redis().port) as proxy:
            proxy.pause()
            async with opened(f"{url_of(proxy)}/3", clock=clock) as transport:
                call = asyncio.ensure_future(echo(transport, "fine"))
                await proxy.accepted.wait()
                clock.advance(5 * SECOND)
                with pytest.raises(NotConnectedError, match="cannot connect to"):
                    await call

    async def test_an_idle_connection_is_kept_alive(self, start_redis: StartRedis) -> None:
        server, clock = start_redis(), FakeClock()
        async with opened(server.url, clock=clock) as transport:
            assert await echo(transport, "fine") == "fine"
            for _ in range(5):
                clock.advance(5 * SECOND)
                await turns(2)
            assert "cmdstat_ping:calls=1," in await stats(transport)  # from when it connected
            for _ in range(6):
                clock.advance(5 * SECOND)
                await turns(2)
            assert "cmdstat_ping:calls=2," in await stats(transport)


async def stats(transport: MultiplexedTransport) -> str:
    found: bytes = await transport.send("INFO", "commandstats")
    return found.decode()


class TestBackPressure:
    async def test_no_more_than_a_thousand_calls_are_in_flight(self) -> None:
        server = CountingServer()
        async with server.listening() as url, opened(url) as transport:
            calls = [asyncio.ensure_future(echo(transport, "x")) for _ in range(2_500)]
            await server.received(1_000)
            await turns(20)
            assert server.commands == 1_000
            server.answer(400)
            await server.received(1_400)
            await turns(20)
            assert server.commands == 1_400
            server.answer(1_000)
            await server.received(2_400)
            server.answer(1_000)
            await server.received(2_500)
            server.answer(100)
            assert set(await asyncio.gather(*calls)) == {"x"}

    async def test_no_more_than_32_mib_of_requests_are_in_flight(self) -> None:
        server = CountingServer()
        async with server.listening() as url, opened(url) as transport:
            text = "x" * EIGHT_MIB
            calls = [asyncio.ensure_future(echo(transport, text)) for _ in range(5)]
            await server.received(3)
            assert unwritten(transport) == 0  # a fourth would not fit into what the system buffers
            assert server.commands == 3
            server.answer(3)
            await server.received(5)
            server.answer(2)
            assert set(await asyncio.gather(*calls)) == {"x"}


def unwritten(transport: MultiplexedTransport) -> int:
    connection = transport._connection
    assert connection is not None
    assert connection._transport is not None
    return connection._transport.get_write_buffer_size()


class CountingServer:
    """Counts the commands it gets, and answers when the test allows it; a PING immediately."""

    def __init__(self) -> None:
        self.commands = 0
        self._more = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        async with await asyncio.start_server(self._count, "127.0.0.1", 0) as listener:
            yield f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}"

    async def received(self, commands: int) -> None:
        while self.commands < commands:
            self._more.clear()
            await self._more.wait()

    def answer(self, replies: int) -> None:
        assert self._writer is not None
        self._writer.write(b"$1\r\nx\r\n" * replies)

    async def _count(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        try:
            while head := await reader.readline():
                words = [await self._word(reader) for _ in range(int(head[1:]))]
                if words == [b"PING"]:
                    writer.write(b"+PONG\r\n")
                else:
                    self.commands += 1
                    self._more.set()
        finally:
            writer.close()

    async def _word(self, reader: asyncio.StreamReader) -> bytes:
        size = int((await reader.readline())[1:])
        return (await reader.readexactly(size + 2))[:-2]


class TestClosing:
    async def test_closing_waits_for_the_calls_in_flight(self, start_redis: StartRedis) -> None:
        async with through_proxy(start_redis()) as (transport, proxy):
            assert await echo(transport, "fine") == "fine"
            proxy.pause()
            calls = [asyncio.ensure_future(echo(transport, str(each))) for each in range(10)]
            calls[3].cancel()
            await turns(3)
            closing = asyncio.ensure_future(transport.aclose())
            await turns(10)
            assert not closing.done()
            proxy.resume()
            await closing
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert [str(each) for each in outcomes] == [
                "" if each == 3 else str(each) for each in range(10)
            ]

    async def test_closing_is_immediate_when_it_is_cancelled(self, start_redis: StartRedis) -> None:
        async with through_proxy(start_redis()) as (transport, proxy):
            assert await echo(transport, "fine") == "fine"
            proxy.pause()
            call = asyncio.ensure_future(echo(transport, "lost"))
            await turns(3)
            closing = asyncio.ensure_future(transport.aclose())
            await turns(3)
            closing.cancel()
            with pytest.raises(RedisConnectionError, match="closed"):
                await call
            with pytest.raises(asyncio.CancelledError):
                await closing

    async def test_closing_cancelled_right_after_connecting_leaves_nothing_open(
        self, start_redis: StartRedis
    ) -> None:
        async with through_proxy(start_redis()) as (transport, _):
            call = asyncio.ensure_future(echo(transport, "lost"))
            await turns(1)
            while not (transport._connecting is not None and transport._connecting.done()):  # noqa: ASYNC110
                await asyncio.sleep(0)
            closing = transport.aclose()  # in this turn of the loop; a task would start too late
            closing.send(None)
            with pytest.raises(asyncio.CancelledError):
                closing.throw(asyncio.CancelledError())
            assert transport._connection is not None
            assert transport._connection.ended
            with pytest.raises(RedisConnectionError, match="closed"):
                await call

    async def test_closing_while_connecting_leaves_nothing_open(
        self, start_redis: StartRedis
    ) -> None:
        async with through_proxy(start_redis()) as (transport, proxy):
            call = asyncio.ensure_future(echo(transport, "fine"))
            await turns(2)
            await transport.aclose()
            with pytest.raises(NotConnectedError, match="closed"):
                await call
            assert proxy.connections <= 1

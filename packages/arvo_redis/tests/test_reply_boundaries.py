"""Replies are read as the driver reads them, whatever pieces their bytes come in."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given, strategies as st
from redis._parsers import Encoder
from redis._parsers.resp2 import _AsyncRESP2Parser
from redis.exceptions import RedisError
from typing_extensions import override

from arvo_redis._connection import Connection
from arvo_redis._endpoint import Endpoint
from arvo_redis._failure import ConnectionLostError, NotConnectedError
from arvo_redis._redis_py import redis_py_client
from arvo_redis._resp import error_code
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.testing import FakeClock

SECONDS: Final = timedelta(seconds=5)
ENDPOINT: Final = Endpoint.of(
    redis_py_client("redis://nowhere", connect_timeout=SECONDS), timeout=SECONDS
)
ERRORS: Final = (
    "ERR max number of clients reached", "ERR unknown command", "LOADING Redis is loading",
    "MASTERDOWN Link with MASTER is down", "NOAUTH Authentication required.",
    "NOPERM no permissions", "NOSCRIPT No matching script.", "OOM command not allowed",
    "TRYAGAIN Multiple keys", "WRONGPASS invalid pair",
    "CLUSTERDOWN Hash slot not served", "WRONGTYPE Operation against a key", "BUSY running a script",
)  # fmt: skip

lines = st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=20)


def error_line(text: str) -> bytes:
    return b"-%s\r\n" % text.encode()


leaves = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(lambda number: b":%d\r\n" % number),
    lines.map(lambda text: b"+%s\r\n" % text.encode()),
    st.binary(max_size=60).map(lambda data: b"$%d\r\n%s\r\n" % (len(data), data)),
    st.sampled_from([b"$-1\r\n", b"*-1\r\n", b"$0\r\n\r\n", b"*0\r\n"]),
    # The driver stops inside a list at errors that concern the connection.
    st.sampled_from(["NOSCRIPT No matching script.", "WRONGTYPE Operation"]).map(error_line),
)
replies = st.sampled_from(ERRORS).map(error_line) | st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4).map(
        lambda items: b"*%d\r\n%s" % (len(items), b"".join(items))
    ),
    max_leaves=8,
)


async def as_the_driver_reads(stream: bytes, *, number: int) -> list[object]:
    reader = asyncio.StreamReader()
    reader.feed_data(stream)
    reader.feed_eof()
    parser: Any = _AsyncRESP2Parser(socket_read_size=65_536)
    parser._stream, parser._connected = reader, True
    encoder: Any = Encoder
    parser.encoder = encoder("utf-8", "strict", decode_responses=False)
    return [await outcome_of(parser.read_response(disable_decoding=True)) for _ in range(number)]


class Sink(asyncio.Transport):
    """A transport whose requests the tests answer themselves."""

    @override
    def write(self, data: object) -> None:
        pass

    @override
    def abort(self) -> None:
        pass


def connected(clock: Clock = SYSTEM_CLOCK) -> Connection:
    connection = Connection(ENDPOINT, clock=clock)
    connection.connection_made(Sink())
    return connection


async def as_we_read(pieces: list[bytes], *, number: int) -> list[object]:
    connection = connected()
    waiting = [connection.call(b"request") for _ in range(number)]
    for piece in pieces:
        connection.data_received(piece)
    found = [await outcome_of(call) for call in waiting]
    connection.connection_lost(None)
    return found


async def outcome_of(call: Awaitable[object]) -> object:
    try:
        return comparable(await call)
    except RedisError as error:
        return comparable(error)


def comparable(reply: object) -> object:
    if isinstance(reply, list):
        return [comparable(each) for each in reply]
    if isinstance(reply, RedisError):
        text = str(reply)
        if "max number of clients" in text:
            return "refused"  # this package has a class of its own for it
        return (type(reply).__name__, text.removeprefix(f"{first_word(text)} "))
    return reply


def first_word(text: str) -> str:
    """Return the word that the driver drops from errors that it knows, and this package keeps."""
    word = text.partition(" ")[0]
    return word if word.isupper() else ""


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    return [stream[start:end] for start, end in pairwise(ends)]


@given(st.lists(replies, min_size=1, max_size=6), st.lists(st.integers(0, 2_000), max_size=20))
async def test_replies_are_those_that_the_driver_reads(
    stream: list[bytes], places: list[int]
) -> None:
    whole = b"".join(stream)
    ours = await as_we_read(cut(whole, places), number=len(stream))
    assert ours == await as_the_driver_reads(whole, number=len(stream))


async def test_a_cut_at_every_byte_changes_nothing() -> None:
    stream = [
        b"*4\r\n:1\r\n$1\r\n3\r\n$4\r\njson\r\n$18\r\n{\"text\":\"\\r\\n$5\"} \r\n",
        b"*2\r\n:0\r\n:29876\r\n", b"$2\r\nok\r\n", b"$-1\r\n", b"*2\r\n$-1\r\n*0\r\n",
        b"-NOSCRIPT No matching script.\r\n", b"+PONG\r\n",
    ]  # fmt: skip
    whole = b"".join(stream)
    expected = await as_we_read([whole], number=len(stream))
    for place in range(1, len(whole)):
        assert await as_we_read([whole[:place], whole[place:]], number=len(stream)) == expected
    assert await as_we_read([bytes([each]) for each in whole], number=len(stream)) == expected


async def test_an_unexpected_reply_ends_the_connection() -> None:
    connection = connected()
    connection.data_received(b"+hello\r\n")
    assert connection.ended
    with pytest.raises(RedisError, match="sent an unexpected reply"):
        await connection.call(b"request")


@pytest.mark.parametrize("text", [*ERRORS, "READONLY You can't write", "CUSTOM words"])
async def test_an_error_reply_becomes_the_drivers_exception(text: str) -> None:
    stream = error_line(text)
    assert await as_we_read([stream], number=1) == await as_the_driver_reads(stream, number=1)


async def test_a_connection_that_is_slow_to_open_sends_no_ping() -> None:
    """Otherwise the first caller would get the reply to it."""
    clock = FakeClock()
    connection = Connection(ENDPOINT, clock=clock)
    clock.advance(timedelta(minutes=2))
    connection.connection_made(Sink())
    one, two = connection.call(b"one"), connection.call(b"two")
    connection.data_received(b"+1\r\n+2\r\n")
    assert [await one, await two] == [b"1", b"2"]
    connection.connection_lost(None)


async def test_a_call_that_was_not_sent_when_the_connection_ended_has_failed() -> None:
    connection = connected()
    sent, unsent = connection.call(b"one"), connection.call(b"two")  # two waits for its turn
    connection.connection_lost(None)
    with pytest.raises(ConnectionLostError):
        await sent
    with pytest.raises(NotConnectedError):
        await unsent


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("READONLY You can't write against a read only replica.", "READONLY"),
        # As Redis 6.2 words errors inside a script.
        (
            "ERR Error running script (call to f_0a1b): @user_script:9: -READONLY You can't write.",
            "READONLY",
        ),
        ("ERR Error running script (call to f_0a1b): @user_script:9: attempt to index", "ERR"),
        ("", ""),
    ],
)
def test_the_kind_of_an_error_inside_a_script_is_its_own(text: str, code: str) -> None:
    assert error_code(text) == code

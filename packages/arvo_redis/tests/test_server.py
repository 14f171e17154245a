"""What a server does with calls that fail, and with calls while it closes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from typing_extensions import override

from arvo_redis import Script, Server
from arvo_redis._redis_py import RedisPyTransport
from arvo_redis._transport import Word
from arvo_time import SYSTEM_CLOCK, BackendError, ClosedError
from arvo_time.testing import FakeClock

from .driver_errors import every_error
from .proxies import turns

TAKE = Script(name="take", source="return 1")
LEAVE = Script(name="leave", source="return 1", while_closing=True)


class Unlucky(RedisPyTransport):
    """Fails in a way that a real network does only at certain moments."""

    def __init__(self, errors: Iterable[Exception]) -> None:
        super().__init__(Redis(retry=Retry(NoBackoff(), 0)))
        self._errors = iter(errors)

    @override
    async def send(self, command: str, *words: Word) -> Any:
        raise next(self._errors)

    @override
    async def run(self, script: Script, key: str, *arguments: Word) -> Any:
        raise next(self._errors)

    @override
    async def keys(self, pattern: str) -> AsyncIterator[bytes]:
        for error in self._errors:
            raise error
        yield b""


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_reply_that_is_lost_after_a_refused_connection_is_unknown(lost: int) -> None:
    """Each try is judged by itself, although to Python the first is the others' context."""
    refused = RedisConnectionError("cannot connect")
    refused.__cause__ = ConnectionRefusedError()
    errors = [refused, *(RedisConnectionError("closed by server") for _ in range(lost)), refused]
    server = Server(Unlucky(errors), clock=SYSTEM_CLOCK)
    with pytest.raises(BackendError) as caught:
        await server.ask("UNLINK", "order-7")
    assert caught.value.outcome == "unknown"


NOT_OURS = {"ChildDeadlockedError", "IncorrectPolicyType"}  # of parts that are not used
KINDS = [kind for kind in every_error() if kind.__name__ not in NOT_OURS]


class HurriedClock(FakeClock):
    """A clock that does not pause."""

    @override
    async def sleep(self, delay: timedelta) -> None:
        pass


@pytest.mark.parametrize(
    "kind",
    [*KINDS, OSError, TimeoutError, ConnectionResetError],
    ids=lambda kind: f"{kind.__module__}.{kind.__name__}",
)
@pytest.mark.parametrize(
    "call",
    [
        lambda server: server.run(LEAVE, "key"),
        lambda server: server.ask("GET", "key"),
        lambda server: all_keys(server),
    ],
    ids=["run", "ask", "keys"],
)
async def test_every_exception_of_the_driver_becomes_a_backend_error(
    kind: type[Exception], call: Callable[[Server], Awaitable[object]]
) -> None:
    error = kind.__new__(kind)  # some constructors parse what a server says
    error.args = ("as the server says it",)
    server = Server(Unlucky([error] * 3), clock=HurriedClock())
    with pytest.raises(BackendError) as caught:
        await call(server)
    assert caught.value.__cause__ is error


async def all_keys(server: Server) -> list[bytes]:
    return [key async for key in server.keys("*")]


async def test_a_user_of_the_server_may_have_its_own_errors() -> None:
    lost = RedisConnectionError("closed by server")

    class OwnError(Exception):
        pass

    server = Server(
        Unlucky([lost] * 3), clock=HurriedClock(), translated=lambda error: OwnError(str(error))
    )
    with pytest.raises(OwnError, match=r"could not answer GET.*it may have happened") as caught:
        await server.ask("GET", "key")
    assert caught.value.__cause__ is lost
    await server.aclose()
    with pytest.raises(OwnError, match="was closed"):
        await server.ask("GET", "key")


class Held(RedisPyTransport):
    """Answers when the test allows it, and records what was run."""

    def __init__(self) -> None:
        super().__init__(Redis(retry=Retry(NoBackoff(), 0)))
        self.answer = asyncio.Event()
        self.ran: list[str] = []

    @override
    async def run(self, script: Script, key: str, *arguments: Word) -> Any:
        self.ran.append(script.name)
        await self.answer.wait()
        return 1


async def test_while_a_server_closes_only_scripts_that_give_back_are_run() -> None:
    transport = Held()
    server = Server(transport)
    taking = asyncio.ensure_future(server.run(TAKE, "key"))
    await turns(1)
    closing = asyncio.ensure_future(server.aclose())
    await turns(1)
    with pytest.raises(ClosedError):
        await server.run(TAKE, "key")
    leaving = asyncio.ensure_future(server.run(LEAVE, "key"))
    await turns(1)
    assert not closing.done()
    transport.answer.set()
    assert await taking == await leaving == 1
    await closing
    with pytest.raises(ClosedError):
        await server.run(LEAVE, "key")
    assert transport.ran == ["take", "leave"]


async def test_closing_waits_for_background_tasks() -> None:
    transport = Held()
    server = Server(transport)
    task = server.in_background(server.run(LEAVE, "key"))
    closing = asyncio.ensure_future(server.aclose())
    await turns(3)
    assert not closing.done()
    transport.answer.set()
    await closing
    assert task.done()


async def test_a_script_that_compares_and_is_refused_after_a_lost_reply_is_in_doubt() -> None:
    server = Server(Refusing([RedisConnectionError("closed")]), clock=HurriedClock())
    with pytest.raises(BackendError, match="the stored data has changed since") as caught:
        await server.run(Script(name="swap", source="return 0", compares=True), "key")
    assert (caught.value.retryable, caught.value.outcome) == (True, "unknown")
    server = Server(Refusing([RedisConnectionError("closed")]), clock=HurriedClock())
    assert await server.run(Script(name="swap", source="return 0"), "key") == 0


class Refusing(RedisPyTransport):
    """Fails a number of times and answers 0 afterwards."""

    def __init__(self, errors: Iterable[Exception]) -> None:
        super().__init__(Redis(retry=Retry(NoBackoff(), 0)))
        self._errors = iter(errors)

    @override
    async def run(self, script: Script, key: str, *arguments: Word) -> Any:
        for error in self._errors:
            raise error
        return 0

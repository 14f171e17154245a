"""Tells an orchestrator, over HTTP, how a worker is."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from pydantic_core import to_json

from arvo_cli._errors import CommandError, os_reason

from ._health_request import MAX_HEAD_BYTES, HealthRequestError, read_request
from ._life import Stage, WorkerLife

_PLACE: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]/\s]+)):(?P<port>\d{1,5})"
)
_PATIENCE: Final = 5.0
"""How long a request and its response may take, in seconds."""
_AT_ONCE: Final = 32
"""How many connections are open at a time."""


def health_place(text: str) -> tuple[str, int]:
    """Read where to listen.

    Args:
        text: Such as `127.0.0.1:8080` or `[::1]:8080`; port 0 takes any that is free.

    Raises:
        CommandError: It is not a host and a port.

    Example:
        >>> health_place("[::]:8080")
        ('::', 8080)
    """
    found = _PLACE.fullmatch(text)
    if found is None or int(found["port"]) > 65_535 or not _is_host(found["v6"] or found["host"]):
        raise CommandError(
            f"--health takes HOST:PORT, such as 127.0.0.1:8080, or 0.0.0.0:8080 to be asked from "
            f"other machines; not {text!r}"
        )
    return found["v6"] or found["host"], int(found["port"])


@asynccontextmanager
async def serving_health(
    place: tuple[str, int], *, life: WorkerLife, status: Callable[[], object]
) -> AsyncIterator[int]:
    """Answer questions after the health of a worker within the block, which gets the port.

    `/live` is 200 while the event loop turns; `/ready` is 200 while the worker is ready, else 503 with
    the state and the reason; `/status` is what `status` returns, as JSON.

    Args:
        place: Host and port.
        life: Of the worker.
        status: Returns what is to be shown.

    Raises:
        CommandError: Nobody can listen there.
    """
    answers = _Answers(life, status)
    host, port = place
    try:
        server = await asyncio.start_server(answers.accept, host, port, limit=MAX_HEAD_BYTES)
    except OSError as error:
        raise CommandError(
            f"--health: cannot listen at {host}:{port}: {os_reason(error)}"
        ) from error
    async with server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await answers.end()


def _is_host(name: str) -> bool:
    try:
        name.encode("idna")  # as a look-up of the name does it
    except UnicodeError:
        return False
    return True


class _Answers:
    def __init__(self, life: WorkerLife, status: Callable[[], object]) -> None:
        self._life = life
        self._status = status
        self._waiting: dict[asyncio.Task[None], None] = {}  # the oldest first
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = False

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection; at the limit in place of the one that has waited longest."""
        if self._ended:
            writer.transport.abort()
            return
        if len(self._waiting) >= _AT_ONCE:
            oldest = next(iter(self._waiting))
            self._waiting.pop(oldest)
            oldest.cancel()
        task = asyncio.create_task(self._serve(reader, writer))
        self._waiting[task] = None
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    async def end(self) -> None:
        """Close all connections, and accept no more."""
        self._ended = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._waiting.pop(task, None)
        self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                writer.write(await self._response(reader))
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError):
            pass  # whoever asked has gone, or never asked
        finally:
            writer.transport.abort()

    async def _response(self, reader: asyncio.StreamReader) -> bytes:
        try:
            method, path = await read_request(reader)
        except HealthRequestError as error:
            return _encoded(error.status, {"error": error.status})
        status, content = self._answer(path)
        return _encoded(status, content, with_body=method == "GET")

    def _answer(self, path: str) -> tuple[str, object]:
        phase = self._life.phase
        shown = {"state": phase.stage.value, "reason": phase.detail}
        match path:
            case "/live":
                return "200 OK", shown
            case "/ready":
                ready = phase.stage is Stage.READY
                return "200 OK" if ready else "503 Service Unavailable", shown
            case "/status":
                return "200 OK", self._status()
        return "404 Not Found", {"error": "ask for /live, /ready or /status"}


def _encoded(status: str, content: object, *, with_body: bool = True) -> bytes:
    body = to_json(content) + b"\n"
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")

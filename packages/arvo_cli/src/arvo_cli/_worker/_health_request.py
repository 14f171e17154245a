"""One request for the health of a worker, read with care."""

import asyncio
from typing import Final

MAX_HEAD_BYTES: Final = 8 * 1024
"""How long a request may be; none has a body."""
_METHODS: Final = frozenset(("GET", "HEAD"))


class HealthRequestError(Exception):
    """A request is refused.

    Args:
        status: Status and reason of the response.
    """

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str]:
    """Read the head of a request, and return its method and its path, without the query.

    Args:
        reader: Its limit is `MAX_HEAD_BYTES`.

    Raises:
        HealthRequestError: It is none, too long, or of another method than GET or HEAD.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise HealthRequestError("400 Bad Request") from error
    except asyncio.LimitOverrunError as error:
        raise HealthRequestError("431 Request Header Fields Too Large") from error
    line = head.partition(b"\r\n")[0]
    parts = line.split(b" ")
    if len(parts) != 3 or not line.isascii() or parts[2] not in (b"HTTP/1.0", b"HTTP/1.1"):
        raise HealthRequestError("400 Bad Request")
    method, target = parts[0].decode(), parts[1].decode()
    if not target.startswith("/"):
        raise HealthRequestError("400 Bad Request")
    if method not in _METHODS:
        raise HealthRequestError("405 Method Not Allowed")
    return method, target.partition("?")[0]

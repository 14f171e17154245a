"""Just enough of the Redis protocol to set up a server without an installed client."""

import socket
from typing import BinaryIO, TypeAlias

RedisReply: TypeAlias = "int | str | list[RedisReply] | None"


class RedisReplyError(RuntimeError):
    """The server answered with an error."""


def redis_command(port: int, *words: str | int, timeout: float = 5) -> RedisReply:
    """Send one command to a server on loopback and return its reply.

    Raises:
        OSError: The server cannot be reached or does not answer within `timeout` seconds.
        RedisReplyError: It answered with an error.
    """
    encoded = [str(word).encode() for word in words]
    request = b"*%d\r\n" % len(encoded)
    request += b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as stream:
            return _read_reply(stream)


def _read_reply(stream: BinaryIO) -> RedisReply:
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the server closed the connection")
    kind, rest = line[:1], line[1:-2].decode()
    match kind:
        case b"+":
            return rest
        case b"-":
            raise RedisReplyError(rest)
        case b":":
            return int(rest)
        case b"$":
            return None if rest == "-1" else stream.read(int(rest) + 2)[:-2].decode()
        case b"*":
            return None if rest == "-1" else [_read_reply(stream) for _ in range(int(rest))]
        case _:
            raise ConnectionError(f"unexpected reply: {line!r}")

"""The wire format: commands as bytes, and error replies as the driver's exceptions."""

from collections.abc import Callable, Mapping
from typing import Final, cast

from hiredis import pack_command
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MaxConnectionsError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from ._transport import Word

encode_request: Final = cast("Callable[[tuple[Word, ...]], bytes]", pack_command)
"""Encodes the words of a command. (The driver's own type allows only one word.)"""

_TOO_MANY_CLIENTS: Final = "ERR max number of clients"
_KINDS: Final[Mapping[str, type[RedisError]]] = {
    "CLUSTERDOWN": ClusterDownError,
    "LOADING": BusyLoadingError,
    "MASTERDOWN": MasterDownError,
    "NOAUTH": AuthenticationError,
    "NOPERM": NoPermissionError,
    "NOSCRIPT": NoScriptError,
    "OOM": OutOfMemoryError,
    "READONLY": ReadOnlyError,
    "TRYAGAIN": TryAgainError,
    "WRONGPASS": AuthenticationError,
}


def reply_error(text: str) -> RedisError:
    """Return the exception for an error reply, with its whole text.

    The first word of the text is the kind of error. Kinds that nothing here depends on become
    `ResponseError`s.
    """
    if text.startswith(_TOO_MANY_CLIENTS):
        return MaxConnectionsError(text)
    return _KINDS.get(error_code(text), ResponseError)(text)


def error_code(text: str) -> str:
    """Return the first word of an error reply, which is its kind.

    For an error inside a script, which Redis wraps before 7.0, it is the kind of the inner error.
    """
    if "Error running script" in text:
        _, found, inner = text.rpartition(": -")
        text = inner if found else text
    return text.partition(" ")[0]

"""What goes over the wire: commands as bytes, error replies as the driver's exceptions."""

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
"""Write the words of a command as the server reads them. (The driver's own type allows one.)"""

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
    """Return the exception for an error reply, with all of its text.

    The first word of the text is the kind of error. Those that nothing here depends on are
    `ResponseError`s.
    """
    if text.startswith(_TOO_MANY_CLIENTS):
        return MaxConnectionsError(text)
    return _KINDS.get(error_code(text), ResponseError)(text)


def error_code(text: str) -> str:
    """Return the first word of an error reply, which is its kind.

    Of an error inside a script it is the kind of that one, which Redis wraps up before 7.0.
    """
    if "Error running script" in text:
        _, found, inner = text.rpartition(": -")
        text = inner if found else text
    return text.partition(" ")[0]

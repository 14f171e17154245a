"""The driver's exceptions in the terms of a machine memory."""

import socket
from ssl import SSLCertVerificationError
from typing import Final, Literal

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterError,
    ConnectionError as RedisConnectionError,
    MaxConnectionsError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError as RedisTimeoutError,
    TryAgainError,
)

from arvo_event_handler import MachineMemoryError

from ._reply_error import error_code

DRIVER_ERRORS: Final = (RedisError, RedisClusterException, OSError)
"""What a transport raises when the server or the way to it fails."""

# What the server refuses before a script's first write, and may not refuse later on.
_PASSING_CODES: Final = frozenset(
    {"BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY"}
)
_PASSING: Final = (
    BusyLoadingError, ClusterError, MaxConnectionsError, OutOfMemoryError, ReadOnlyError,
    RedisClusterException, TryAgainError,
)  # fmt: skip
_NOT_CONNECTED: Final = (
    ConnectionRefusedError, FileNotFoundError, SSLCertVerificationError, socket.gaierror,
)  # fmt: skip


class NotConnectedError(RedisConnectionError):
    """The server could not be reached, so nothing was sent."""


class ConnectionLostError(RedisConnectionError):
    """The connection ended before a reply came."""


def outcome_of(
    error: BaseException, *, handled: BaseException | None
) -> Literal["failed", "unknown"]:
    """Return whether the server cannot have done what it was asked.

    Args:
        error: What the call raised.
        handled: What was being handled when the call was made. Python makes it a part of the
            error's context, although it says nothing about the call.
    """
    if isinstance(error, (AuthenticationError, AuthorizationError, NotConnectedError, *_PASSING)):
        return "failed"
    if isinstance(error, ResponseError):
        # Whatever else fails amid a script, such as a missing right, may come after a write.
        amid = "user_script" in str(error) and error_code(str(error)) not in _PASSING_CODES
        return "unknown" if amid else "failed"
    return "failed" if _never_connected(error, handled=handled) else "unknown"


def worth_another_try(error: BaseException) -> bool:
    """Return whether a quick second try of a repeatable call may go better."""
    if isinstance(error, (AuthenticationError, AuthorizationError, MaxConnectionsError)):
        return False
    # After a timeout the caller has waited long enough.
    return isinstance(error, RedisConnectionError) and not isinstance(
        error.__cause__, (TimeoutError, RedisTimeoutError)
    )


def failure(
    doing: str, error: BaseException, *, outcome: Literal["failed", "unknown"]
) -> MachineMemoryError:
    """Return what a failed call raises, `from` the driver's exception."""
    fate = "nothing was changed" if outcome == "failed" else "it may have happened"
    return MachineMemoryError(
        f"Redis could not {doing}: {type(error).__name__}: {error}; {fate}",
        retryable=outcome == "unknown" or _passing(error),
        outcome=outcome,
    )


def _passing(error: BaseException) -> bool:
    if isinstance(error, (AuthenticationError, AuthorizationError)):
        return False
    if isinstance(error, ResponseError) and error_code(str(error)) in _PASSING_CODES:
        return True
    return isinstance(error, (RedisConnectionError, RedisTimeoutError, OSError, *_PASSING))


def _never_connected(error: BaseException | None, *, handled: BaseException | None) -> bool:
    while error is not None and error is not handled:
        if isinstance(error, _NOT_CONNECTED):
            return True
        error = error.__cause__ or error.__context__
    return False

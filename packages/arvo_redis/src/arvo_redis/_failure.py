"""The driver's exceptions in the terms of a machine memory.

Nothing that a server says ends a workflow: a step is not stored then, and the question is only whether
the next delivery may go on by itself. It may after whatever an operator can mend, such as a right or a
full memory, and after errors that are not known here: a retry costs little. It cannot where our call
is wrong, or the key holds something else than a workflow.
"""

import socket
from ssl import SSLCertVerificationError
from typing import Final, Literal

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterError,
    ConnectionError as RedisConnectionError,
    CrossSlotTransactionError,
    DataError,
    InvalidPipelineStack,
    LockError,
    MaxConnectionsError,
    OutOfMemoryError,
    PubSubError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError as RedisTimeoutError,
    TryAgainError,
    WatchError,
)

from arvo_event_handler import MachineMemoryError, UnreadableRecordError

from ._reply_error import error_code

DRIVER_ERRORS: Final = (RedisError, RedisClusterException, OSError)
"""What a transport raises when the server or the way to it fails."""

_WRONG_TYPE: Final = "WRONGTYPE"
# What the server refuses before a script's first write.
_BEFORE_WRITES: Final = frozenset(
    {
        *("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM"),
        *("READONLY", _WRONG_TYPE),
    }
)
# What another try cannot mend.
_LASTING_CODES: Final = frozenset({"CROSSSLOT", "NOPROTO", _WRONG_TYPE})
_LASTING: Final = (
    ClusterCrossSlotError, CrossSlotTransactionError, DataError, InvalidPipelineStack, LockError,
    PubSubError, WatchError,
)  # fmt: skip
_NOT_SENT: Final = (
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
    if isinstance(error, (AuthenticationError, AuthorizationError, NotConnectedError, *_NOT_SENT)):
        return "failed"
    if isinstance(error, ResponseError):
        # Whatever else fails amid a script, such as a missing right, may come after a write.
        amid = "user_script" in str(error) and error_code(str(error)) not in _BEFORE_WRITES
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
    if outcome == "failed" and _code(error) == _WRONG_TYPE:
        return UnreadableRecordError(f"Redis could not {doing}: the key is no hash: {error}")
    return MachineMemoryError(
        f"Redis could not {doing}: {type(error).__name__}: {error}; {fate}",
        retryable=outcome == "unknown" or _may_pass(error),
        outcome=outcome,
    )


def _may_pass(error: BaseException) -> bool:
    return not isinstance(error, _LASTING) and _code(error) not in _LASTING_CODES


def _code(error: BaseException) -> str | None:
    return error_code(str(error)) if isinstance(error, ResponseError) else None


def _never_connected(error: BaseException | None, *, handled: BaseException | None) -> bool:
    while error is not None and error is not handled:
        if isinstance(error, _NOT_CONNECTED):
            return True
        error = error.__cause__ or error.__context__
    return False

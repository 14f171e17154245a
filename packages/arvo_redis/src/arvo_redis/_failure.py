"""What each exception of the driver means: whether to try again, and what may have happened.

Another try may help after anything that an operator can mend, such as a missing permission or a full
memory, and after errors that are not known here: a retry costs little. It cannot help if our call is
wrong, or the key holds a value of another type.
"""

import socket
from ssl import SSLCertVerificationError
from typing import Final

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

from arvo_time import BackendError, Judgement, Outcome

from ._resp import error_code

DRIVER_ERRORS: Final = (RedisError, RedisClusterException, OSError)
"""What a transport raises when the server or the connection to it fails."""

_WRONG_TYPE: Final = "WRONGTYPE"
# Codes of errors that come before a script's first write.
_BEFORE_WRITES: Final = frozenset(
    {
        *("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM"),
        *("READONLY", _WRONG_TYPE),
    }
)
# What another try cannot mend.
_PERMANENT_CODES: Final = frozenset({"CROSSSLOT", "NOPROTO", _WRONG_TYPE})
_PERMANENT: Final = (
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


class RedisBackendError(BackendError):
    """Redis failed, or refused a call.

    Attributes:
        doing: What Redis was asked to do.
        code: The first word of its error reply, such as WRONGTYPE; None if there was no reply, or
            redis-py has dropped the word.
    """

    def __init__(
        self,
        message: str,
        *,
        doing: str,
        code: str | None,
        retryable: bool,
        outcome: Outcome,
    ) -> None:
        super().__init__(message, retryable=retryable, outcome=outcome)
        self.doing = doing
        self.code = code


class NotConnectedError(RedisConnectionError):
    """The server could not be reached, so nothing was sent."""


class ConnectionLostError(RedisConnectionError):
    """The connection ended before a reply came."""


def outcome_of(error: BaseException, *, handled: BaseException | None) -> Outcome:
    """Return "failed" if the server cannot have done what it was asked, otherwise "unknown".

    Args:
        error: What the call raised.
        handled: The exception that was being handled when the call was made. Python makes it a part
            of the error's context, although it says nothing about the call.
    """
    if isinstance(error, (AuthenticationError, AuthorizationError, NotConnectedError, *_NOT_SENT)):
        return "failed"
    if isinstance(error, ResponseError):
        # Other errors inside a script, such as a missing permission, may come after a write.
        amid = "user_script" in str(error) and error_code(str(error)) not in _BEFORE_WRITES
        return "unknown" if amid else "failed"
    return "failed" if _never_connected(error, handled=handled) else "unknown"


def worth_another_try(error: BaseException) -> bool:
    """Return whether a quick second try of a repeatable call may succeed."""
    if isinstance(error, (AuthenticationError, AuthorizationError, MaxConnectionsError)):
        return False
    # After a timeout the caller has waited long enough.
    return isinstance(error, RedisConnectionError) and not isinstance(
        error.__cause__, (TimeoutError, RedisTimeoutError)
    )


def judged(error: Exception, *, doing: str, handled: BaseException | None) -> Judgement:
    """Return what the error of one try means.

    Args:
        error: What the transport raised.
        doing: What Redis was asked to do.
        handled: See `outcome_of`.
    """
    return Judgement(
        outcome=outcome_of(error, handled=handled),
        again=worth_another_try(error),
        translated=lambda outcome: failure(doing, error, outcome=outcome),
    )


def failure(doing: str, error: BaseException, *, outcome: Outcome) -> RedisBackendError:
    """Return what a failed call raises, with the driver's exception as its cause."""
    effect = "nothing was changed" if outcome == "failed" else "it may have happened"
    failed = RedisBackendError(
        f"Redis could not {doing}: {type(error).__name__}: {error}; {effect}",
        doing=doing,
        code=_code(error),
        retryable=outcome == "unknown" or _may_pass(error),
        outcome=outcome,
    )
    failed.__cause__ = error
    return failed


def in_doubt(doing: str) -> BackendError:
    """Return what a call raises that was repeated and then refused: its first try may have worked."""
    return BackendError(
        f"the answer of Redis to a {doing} was lost, and the stored data has changed since: whether "
        f"the {doing} came before that is unknown; deliver again",
        retryable=True,
        outcome="unknown",
    )


def _may_pass(error: BaseException) -> bool:
    return not isinstance(error, _PERMANENT) and _code(error) not in _PERMANENT_CODES


def _code(error: BaseException) -> str | None:
    code = error_code(str(error)) if isinstance(error, ResponseError) else ""
    return code if code.isupper() else None


def _never_connected(error: BaseException | None, *, handled: BaseException | None) -> bool:
    while error is not None and error is not handled:
        if isinstance(error, _NOT_CONNECTED):
            return True
        error = error.__cause__ or error.__context__
    return False

"""What each exception of nats-py means: whether to try again, and what may have happened."""

from collections.abc import Coroutine
from typing import Any, Final

from nats import errors
from nats.js import errors as js_errors

from arvo_time import Outcome
from arvo_transport import TransportClosedError, TransportError

DRIVER_ERRORS: Final = (errors.Error, OSError)
"""What nats-py raises when the server or the connection to it fails."""

# Nothing was sent, or the server refused it.
_FAILED: Final = (
    errors.AuthorizationError, errors.BadHeaderError, errors.BadSubjectError,
    errors.BadSubscriptionError, errors.ConnectionClosedError, errors.ConnectionDrainingError,
    errors.ConnectionReconnectingError, errors.InvalidCallbackTypeError,
    errors.InvalidUserCredentialsError, errors.MaxPayloadError, errors.MsgAlreadyAckdError,
    errors.NoRespondersError, errors.NoServersError, errors.NotJSMessageError,
    errors.OutboundBufferLimitError, errors.SecureConnFailedError, errors.SecureConnRequiredError,
    errors.SecureConnWantedError, errors.ServerNotInPoolError, js_errors.NoStreamResponseError,
    js_errors.TooManyStalledMsgsError, ConnectionRefusedError,
)  # fmt: skip
# What another try cannot mend.
_PERMANENT: Final = (
    errors.AuthorizationError,
    errors.BadHeaderError, errors.BadSubjectError, errors.BadTimeoutError,
    errors.ConnectionClosedError, errors.InvalidCallbackTypeError,
    errors.InvalidUserCredentialsError, errors.MaxPayloadError, errors.MsgAlreadyAckdError,
    errors.NotJSMessageError, errors.SecureConnRequiredError, errors.SecureConnWantedError,
    js_errors.BadBucketError, js_errors.InvalidBucketNameError, js_errors.InvalidKeyError,
)  # fmt: skip
_HALF_DONE: Final = (js_errors.ServerError,)
_STORED_ELSEWHERE: Final = frozenset({10058, 10065})  # a stream of that name or subject
_NO_ROOM: Final = frozenset({10023, 10047, 10077, 10122})
_JETSTREAM_OFF: Final = frozenset({10039, 10076})


def error_code(error: BaseException) -> int | None:
    """Return the number by which JetStream tells its errors apart; None where there is none."""
    code = getattr(error, "err_code", None)  # some of them were made without one
    return code if isinstance(code, int) else None


def is_there_already(error: BaseException) -> bool:
    """Return whether a stream was not made as there is one of its name, or with its subjects.

    nats-server 2.9 says the latter also to one of two that make the same stream at the same time.
    """
    return error_code(error) in _STORED_ELSEWHERE


def outcome_of(error: BaseException) -> Outcome:
    """Return "failed" if the server cannot have done what it was asked, otherwise "unknown"."""
    if isinstance(error, _FAILED):
        return "failed"
    if isinstance(error, js_errors.APIError) and not isinstance(error, _HALF_DONE):
        return "failed"
    return "unknown"


def retryable(error: BaseException) -> bool:
    """Return whether another try may succeed without a change to this program."""
    if isinstance(error, js_errors.APIError):
        if error_code(error) in _STORED_ELSEWHERE | _JETSTREAM_OFF:
            return False
        return not isinstance(error, js_errors.BadRequestError) or error_code(error) in _NO_ROOM
    return not isinstance(error, _PERMANENT)


def transport_error(error: Exception, *, doing: str) -> TransportError:
    """Return what a failed call raises, with the driver's exception as its cause.

    Args:
        error: What nats-py raised.
        doing: What it was asked to do.
    """
    failed: TransportError
    outcome = outcome_of(error)
    if isinstance(error, errors.ConnectionClosedError):
        failed = TransportClosedError("the connection to NATS")
    else:
        effect = "nothing was changed" if outcome == "failed" else "it may have happened"
        failed = TransportError(
            f"NATS could not {doing}: {_reason(error)}; {effect}",
            retryable=outcome == "unknown" or retryable(error),
            outcome=outcome,
        )
    failed.__cause__ = error
    return failed


def not_opened(error: Exception) -> TransportError:
    """Return what is raised when JetStream cannot be used for the first time.

    Where it does not answer then, it is off, and nobody should wait for it; later it may be about to
    come back.

    Args:
        error: What nats-py raised.
    """
    failed = transport_error(error, doing="open the transport")
    if not _is_unanswered(error):
        return failed
    off = TransportError(str(failed), retryable=False, outcome="failed")
    off.__cause__ = error
    return off


def _is_unanswered(error: Exception) -> bool:
    return isinstance(error, js_errors.ServiceUnavailableError) and not error_code(error)


def _reason(error: Exception) -> str:
    if isinstance(error, js_errors.APIError):
        if _is_unanswered(error) or error_code(error) in _JETSTREAM_OFF:
            return "JetStream does not answer: is it enabled, as by `nats-server --jetstream`?"
        return f"{getattr(error, 'description', None) or error} (error {error_code(error)})"
    if isinstance(error, errors.AuthorizationError):
        return "the server refused the credentials"
    return f"{type(error).__name__}: {str(error).removeprefix('nats: ')}"


async def call(said: Coroutine[Any, Any, None], *, doing: str) -> None:
    """Say something to the server.

    Raises:
        TransportError: It could not be said.
    """
    try:
        await said
    except DRIVER_ERRORS as error:
        raise transport_error(error, doing=doing) from error

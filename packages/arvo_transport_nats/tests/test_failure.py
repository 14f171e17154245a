"""Every error of nats-py becomes a TransportError that says what may have happened."""

from typing import Any

import nats.errors
import nats.js.errors
import pytest

from arvo_transport import TransportClosedError, TransportError
from arvo_transport_nats._failure import DRIVER_ERRORS, transport_error


def subclasses(kind: type[Exception]) -> list[type[Exception]]:
    found = {kind}
    for each in kind.__subclasses__():
        found.update(subclasses(each))
    return sorted(found, key=lambda each: (each.__module__, each.__qualname__))


DRIVERS = [kind for kind in subclasses(nats.errors.Error) if kind.__module__.startswith("nats")]

# What was sent may have been done: only the reply is missing, or the server broke off.
IN_DOUBT = {
    *("Error", "TimeoutError", "FlushTimeoutError", "DrainTimeoutError", "FetchTimeoutError"),
    *("StaleConnectionError", "UnexpectedEOF", "ProtocolError", "JsonParseError"),
    *("SlowConsumerError", "BadTimeoutError", "ServerError", "ConsumerSequenceMismatchError"),
    *("InvalidKeyError", "InvalidBucketNameError", "InvalidObjectNameError"),
    *("BadObjectMetaError", "LinkIsABucketError", "DigestMismatchError", "ObjectAlreadyExists"),
    *("KeyValueLimitMarkerTTLNotSupportedError", "NatsError", "ErrTimeout", "ErrDrainTimeout"),
    *("ErrProtocol", "ErrStaleConnection", "ErrJsonParse", "ErrSlowConsumer", "ErrBadTimeout"),
}


def raised(kind: type[Exception]) -> Exception:
    made: Any = kind
    arguments = {
        "SlowConsumerError": ("subject", "reply", 1, None),
        "ErrSlowConsumer": ("subject", "reply", 1, None),
        "MsgAlreadyAckdError": (None,),
        "ConsumerSequenceMismatchError": (1, 2, 3),
    }
    error = made(*arguments.get(kind.__name__, ()))
    assert isinstance(error, Exception)
    return error


@pytest.mark.parametrize("kind", DRIVERS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_each_error_of_the_driver_is_translated(kind: type[Exception]) -> None:
    assert issubclass(kind, DRIVER_ERRORS)
    error = raised(kind)
    translated = transport_error(error, doing="store an event")
    assert translated.__cause__ is error
    assert translated.outcome == ("unknown" if kind.__name__ in IN_DOUBT else "failed")
    if translated.outcome == "unknown":
        assert translated.retryable


@pytest.mark.parametrize("kind", [OSError, ConnectionResetError, TimeoutError])
def test_a_broken_connection_leaves_doubt(kind: type[Exception]) -> None:
    translated = transport_error(kind("lost"), doing="store an event")
    assert (translated.retryable, translated.outcome) == (True, "unknown")
    assert "may have happened" in str(translated)


def test_a_closed_connection_cannot_be_used_again() -> None:
    translated = transport_error(nats.errors.ConnectionClosedError(), doing="store an event")
    assert isinstance(translated, TransportClosedError)


@pytest.mark.parametrize(
    ("code", "err_code", "retryable"),
    [
        pytest.param(400, 10058, False, id="stream-of-that-name"),
        pytest.param(400, 10065, False, id="subjects-of-another-stream"),
        pytest.param(400, 10003, False, id="our-mistake"),
        pytest.param(400, 10077, True, id="no-room"),
        pytest.param(503, 10008, True, id="no-leader"),
        pytest.param(503, 10039, False, id="no-jetstream-for-the-account"),
    ],
)
def test_what_the_server_refuses(code: int, err_code: int, *, retryable: bool) -> None:
    error = nats.js.errors.APIError(code=code, err_code=err_code, description="it says why")
    if code == 400:
        error = nats.js.errors.BadRequestError(
            code=code, err_code=err_code, description="it says why"
        )
    translated = transport_error(error, doing="make a stream")
    assert isinstance(translated, TransportError)
    assert (translated.retryable, translated.outcome) == (retryable, "failed")
    assert "it says why" in str(translated) or "JetStream" in str(translated)

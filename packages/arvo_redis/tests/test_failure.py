"""What each error of redis-py and of a server means."""

import re
from typing import Final

import pytest

from arvo_redis._failure import DRIVER_ERRORS, failure, outcome_of
from arvo_redis._resp import reply_error
from real_servers import RedisFlavour

from .driver_errors import every_error

PASSES: Final = "may pass or be mended: the next delivery tries again"
LASTS: Final = "our call is wrong: not tried again"
DAMAGED: Final = "the key holds another type: not tried again, an operator has to look"
NOT_OURS: Final = "raised by parts of redis-py that are not used"

EXCEPTIONS: Final = {
    "AskError": PASSES,
    "AuthenticationError": PASSES,  # a password that is being changed
    "AuthenticationWrongNumberOfArgsError": PASSES,
    "AuthorizationError": PASSES,
    "BusyLoadingError": PASSES,
    "ChildDeadlockedError": NOT_OURS,
    "ClusterCrossSlotError": LASTS,
    "ClusterDownError": PASSES,
    "ClusterError": PASSES,
    "ConnectionError": PASSES,
    "CrossSlotTransactionError": LASTS,
    "DataError": LASTS,
    "ExecAbortError": PASSES,
    "ExternalAuthProviderError": PASSES,
    "IncorrectPolicyType": NOT_OURS,
    "InvalidPipelineStack": LASTS,
    "InvalidResponse": PASSES,
    "LockError": LASTS,
    "LockNotOwnedError": LASTS,
    "MasterDownError": PASSES,
    "MasterNotFoundError": PASSES,  # of a Sentinel
    "MaxConnectionsError": PASSES,
    "ModuleError": PASSES,
    "MovedError": PASSES,
    "NoPermissionError": PASSES,  # an operator can grant the permission
    "NoScriptError": PASSES,
    "NoSuchFieldsetError": PASSES,
    "OutOfMemoryError": PASSES,
    "PubSubError": LASTS,
    "ReadOnlyError": PASSES,
    "RedisClusterException": PASSES,
    "RedisError": PASSES,
    "ResponseError": PASSES,
    "SlaveNotFoundError": PASSES,  # of a Sentinel
    "SlotNotCoveredError": PASSES,
    "TimeoutError": PASSES,
    "TryAgainError": PASSES,
    "WatchError": LASTS,
}
# The first word of an error reply.
CODES: Final = {
    "ASK": PASSES,
    "BUSY": PASSES,
    "BUSYGROUP": PASSES,
    "BUSYKEY": PASSES,
    "CLUSTERDOWN": PASSES,
    "CROSSSLOT": LASTS,
    "DENIED": PASSES,
    "ERR": PASSES,  # unspecific; proxies send it too
    "EXECABORT": PASSES,
    "INPROG": PASSES,
    "INVALIDOBJ": PASSES,
    "IOERR": PASSES,
    "LOADING": PASSES,
    "MASTERDOWN": PASSES,
    "MISCONF": PASSES,
    "MOVED": PASSES,
    "NOAUTH": PASSES,
    "NOGOODPRIMARY": PASSES,
    "NOGOODSLAVE": PASSES,
    "NOGROUP": PASSES,
    "NOMASTERLINK": PASSES,
    "NOPERM": PASSES,
    "NOPROTO": LASTS,
    "NOQUORUM": PASSES,
    "NOREPLICAS": PASSES,
    "NOSCRIPT": PASSES,
    "NOTBUSY": PASSES,
    "OOM": PASSES,
    "READONLY": PASSES,
    "REDIRECT": PASSES,
    "TRYAGAIN": PASSES,
    "UNBLOCKED": PASSES,
    "UNKILLABLE": PASSES,
    "WRONGPASS": PASSES,
    "WRONGTYPE": DAMAGED,
}
# For codes that a script of ours may meet: whether they come before its first write.
BEFORE_WRITES: Final = {
    *(
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "NOREPLICAS",
        "OOM",
        "READONLY",
    ),
    *("TRYAGAIN", "WRONGTYPE", "NOAUTH", "WRONGPASS"),
}


KINDS: Final = every_error()


def judged(error: Exception) -> str:
    made = failure("commit", error, outcome="failed")
    assert made.__cause__ is error
    if made.code == "WRONGTYPE":
        return DAMAGED
    return PASSES if made.retryable else LASTS


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_exception_of_redis_py_has_a_meaning(kind: type[Exception]) -> None:
    """A class of a new redis-py that the table lacks fails here."""
    meaning = EXCEPTIONS[kind.__name__]
    if meaning == NOT_OURS:
        assert not issubclass(kind, DRIVER_ERRORS)
        return
    assert issubclass(kind, DRIVER_ERRORS)
    error = kind.__new__(kind)  # some constructors parse what a server says
    error.args = ("as the server says it",)
    assert judged(error) == meaning


@pytest.mark.parametrize(
    "error", [TimeoutError(), ConnectionResetError(), ConnectionRefusedError(), BrokenPipeError()]
)
def test_every_exception_of_the_network_has_a_meaning(error: Exception) -> None:
    assert judged(error) == PASSES


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("inside", ["", "7", "6"], ids=["alone", "in-a-script", "before-redis-7"])
def test_every_error_code_has_a_meaning(code: str, inside: str) -> None:
    """By itself, and as servers report it from inside a script."""
    text = {
        "": f"{code} no",
        "7": f"{code} no script: 1a2b, on @user_script:7.",
        "6": f"ERR Error running script (call to f_1a2b): @user_script:7: -{code} no",
    }[inside]
    error = reply_error(text)
    assert judged(error) == CODES[code]
    happened = outcome_of(error, handled=None)
    assert happened == ("unknown" if inside and code not in BEFORE_WRITES else "failed")


def test_every_code_that_a_server_knows_is_in_the_table(redis_flavour: RedisFlavour) -> None:
    """The server's binary holds the beginnings of its error replies."""
    texts = redis_flavour.binary.read_bytes()
    known = {found.decode() for found in re.findall(rb"\0-([A-Z]{2,})[ \r]", texts)}
    assert {"ERR", "WRONGTYPE", "NOPERM", "OOM"} <= known, "there they are"
    assert known <= set(CODES)

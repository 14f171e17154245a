"""What each error of asyncpg and PostgreSQL means."""

import importlib
import pkgutil
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import asyncpg
import pytest

from arvo_postgres._failures import backend_error, is_connection_lost, is_refusal, judged
from arvo_time import BackendError, DamagedError

PASSES: Final = "may pass or be mended: the next delivery tries again"
ELSEWHERE: Final = "another connection may succeed: tried immediately, and by the next delivery"
LASTS: Final = "statement, values or schema are wrong: not tried again"
DAMAGED: Final = "stored data is damaged: not tried again, an operator has to look"
NO_ERROR: Final = "no error"

# By the class of the SQLSTATE, its first two characters.
CLASSES: Final = {
    "01": NO_ERROR,  # warning
    "02": NO_ERROR,  # no data
    "03": LASTS,  # SQL statement not yet complete
    "08": ELSEWHERE,  # connection
    "09": PASSES,  # triggered action: an operator's trigger
    "0A": LASTS,  # feature not supported
    "0B": LASTS,  # invalid transaction initiation
    "0F": LASTS,  # locator
    "0L": LASTS,  # invalid grantor
    "0P": LASTS,  # invalid role specification
    "0Z": PASSES,  # diagnostics: an operator's trigger
    "10": LASTS,  # XQuery
    "20": LASTS,  # case not found
    "21": LASTS,  # cardinality violation
    "22": LASTS,  # data
    "23": PASSES,  # integrity constraint: an operator's, as ours cannot fail
    "24": LASTS,  # invalid cursor state
    "25": PASSES,  # transaction state
    "26": ELSEWHERE,  # prepared statement
    "27": PASSES,  # triggered data change: an operator's trigger
    "28": PASSES,  # login: a password or a permission that is being changed
    "2B": LASTS,  # dependent privileges still exist
    "2D": PASSES,  # invalid transaction termination: an operator's trigger
    "2F": PASSES,  # SQL routine: an operator's trigger
    "34": LASTS,  # invalid cursor name
    "38": PASSES,  # external routine: an operator's trigger
    "39": PASSES,  # external routine invocation: an operator's trigger
    "3B": LASTS,  # savepoint
    "3D": LASTS,  # invalid catalog name
    "3F": LASTS,  # invalid schema name
    "40": PASSES,  # transaction rollback
    "42": LASTS,  # syntax, names
    "44": PASSES,  # with check option: an operator's rule
    "53": PASSES,  # resources
    "54": PASSES,  # program limit; see the test of transaction ids
    "55": PASSES,  # object not in prerequisite state, locks
    "57": PASSES,  # operator intervention
    "58": PASSES,  # system
    "72": PASSES,  # snapshot too old
    "F0": PASSES,  # configuration file
    "HV": PASSES,  # foreign data: another server
    "P0": PASSES,  # PL/pgSQL: an operator's trigger
    "XX": PASSES,  # internal
}
# Errors whose meaning differs from that of their class, and errors without a class.
NAMED: Final = {
    "ActiveSQLTransactionError": ELSEWHERE,
    "AdminShutdownError": ELSEWHERE,
    "CannotConnectNowError": ELSEWHERE,
    "ClientConfigurationError": LASTS,
    "CrashShutdownError": ELSEWHERE,
    "DataCorruptedError": DAMAGED,
    "DatabaseDroppedError": ELSEWHERE,
    "DuplicatePreparedStatementError": ELSEWHERE,
    "FatalPostgresError": PASSES,
    "IdleInTransactionSessionTimeoutError": ELSEWHERE,
    "IdleSessionTimeoutError": ELSEWHERE,
    "InFailedSQLTransactionError": ELSEWHERE,
    "IndexCorruptedError": DAMAGED,
    "InsufficientPrivilegeError": PASSES,
    "InterfaceError": ELSEWHERE,
    "InterfaceWarning": NO_ERROR,
    "InternalClientError": ELSEWHERE,
    "InvalidCachedStatementError": ELSEWHERE,
    "OutdatedSchemaCacheError": ELSEWHERE,
    "PostgresError": PASSES,
    "ProtocolError": ELSEWHERE,
    "ReadOnlySQLTransactionError": ELSEWHERE,
    "TargetServerAttributeNotMatched": ELSEWHERE,
    "UnknownPostgresError": PASSES,  # a SQLSTATE that an operator's trigger has made up
    "UnsupportedClientFeatureError": LASTS,
    "UnsupportedServerFeatureError": LASTS,
}
# Answers that mean that the statement has changed nothing, although the connection is closed.
REFUSED_ELSEWHERE: Final = {
    "ActiveSQLTransactionError",
    "DuplicatePreparedStatementError",
    "InFailedSQLTransactionError",
    "InvalidCachedStatementError",
    "InvalidSQLStatementNameError",
    "ReadOnlySQLTransactionError",
}


def every_error() -> Iterator[type[Exception]]:
    """Yield what `asyncpg.exceptions` has, and what all modules of asyncpg derive from that."""
    for module in pkgutil.walk_packages(asyncpg.__path__, "asyncpg."):
        if "._testbase" not in module.name:  # for the tests of asyncpg itself
            importlib.import_module(module.name)
    bases: list[type[Exception]] = [
        kind
        for kind in vars(asyncpg.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    while bases:
        bases += (kind := bases.pop()).__subclasses__()
        if kind.__module__.partition(".")[0] == "asyncpg":
            yield kind


KINDS: Final = sorted({*every_error()}, key=lambda kind: f"{kind.__module__}.{kind.__name__}")


def meaning_of(kind: type[Exception]) -> str:
    """Return the meaning from the tables; raise a `KeyError` for an error that they lack."""
    if kind is asyncpg.exceptions._base.DataError:
        # Never raised: in asyncpg.exceptions an error of PostgreSQL has the same name.
        return ELSEWHERE
    if kind.__name__ in NAMED:
        return NAMED[kind.__name__]
    return CLASSES[str(vars(kind)["sqlstate"])[:2]]


def read(error: Exception) -> str:
    made = backend_error(error, what="COMMIT", outcome="failed")
    if is_connection_lost(error):
        assert made.retryable
        return ELSEWHERE
    if isinstance(made, DamagedError):
        return DAMAGED
    return PASSES if made.retryable else LASTS


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_error_of_asyncpg_has_a_meaning(kind: type[Exception]) -> None:
    """A class of a new asyncpg that the tables lack fails here."""
    meaning = meaning_of(kind)
    if meaning == NO_ERROR:
        assert not issubclass(kind, asyncpg.PostgresError)
        return
    error = kind("as the server says it")
    assert read(error) == meaning
    answer = issubclass(kind, asyncpg.PostgresError)
    nothing_changed = answer and (meaning != ELSEWHERE or kind.__name__ in REFUSED_ELSEWHERE)
    assert is_refusal(error) is nothing_changed


def test_every_class_of_the_table_is_one_that_asyncpg_knows() -> None:
    """The table has no leftovers."""
    states = {getattr(kind, "sqlstate", None) for kind in KINDS} - {None}
    assert set(CLASSES) == {str(state)[:2] for state in states}
    assert set(NAMED) <= {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (TimeoutError(), PASSES),
        (ConnectionResetError("reset"), ELSEWHERE),
        (ConnectionRefusedError("refused"), ELSEWHERE),
        (BrokenPipeError("broken"), ELSEWHERE),
        (socket.gaierror("no such host"), ELSEWHERE),
        (ssl.SSLError("no certificate"), ELSEWHERE),
        (ValueError("of no driver"), LASTS),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_error_of_the_network_has_a_meaning(error: Exception, meaning: str) -> None:
    assert read(error) == meaning
    assert not is_refusal(error), "whether anything has changed is not known"


def test_damage_does_not_hide_that_a_change_may_have_happened() -> None:
    error = asyncpg.DataCorruptedError("missing chunk")
    made = backend_error(error, what="COMMIT", outcome="unknown")
    assert (type(made), made.retryable, made.outcome) == (BackendError, False, "unknown")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_a_statement_that_was_sent_has_failed_only_when_the_server_refused_it(
    kind: type[Exception],
) -> None:
    error = kind("as the server says it")
    sent = judged(error, what="COMMIT", sent=True)
    assert sent.outcome == ("failed" if is_refusal(error) else "unknown")
    assert sent.again is is_connection_lost(error)
    assert judged(error, what="COMMIT", sent=False).outcome == "failed"
    made = sent.translated("unknown")
    assert isinstance(made, BackendError)
    assert made.outcome == "unknown"

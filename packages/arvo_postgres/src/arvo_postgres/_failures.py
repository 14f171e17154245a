"""What the errors of asyncpg and PostgreSQL mean.

When a statement failed, the question is only whether the same one may be tried again later. It may if
the server, a permission, or a rule or trigger that an operator has put on the table was in the way, and
after errors that are not known here: such obstacles come and go while a system runs, and a retry costs
little. It cannot if our statement, our values or the schema are wrong, or stored data is damaged.

No SQLSTATE means that a value can never be written. 54000, the nearest, also comes from a database that
has no transaction ids left.
"""

from typing import Final

import asyncpg

from arvo_time import BackendError, ClosedError, DamagedError, Judgement, Outcome

# What another try cannot mend, by the first two characters of the SQLSTATE, which are its class; see
# https://www.postgresql.org/docs/current/errcodes-appendix.html.
_PERMANENT_CLASSES: Final = frozenset(
    (
        "03",  # SQL statement not yet complete
        "0A",  # feature not supported
        "0B",  # invalid transaction initiation
        "0F",  # locator
        "0L",  # invalid grantor
        "0P",  # invalid role specification
        "10",  # XQuery
        "20",  # case not found
        "21",  # cardinality violation
        "22",  # data: a value that its type does not allow
        "24",  # invalid cursor state
        "2B",  # dependent privileges still exist
        "34",  # invalid cursor name
        "3B",  # savepoint
        "3D",  # invalid catalog name
        "3F",  # invalid schema name
        "42",  # syntax, and names of tables and columns
    )
)
# Missing permissions are in class 42 too, but an operator can grant them.
_PASSING_ERRORS: Final = (asyncpg.InsufficientPrivilegeError,)
_DAMAGED: Final = (asyncpg.DataCorruptedError, asyncpg.IndexCorruptedError)

# The server has become a replica, and the connection still leads to it.
_DEMOTED = asyncpg.ReadOnlySQLTransactionError

# The connection is in a state in which it accepts none of our statements.
_UNUSABLE = (asyncpg.InFailedSQLTransactionError, asyncpg.ActiveSQLTransactionError)

# The server that answers does not have, or no longer has, what this connection has prepared.
_UNPREPARED = (
    asyncpg.DuplicatePreparedStatementError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.InvalidCachedStatementError,
)

_LOST = (
    _DEMOTED,
    *_UNUSABLE,
    *_UNPREPARED,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.DatabaseDroppedError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server ended the session between two statements
    OSError,
)

_NO_SCHEMA = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidSchemaNameError,
)

# Errors of asyncpg itself that another connection would raise as well.
_UNFIT = (
    asyncpg.exceptions.ClientConfigurationError,
    asyncpg.UnsupportedClientFeatureError,
    asyncpg.UnsupportedServerFeatureError,
)


class InvalidDsnError(ValueError):
    """asyncpg does not accept a DSN. The message does not show it, as it may hold a password."""

    def __init__(self) -> None:
        super().__init__(
            "the DSN is not valid; write it like postgresql://user:password@host/database"
        )


class MissingSchemaError(BackendError):
    """A schema or table is missing, or older than its user expects: it must be migrated."""


class NewerSchemaError(BackendError):
    """A schema is newer than its user: the program must be upgraded."""


def is_connection_lost(error: BaseException) -> bool:
    """Return whether the same statement may succeed on another connection."""
    # A timeout is an OSError too, but another try would only wait as long again.
    return isinstance(error, _LOST) and not isinstance(error, (TimeoutError, *_UNFIT))


def is_refusal(error: Exception) -> bool:
    """Return whether the server refused a statement, so that it has changed nothing."""
    return isinstance(error, (_DEMOTED, *_UNUSABLE, *_UNPREPARED)) or (
        isinstance(error, asyncpg.PostgresError) and not is_connection_lost(error)
    )


def is_contention(error: BaseException | None) -> bool:
    """Return whether another transaction wrote a row meanwhile, an error under strict isolation only.

    Args:
        error: What asyncpg raised, such as the cause of a `BackendError`. None returns False.
    """
    return isinstance(error, asyncpg.SerializationError)


def judged(error: Exception, *, what: str, sent: bool) -> Judgement:
    """Return what an error means for the statement that raised it.

    Args:
        error: What asyncpg raised.
        what: The operation.
        sent: Whether there was a connection on which the statement was sent.
    """
    return Judgement(
        outcome="unknown" if sent and not is_refusal(error) else "failed",
        again=is_connection_lost(error),
        translated=lambda outcome: backend_error(error, what=what, outcome=outcome),
    )


def backend_error(error: Exception, *, what: str, outcome: Outcome) -> BackendError:
    """Return the error to raise `from` a driver's error.

    Args:
        error: What asyncpg raised.
        what: The operation.
        outcome: Whether a change may have happened.
    """
    if isinstance(error, TimeoutError):
        return BackendError(
            f"PostgreSQL did not answer {what} within statement_timeout",
            retryable=True,
            outcome=outcome,
        )
    if isinstance(error, _DEMOTED):
        return BackendError(
            f"PostgreSQL refused {what}, as the server accepts no writes: {_description(error)}; if "
            "servers can fail over, name all of them in the DSN, with target_session_attrs=read-write",
            retryable=True,
            outcome=outcome,
        )
    if isinstance(error, _UNPREPARED):
        return BackendError(
            f"PostgreSQL lost a prepared statement of {what}: {_description(error)}; behind a PgBouncer "
            "that pools transactions or statements, connect with statement_cache_size=0",
            retryable=True,
            outcome=outcome,
        )
    if is_connection_lost(error):
        return BackendError(
            f"PostgreSQL could not be reached for {what}: {_description(error)}",
            retryable=True,
            outcome=outcome,
        )
    if isinstance(error, _DAMAGED) and outcome == "failed":
        return DamagedError(f"PostgreSQL cannot read stored data for {what}: {_description(error)}")
    if isinstance(error, _NO_SCHEMA):
        return MissingSchemaError(
            f"the schema for {what} is missing or outdated: {_description(error)}",
            retryable=_may_pass(error),
            outcome=outcome,
        )
    return BackendError(
        f"PostgreSQL refused {what}: {_description(error)}",
        retryable=_may_pass(error),
        outcome=outcome,
    )


def pool_exhausted(what: str) -> BackendError:
    """Return the error for a pool without a free connection."""
    return BackendError(
        f"no connection was free for {what} within pool_timeout; raise pool_size, "
        "or handle fewer events at a time",
        retryable=True,
        outcome="failed",
    )


def unreachable(what: str) -> BackendError:
    """Return the error for a server that does not answer when connecting."""
    return BackendError(
        f"PostgreSQL accepted no connection for {what} within pool_timeout",
        retryable=True,
        outcome="failed",
    )


def closed(what: str) -> ClosedError:
    """Return the error for an operation on closed connections."""
    return ClosedError(f"the connections are closed, so {what} was not sent; connect again")


def _may_pass(error: Exception) -> bool:
    if not isinstance(error, asyncpg.PostgresError) or isinstance(error, _DAMAGED):
        return False
    if isinstance(error, _PASSING_ERRORS):
        return True
    return str(error.sqlstate)[:2] not in _PERMANENT_CLASSES


def _description(error: Exception) -> str:
    # Only the first line: the lines after it can quote data.
    if isinstance(error, asyncpg.PostgresError | OSError):
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return type(error).__name__

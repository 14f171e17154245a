"""What the errors of asyncpg and PostgreSQL mean.

Of a statement that failed, the question is only whether the same one may be tried again later. It
may where the server, a right, or a rule or trigger that somebody has put on the table was in the way,
also in ways that are not known here: such things come and go while a system runs, and a retry costs
little. It cannot where our statement, our values or the schema are wrong, or what is stored is
damaged.

No SQLSTATE says that a value can never be written. 54000, the nearest, is also what a database says
that has no transaction ids left.
"""

from typing import Final

import asyncpg

from arvo_time import BackendError, ClosedError, DamagedError, Judgement, Outcome

# What another try cannot mend, by the first two characters of the SQLSTATE, which are its class; see
# https://www.postgresql.org/docs/current/errcodes-appendix.html.
_LASTING: Final = frozenset(
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
        "22",  # data: a value that is none for its type
        "24",  # invalid cursor state
        "2B",  # dependent privileges still exist
        "34",  # invalid cursor name
        "3B",  # savepoint
        "3D",  # invalid catalog name
        "3F",  # invalid schema name
        "42",  # syntax, and names of tables and columns
    )
)
# Rights are in class 42 too, but an operator grants them.
_PASSING_AFTER_ALL: Final = (asyncpg.InsufficientPrivilegeError,)
_DAMAGED: Final = (asyncpg.DataCorruptedError, asyncpg.IndexCorruptedError)

# The server has become a replica, and the connection leads to it still.
_DEMOTED = asyncpg.ReadOnlySQLTransactionError

# The connection is in a state in which it takes no statement of ours.
_UNUSABLE = (asyncpg.InFailedSQLTransactionError, asyncpg.ActiveSQLTransactionError)

# The server that answers has not, or no more, what this connection has prepared.
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
    asyncpg.InternalClientError,  # the server ended the session while nobody listened
    OSError,
)

_NO_SCHEMA = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidSchemaNameError,
)

# What another connection would say as well, although it is one of asyncpg's own errors.
_UNFIT = (
    asyncpg.exceptions.ClientConfigurationError,
    asyncpg.UnsupportedClientFeatureError,
    asyncpg.UnsupportedServerFeatureError,
)


class InvalidDsnError(ValueError):
    """A DSN is not one that asyncpg takes. The message does not show it, as it may hold a password."""

    def __init__(self) -> None:
        super().__init__(
            "the DSN is none that asyncpg takes; it looks like "
            "postgresql://user:password@host/database"
        )


class MissingSchemaError(BackendError):
    """A schema or table is missing, or older than what is asked of it: it must be migrated."""


def is_connection_lost(error: BaseException) -> bool:
    """Return whether the same statement may do better on another connection."""
    # A timeout is an OSError too, and would only wait as long again.
    return isinstance(error, _LOST) and not isinstance(error, (TimeoutError, *_UNFIT))


def is_refusal(error: Exception) -> bool:
    """Return whether a statement is known to have changed nothing, as the server said no."""
    return isinstance(error, (_DEMOTED, *_UNUSABLE, *_UNPREPARED)) or (
        isinstance(error, asyncpg.PostgresError) and not is_connection_lost(error)
    )


def is_contention(error: BaseException | None) -> bool:
    """Return whether somebody else wrote a row meanwhile, which only strict isolation minds.

    Args:
        error: What asyncpg raised, as the cause of a `BackendError` is. None is no contention.
    """
    return isinstance(error, asyncpg.SerializationError)


def judged(error: Exception, *, what: str, sent: bool) -> Judgement:
    """Return what an error means for the statement that raised it.

    Args:
        error: What asyncpg raised.
        what: The operation.
        sent: Whether there was a connection to send the statement on.
    """
    return Judgement(
        outcome="unknown" if sent and not is_refusal(error) else "failed",
        again=is_connection_lost(error),
        translated=lambda outcome: backend_error(error, what=what, outcome=outcome),
    )


def backend_error(error: Exception, *, what: str, outcome: Outcome) -> BackendError:
    """Return what stands for a driver's error; raise it `from` that.

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
            f"PostgreSQL refused {what}, as it takes no writes: {_said(error)}; where servers take over "
            "from each other, let the DSN name all of them, with target_session_attrs=read-write",
            retryable=True,
            outcome=outcome,
        )
    if isinstance(error, _UNPREPARED):
        return BackendError(
            f"PostgreSQL lost a prepared statement of {what}: {_said(error)}; behind a PgBouncer "
            "that pools transactions or statements, connect with statement_cache_size=0",
            retryable=True,
            outcome=outcome,
        )
    if is_connection_lost(error):
        return BackendError(
            f"PostgreSQL could not be reached for {what}: {_said(error)}",
            retryable=True,
            outcome=outcome,
        )
    if isinstance(error, _DAMAGED) and outcome == "failed":
        return DamagedError(f"PostgreSQL cannot read for {what}: {_said(error)}")
    if isinstance(error, _NO_SCHEMA):
        return MissingSchemaError(
            f"the schema for {what} is missing or old: {_said(error)}",
            retryable=_may_pass(error),
            outcome=outcome,
        )
    return BackendError(
        f"PostgreSQL refused {what}: {_said(error)}", retryable=_may_pass(error), outcome=outcome
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
    """Return the error for a server that does not answer who connects."""
    return BackendError(
        f"PostgreSQL accepted no connection for {what} within pool_timeout",
        retryable=True,
        outcome="failed",
    )


def closed(what: str) -> ClosedError:
    """Return the error for an operation on closed connections."""
    return ClosedError(f"the connections are closed, so there is no {what}")


def _may_pass(error: Exception) -> bool:
    if not isinstance(error, asyncpg.PostgresError) or isinstance(error, _DAMAGED):
        return False
    if isinstance(error, _PASSING_AFTER_ALL):
        return True
    return str(error.sqlstate)[:2] not in _LASTING


def _said(error: Exception) -> str:
    # Only the first line: what follows can quote data.
    if isinstance(error, asyncpg.PostgresError | OSError):
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return type(error).__name__

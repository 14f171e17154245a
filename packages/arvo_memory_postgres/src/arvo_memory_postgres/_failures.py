"""Turns what asyncpg raises into what a machine memory raises."""

from typing import Final, Literal, TypeAlias

import asyncpg

from arvo_event_handler import MachineMemoryError

Outcome: TypeAlias = Literal["failed", "unknown"]

# By the first two characters of the SQLSTATE: connection, serialization, resources, object state,
# operator intervention, system.
_RETRYABLE: Final = frozenset(("08", "40", "53", "55", "57", "58"))

MIGRATE: Final = "run `await memory.migrate()` once, for example when you deploy"
"""What helps against a schema that is missing or old."""

# The server has become a replica, and the connection leads to it still.
_DEMOTED = asyncpg.ReadOnlySQLTransactionError

_LOST = (
    _DEMOTED,
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

_POOLED = (
    asyncpg.DuplicatePreparedStatementError,
    asyncpg.InvalidSQLStatementNameError,
)


def is_connection_lost(error: BaseException) -> bool:
    """Tell whether the same statement may do better on another connection."""
    # A timeout is an OSError too, and would only wait as long again.
    return isinstance(error, _LOST) and not isinstance(error, TimeoutError)


def is_refusal(error: Exception) -> bool:
    """Tell whether a statement is known to have changed nothing, as the server said no."""
    return isinstance(error, _DEMOTED) or (
        isinstance(error, asyncpg.PostgresError) and not is_connection_lost(error)
    )


def is_contention(error: MachineMemoryError) -> bool:
    """Tell whether somebody else wrote the row meanwhile, which only strict isolation minds."""
    return isinstance(error.__cause__, asyncpg.SerializationError)


def memory_error(error: Exception, *, what: str, outcome: Outcome) -> MachineMemoryError:
    """Return what stands for a driver's error; raise it `from` that.

    Args:
        error: What asyncpg raised.
        what: The operation.
        outcome: Whether a change may have happened.
    """
    if isinstance(error, TimeoutError):
        return MachineMemoryError(
            f"PostgreSQL did not answer {what} within statement_timeout",
            retryable=True,
            outcome=outcome,
        )
    if isinstance(error, _DEMOTED):
        return MachineMemoryError(
            f"PostgreSQL refused {what}, as it takes no writes: {_said(error)}; where servers take over "
            "from each other, let the DSN name all of them, with target_session_attrs=read-write",
            retryable=True,
            outcome=outcome,
        )
    if is_connection_lost(error):
        return MachineMemoryError(
            f"PostgreSQL could not be reached for {what}: {_said(error)}",
            retryable=True,
            outcome=outcome,
        )
    retryable = False
    if isinstance(error, _NO_SCHEMA):
        message = f"the schema for {what} is missing or old: {_said(error)}; {MIGRATE}"
    elif isinstance(error, _POOLED):
        message = (
            f"PostgreSQL lost a prepared statement of {what}: {_said(error)}; behind a PgBouncer "
            "that pools transactions or statements, connect with statement_cache_size=0"
        )
    else:
        message = f"PostgreSQL refused {what}: {_said(error)}"
        state = getattr(error, "sqlstate", None)
        retryable = isinstance(state, str) and state[:2] in _RETRYABLE
    return MachineMemoryError(message, retryable=retryable, outcome=outcome)


def pool_exhausted(what: str) -> MachineMemoryError:
    """Return the error for a pool without a free connection."""
    return _failed(
        f"no connection was free for {what} within pool_timeout; raise pool_size, "
        "or handle fewer events at a time",
        retryable=True,
    )


def unreachable(what: str) -> MachineMemoryError:
    """Return the error for a server that does not answer who connects."""
    return _failed(
        f"PostgreSQL accepted no connection for {what} within pool_timeout", retryable=True
    )


def no_dsn() -> MachineMemoryError:
    """Return the error for a DSN that is none; it does not show it, as it may hold a password."""
    return _failed(
        "the DSN is none that asyncpg takes; it looks like postgresql://user:password@host/database"
    )


def closed(what: str) -> MachineMemoryError:
    """Return the error for a call of a closed memory."""
    return _failed(f"the memory is closed, so there is no {what}; use it inside its block")


def _failed(message: str, *, retryable: bool = False) -> MachineMemoryError:
    return MachineMemoryError(message, retryable=retryable, outcome="failed")


def _said(error: Exception) -> str:
    # Only the first line: what follows can quote data.
    if isinstance(error, asyncpg.PostgresError | OSError):
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return type(error).__name__

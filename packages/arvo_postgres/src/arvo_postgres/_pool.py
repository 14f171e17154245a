"""A pool of our own, which does not reset connections that are given back."""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import asyncpg
from typing_extensions import override

from arvo_time import Clock
from arvo_time.settings import check_count, check_duration, check_flag

from ._failures import InvalidDsnError, backend_error, unreachable

DAY: Final = timedelta(days=1)
"""The longest timeout."""
# asyncpg makes an object for every possible connection in advance.
_MOST_CONNECTIONS: Final = 10_000


class PlainConnection(asyncpg.Connection):  # type: ignore[misc] # untyped
    """A connection that is given back without a reset: our statements leave nothing to reset."""

    @override
    def get_reset_query(self) -> str:
        return ""

    # asyncpg numbers its statements, so all processes use the same names. Behind a PgBouncer that
    # pools transactions, one process could run a statement that another has prepared.
    @override
    def _get_unique_id(self, prefix: str) -> str:
        return f"__arvo_{prefix}_{secrets.token_hex(16)}__"


async def connect_alone(
    dsn: str,
    *,
    patience: timedelta,
    statement_cache_size: int,
    server_settings: Mapping[str, str],
) -> PlainConnection:
    """Return a connection that belongs to no pool.

    Args:
        dsn: Such as `postgresql://user:password@host/database`.
        patience: How long connecting may take.
        statement_cache_size: How many prepared statements it keeps.
        server_settings: Settings of the server for it.

    Raises:
        BackendError: The database cannot be reached.
    """
    try:
        connection: PlainConnection = await asyncpg.connect(
            dsn,
            statement_cache_size=statement_cache_size,
            connection_class=PlainConnection,
            timeout=patience.total_seconds(),
            server_settings={**server_settings} or None,
        )
    # Not `from error`, as in `open_pool`.
    except TimeoutError:
        raise unreachable("connect") from None
    except Exception as error:
        raise backend_error(error, what="connect", outcome="failed") from None
    return connection


def plain_pool(
    dsn: str,
    *,
    pool_size: int,
    pool_timeout: timedelta,
    statement_cache_size: int,
    read_only: bool,
    server_settings: Mapping[str, str],
) -> asyncpg.Pool:
    """Return a pool for `open_pool`, with one connection at first.

    Args:
        dsn: Such as `postgresql://user:password@host/database`.
        pool_size: How many connections at most, 1 to 10,000.
        pool_timeout: How long connecting may take; above 0, at most a day.
        statement_cache_size: How many prepared statements a connection keeps.
        read_only: Whether the server refuses what writes.
        server_settings: Settings of the server for these connections.

    Raises:
        TypeError: The timeout is not a timedelta, a number is not an int, or `read_only` not a bool.
        ValueError: The timeout is not above 0 or is above a day, `pool_size` is not within 1 and
            10,000, or `statement_cache_size` is below 0.
    """
    check_duration(pool_timeout, name="pool_timeout", above_zero=True, most=DAY)
    check_count(pool_size, name="pool_size", least=1, most=_MOST_CONNECTIONS)
    check_count(statement_cache_size, name="statement_cache_size")
    check_flag(read_only, name="read_only")
    return asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=pool_size,
        statement_cache_size=statement_cache_size,
        connection_class=PlainConnection,
        timeout=pool_timeout.total_seconds(),
        server_settings=settings(server_settings, read_only=read_only) or None,
    )


def settings(given: Mapping[str, str], *, read_only: bool) -> dict[str, str]:
    """Return the settings of the server for connections.

    Args:
        given: Those that were given.
        read_only: Whether the server refuses what writes.
    """
    return {**given, "default_transaction_read_only": "on"} if read_only else {**given}


async def open_pool(pool: asyncpg.Pool) -> None:
    """Connect for the first time.

    Raises:
        BackendError: The database cannot be reached.
        InvalidDsnError: asyncpg does not accept the DSN.
    """
    try:
        await pool
    # Not `from error`: asyncpg's error about a wrong DSN can show the password in it.
    except TimeoutError:
        raise unreachable("connect") from None
    except (asyncpg.PostgresError, asyncpg.InternalClientError, OSError) as error:
        raise backend_error(error, what="connect", outcome="failed") from None
    except (asyncpg.InterfaceError, ValueError, OverflowError):  # a port raises the last
        raise InvalidDsnError from None


async def close_pool(pool: asyncpg.Pool, *, patience: timedelta, clock: Clock) -> None:
    """Wait for running statements, at most for `patience`, and close the pool. Idempotent."""
    try:
        async with clock.timeout(patience):
            await pool.close()
    except TimeoutError:
        pool.terminate()

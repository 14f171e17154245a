"""A pool of our own, which gives connections back without a word to the server."""

import secrets
from datetime import timedelta
from typing import Final

import asyncpg
from typing_extensions import override

from arvo_time import Clock
from arvo_time.settings import check_count, check_duration

from ._failures import InvalidDsnError, backend_error, unreachable

DAY: Final = timedelta(days=1)
"""The longest timeout."""
# asyncpg makes an object for every connection that there might be.
_MOST_CONNECTIONS: Final = 10_000


class PlainConnection(asyncpg.Connection):  # type: ignore[misc] # untyped
    """A connection that is given back as it is: our statements leave nothing to reset."""

    @override
    def get_reset_query(self) -> str:
        return ""

    # asyncpg numbers its statements, so that every process has the same names. Behind a PgBouncer
    # that pools transactions, one could run what another has prepared.
    @override
    def _get_unique_id(self, prefix: str) -> str:
        return f"__arvo_{prefix}_{secrets.token_hex(16)}__"


def plain_pool(
    dsn: str, *, pool_size: int, pool_timeout: timedelta, statement_cache_size: int
) -> asyncpg.Pool:
    """Return a pool for `open_pool`, with one connection at first.

    Args:
        dsn: Such as `postgresql://user:password@host/database`.
        pool_size: How many connections at most, up to 10,000.
        pool_timeout: How long connecting may take; above 0, a day at most.
        statement_cache_size: How many prepared statements a connection keeps.

    Raises:
        TypeError: The timeout is no timedelta, or a number is no int.
        ValueError: The timeout is 0 or above a day, `pool_size` is not within 1 and 10,000, or
            `statement_cache_size` below 0.
    """
    check_duration(pool_timeout, name="pool_timeout", above_zero=True, most=DAY)
    check_count(pool_size, name="pool_size", least=1, most=_MOST_CONNECTIONS)
    check_count(statement_cache_size, name="statement_cache_size")
    return asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=pool_size,
        statement_cache_size=statement_cache_size,
        connection_class=PlainConnection,
        timeout=pool_timeout.total_seconds(),
    )


async def open_pool(pool: asyncpg.Pool) -> None:
    """Connect for the first time.

    Raises:
        BackendError: The database cannot be reached.
        InvalidDsnError: The DSN is none.
    """
    try:
        await pool
    # Not `from error`: what asyncpg says of a wrong DSN can show the password in it.
    except TimeoutError:
        raise unreachable("connect") from None
    except (asyncpg.PostgresError, asyncpg.InternalClientError, OSError) as error:
        raise backend_error(error, what="connect", outcome="failed") from None
    except (asyncpg.InterfaceError, ValueError, OverflowError):  # the last for a port
        raise InvalidDsnError from None


async def close_pool(pool: asyncpg.Pool, *, patience: timedelta, clock: Clock) -> None:
    """Wait for what still runs, but not indefinitely. Idempotent."""
    try:
        async with clock.timeout(patience):
            await pool.close()
    except TimeoutError:
        pool.terminate()

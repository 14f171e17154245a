"""A pool of our own, which gives connections back without a word to the server."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
from typing_extensions import override

from ._failures import memory_error, no_dsn, unreachable


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


@asynccontextmanager
async def owned_pool(
    dsn: str, *, pool_size: int, statement_cache_size: int, patience: timedelta
) -> AsyncIterator[asyncpg.Pool]:
    """Open a pool with one connection, and close it after the block.

    Raises:
        MachineMemoryError: The database cannot be reached, or the DSN is none.
    """
    try:
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=pool_size,
            statement_cache_size=statement_cache_size,
            connection_class=PlainConnection,
            timeout=patience.total_seconds(),
        )
    # Not `from error`: what asyncpg says of a wrong DSN can show the password in it.
    except TimeoutError:
        raise unreachable("connect") from None
    except (asyncpg.PostgresError, asyncpg.InternalClientError, OSError) as error:
        raise memory_error(error, what="connect", outcome="failed") from None
    except (asyncpg.InterfaceError, ValueError, OverflowError):  # the last for a port
        raise no_dsn() from None
    try:
        yield pool
    finally:
        await close_pool(pool, patience=patience)


async def close_pool(pool: asyncpg.Pool, *, patience: timedelta) -> None:
    """Wait for what still runs, but not for ever; harmless when it is closed."""
    try:
        async with asyncio.timeout(patience.total_seconds()):
            await pool.close()
    except TimeoutError:
        pool.terminate()

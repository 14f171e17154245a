"""The memory behind `arvo run --memory postgresql://...`."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from arvo_event_handler.memory import MemoryUrl

from ._memory import PostgresMachineMemory

_ASYNCPG: Final = frozenset(
    {
        *("host", "port", "user", "password", "passfile", "dbname", "database"),
        *("service", "target_session_attrs", "krbsrvname", "gsslib"),
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword"),
        *("sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version"),
    }
)
"""What asyncpg reads from a DSN. It sends everything else to the server as a setting."""


def connect_url(url: str) -> AbstractAsyncContextManager[PostgresMachineMemory]:
    """Return what opens the memory of a URL; its schema is made if it is missing.

    Args:
        url: A DSN. Behind `?` may stand the arguments of `PostgresMachineMemory.connect`, what
            asyncpg reads, and settings of the server such as `application_name`.

    Raises:
        ValueError: The URL is none, or an option is unknown or has no such value.
    """
    found = MemoryUrl.parse(
        url, connect=PostgresMachineMemory.connect, driver=_ASYNCPG, passes_on=True
    )
    return _migrated(found.address, **found.options)


@asynccontextmanager
async def _migrated(dsn: str, **options: Any) -> AsyncIterator[PostgresMachineMemory]:
    """Open a memory and make its schema.

    Raises:
        MachineMemoryError: The database cannot be reached, or its schema is newer.
        ValueError: An option has no such value.
    """
    async with PostgresMachineMemory.connect(dsn, **options) as memory:
        await memory.migrate()
        yield memory

"""The memory behind `arvo run --memory postgresql://...`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ._postgres_memory import PostgresMachineMemory


@asynccontextmanager
async def postgres_memory(url: str) -> AsyncIterator[PostgresMachineMemory]:
    """Open the memory of a URL in the schema `arvo`, which is made if it is missing.

    Raises:
        MachineMemoryError: The database cannot be reached, or its schema is newer.
    """
    async with PostgresMachineMemory.connect(url) as memory:
        await memory.migrate()
        yield memory

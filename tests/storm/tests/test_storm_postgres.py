"""The storm over `PostgresMachineMemory`."""

import pytest
from real_servers.fixtures import StartPostgres

from arvo_memory_postgres import PostgresMachineMemory
from storm import check_storm

pytestmark = [pytest.mark.alone, pytest.mark.scaled, pytest.mark.timeout(600)]


async def test_nothing_is_lost(start_postgres: StartPostgres) -> None:
    dsn = start_postgres().dsn
    async with PostgresMachineMemory.connect(dsn) as memory:
        await memory.migrate()
    check_storm(dsn)

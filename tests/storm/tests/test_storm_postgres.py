"""The storm over `PostgresMachineMemory`."""

import pytest
from real_servers.fixtures import StartPostgres

from arvo_event_handler.memory import WorkflowCount, WorkflowQuery
from arvo_memory_postgres import PostgresMachineMemory
from storm import check_storm

pytestmark = [pytest.mark.alone, pytest.mark.scaled]


async def test_nothing_is_lost(start_postgres: StartPostgres) -> None:
    dsn = start_postgres().dsn
    async with PostgresMachineMemory.connect(dsn) as memory:
        await memory.migrate()
    report = check_storm(dsn)
    async with PostgresMachineMemory.connect(dsn, read_only=True) as memory:
        # Every second workflow has started another one.
        done = await memory.count(WorkflowQuery(status={"done"}), at_most=10_000)
        assert done == WorkflowCount(value=report.workflows * 3 // 2, exact=True)
        others = await memory.count(WorkflowQuery(status={"active", "failure"}))
        assert others == WorkflowCount(value=0, exact=True)

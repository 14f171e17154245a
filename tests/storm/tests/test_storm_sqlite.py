"""The storm over `SqliteMachineMemory`."""

import sqlite3
from pathlib import Path

import pytest

from arvo_event_handler.memory import WorkflowCount, WorkflowQuery
from arvo_memory_sqlite import SqliteMachineMemory
from storm import check_storm


@pytest.mark.alone
@pytest.mark.scaled
async def test_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    report = check_storm(f"sqlite:///{path}")
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    async with SqliteMachineMemory.connect(path) as memory:
        # Every second workflow has started another one.
        done = await memory.count(WorkflowQuery(status={"done"}), at_most=10_000)
        assert done == WorkflowCount(value=report.workflows * 3 // 2, exact=True)
        others = await memory.count(WorkflowQuery(status={"active", "failure"}))
        assert others == WorkflowCount(value=0, exact=True)

"""The storm over `SqliteMachineMemory`."""

import sqlite3
from pathlib import Path

import pytest

from arvo_memory_sqlite import SqliteMachineMemory
from storm import check_storm


@pytest.mark.alone
@pytest.mark.scaled
@pytest.mark.timeout(600)
async def test_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    report = check_storm(f"sqlite:///{path}")
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    async with SqliteMachineMemory.connect(path) as memory:
        # Every second workflow has started another one.
        done = await memory.find(status="done", limit=10_000)
        assert len(done) == report.workflows * 3 // 2
        for status in ("active", "failure"):
            assert await memory.find(status=status) == []

"""The storm over `SqliteMachineMemory`."""

from pathlib import Path

import pytest

import arvo_memory_sqlite
from storm import check_storm

pytestmark = [
    pytest.mark.skipif(
        not hasattr(arvo_memory_sqlite, "SqliteMachineMemory"),
        reason="arvo_memory_sqlite has no memory yet",
    ),
    pytest.mark.timeout(600),
]


def test_nothing_is_lost(tmp_path: Path) -> None:
    check_storm(f"sqlite:///{tmp_path}/state.db")

"""The storm over `SqliteMachineMemory`."""

from pathlib import Path

import pytest

from storm import check_storm


@pytest.mark.timeout(600)
def test_nothing_is_lost(tmp_path: Path) -> None:
    check_storm(f"sqlite:///{tmp_path}/state.db")

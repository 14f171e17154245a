"""The storm over `PostgresMachineMemory`."""

import pytest
from real_servers.fixtures import StartPostgres

import arvo_memory_postgres
from storm import check_storm

pytestmark = [
    pytest.mark.skipif(
        not hasattr(arvo_memory_postgres, "PostgresMachineMemory"),
        reason="arvo_memory_postgres has no memory yet",
    ),
    pytest.mark.timeout(600),
]


def test_nothing_is_lost(start_postgres: StartPostgres) -> None:
    check_storm(start_postgres().dsn)

"""The storm over `RedisMachineMemory`."""

import pytest
from real_servers.fixtures import StartRedis

from storm import check_storm


@pytest.mark.timeout(600)
def test_nothing_is_lost(start_redis: StartRedis) -> None:
    check_storm(start_redis().url)

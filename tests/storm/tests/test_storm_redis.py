"""The storm over `RedisMachineMemory`."""

import pytest
from real_servers.fixtures import StartRedis

from storm import check_storm


@pytest.mark.alone
@pytest.mark.scaled
@pytest.mark.timeout(600)
@pytest.mark.parametrize("transport", ["multiplexed", "redis-py"])
def test_nothing_is_lost(start_redis: StartRedis, transport: str) -> None:
    check_storm(f"{start_redis().url}?transport={transport}")

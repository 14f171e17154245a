"""The storm over `RedisMachineMemory`."""

import pytest
from real_servers.fixtures import StartRedis

from real_servers import RedisFlavour, redis_flavours
from storm import check_storm

TRANSPORTS = ["multiplexed", "redis-py"]


@pytest.mark.alone
@pytest.mark.scaled
def test_nothing_is_lost(redis_flavour: RedisFlavour, start_redis: StartRedis) -> None:
    """One storm for each transport; where Redis and Valkey are installed, each has one of them."""
    flavours = redis_flavours()
    for transport in TRANSPORTS[flavours.index(redis_flavour) :: len(flavours)]:
        check_storm(f"{start_redis().url}?transport={transport}")

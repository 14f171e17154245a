"""The storm over `RedisMachineMemory`."""

import pytest
from real_servers.fixtures import StartRedis

import arvo_memory_redis
from storm import check_storm

pytestmark = [
    pytest.mark.skipif(
        not hasattr(arvo_memory_redis, "RedisMachineMemory"),
        reason="arvo_memory_redis has no memory yet",
    ),
    pytest.mark.timeout(600),
]


def test_nothing_is_lost(start_redis: StartRedis) -> None:
    check_storm(start_redis().url)

"""Lets time pass for what a server stores, without waiting for it."""

from datetime import timedelta
from typing import Final, TypeAlias

from redis.asyncio import Redis, RedisCluster

Client: TypeAlias = Redis | RedisCluster

_MAKE_OLDER: Final = """
-- by how much, in ms
local lease_end = redis.call('HGET', KEYS[1], 'lease_end')
if lease_end then
    redis.call('HSET', KEYS[1], 'lease_end', string.format('%.0f', lease_end - ARGV[1]))
end
local left = redis.call('PTTL', KEYS[1])
if left >= 0 then
    redis.call('PEXPIRE', KEYS[1], left - ARGV[1])
end
"""


async def make_older(client: Client, prefix: str, by: timedelta) -> None:
    """Bring the end of every lease and every record under the prefix closer."""
    async for key in client.scan_iter(match=f"{{{prefix}*"):
        await client.eval(_MAKE_OLDER, 1, key, str(by // timedelta(milliseconds=1)))

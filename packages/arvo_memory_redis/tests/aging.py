"""Lets time pass for what a server stores, without waiting for it."""

from datetime import timedelta
from typing import Final, TypeAlias

from redis.asyncio import Redis, RedisCluster

Client: TypeAlias = Redis | RedisCluster

_MAKE_OLDER: Final = """
-- by how much, in ms
local function shift(field, by)
    local time = redis.call('HGET', KEYS[1], field)
    if time then
        redis.call('HSET', KEYS[1], field, string.format('%.0f', time - by))
    end
end
if redis.call('TYPE', KEYS[1]).ok == 'zset' then
    local found = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
    for index = 1, #found, 2 do
        if found[index + 1] ~= '0' then
            local start = string.format('%.0f', found[index + 1] - ARGV[1] * 1000)
            redis.call('ZADD', KEYS[1], start, found[index])
        end
    end
    return
end
shift('lease_end', ARGV[1])
shift('started_at', ARGV[1] * 1000)
shift('updated_at', ARGV[1] * 1000)
shift('due_at', ARGV[1] * 1000)
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.find(field, '^f%d+$') then
        shift(field, ARGV[1])
    end
end
local left = redis.call('PTTL', KEYS[1])
if left >= 0 then
    redis.call('PEXPIRE', KEYS[1], left - ARGV[1])
end
"""


async def make_older(client: Client, prefix: str, by: timedelta) -> None:
    """Make everything under the prefix older: leases, records, starts and steps."""
    async for key in client.scan_iter(match=f"{{{prefix}*"):
        await client.eval(_MAKE_OLDER, 1, key, str(by // timedelta(milliseconds=1)))

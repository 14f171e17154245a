"""The scripts that run inside the server: each is one atomic operation on one hash.

A hash has these fields; it has no `state` if the workflow never committed:

* `subject`: the machine id.
* `owner`, `lease_end`: the token of the lease's holder, and its end by the server's clock, in ms. Both
  are missing when the lease is free.
* `version`, `codec`, `state`: how often the record was written, and its latest bytes.
* `last_owner`: the token of the writer of `version`. It identifies a repeated write, and a
  workflow that was forgotten and has reached the same version again.

The holder of the lease matters only to ACQUIRE, EXTEND and RELEASE: a write is accepted or refused by
what its writer loaded.

Every script may run twice with the same arguments, which happens when a reply was lost: the second
run returns what the first one did and changes nothing, except that a lease which was granted or extended
runs from then. The scripts use only commands of Redis 6.2.
"""

from typing import Final

from arvo_redis import Script

_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# The hash may be gone by then: a lease on a workflow that was never written expires.
_WRITE_AS_LOADED: Final = """
-- token, version and last owner as they were loaded, codec, state, subject
local stored = redis.call('HMGET', KEYS[1], 'version', 'last_owner')
if stored[2] == ARGV[1] then
    return 1
end
if (stored[1] or '0') ~= ARGV[2] or (stored[2] or '') ~= ARGV[3] then
    return 0
end
redis.call('HSET', KEYS[1], 'version', string.format('%.0f', tonumber(ARGV[2]) + 1),
    'codec', ARGV[4], 'state', ARGV[5], 'last_owner', ARGV[1])
if ARGV[2] == '0' then
    redis.call('HSET', KEYS[1], 'subject', ARGV[6])
end
"""


ACQUIRE: Final = Script(
    name="acquire",
    source=_NOW
    + """
-- token, ttl in ms, how long to keep a hash without state in ms, subject, whether to show the state
local held
if ARGV[5] == '0' then
    held = redis.call('HMGET', KEYS[1], 'owner', 'lease_end', 'version')
else
    held = redis.call('HMGET', KEYS[1], 'owner', 'lease_end', 'version', 'codec', 'state',
        'last_owner')
end
-- a lease whose end is damaged has ended, also one further away than the ten years of a LockPolicy
local left = (tonumber(held[2]) or 0) - now
if held[1] and held[1] ~= ARGV[1] and left > 0 and left <= 315360000000 then
    return {0, left}
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'lease_end', string.format('%.0f', now + ARGV[2]))
-- without a version but with a state it is damaged, and stays as it is
if not held[3] and redis.call('HEXISTS', KEYS[1], 'state') == 0 then
    redis.call('HSET', KEYS[1], 'subject', ARGV[4])
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return {1, false, false, false, false}
end
return {1, held[3], held[4], held[5], held[6]}
""",
)

COMMIT: Final = Script(
    name="commit",
    compares=True,
    source=_WRITE_AS_LOADED
    + """
-- and: expiry in ms or 0
redis.call('HDEL', KEYS[1], 'owner', 'lease_end')
if ARGV[7] == '0' then
    redis.call('PERSIST', KEYS[1])
else
    redis.call('PEXPIRE', KEYS[1], ARGV[7])
end
return 1
""",
)

EXTEND: Final = Script(
    name="extend",
    source=_NOW
    + """
-- token, ttl in ms, how long to keep a hash without state in ms
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
    return 0
end
redis.call('HSET', KEYS[1], 'lease_end', string.format('%.0f', now + ARGV[2]))
if redis.call('HEXISTS', KEYS[1], 'version') == 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
""",
)

RELEASE: Final = Script(
    name="release",
    while_closing=True,
    source="""
-- token, or how the tokens of one memory begin
local owner = redis.call('HGET', KEYS[1], 'owner')
if not owner or string.sub(owner, 1, #ARGV[1]) ~= ARGV[1] then
    return
end
if redis.call('HEXISTS', KEYS[1], 'version') == 0 and redis.call('HEXISTS', KEYS[1], 'state') == 0 then
    redis.call('DEL', KEYS[1])
else
    redis.call('HDEL', KEYS[1], 'owner', 'lease_end')
end
""",
)

WRITE: Final = Script(
    name="write",
    compares=True,
    source=_WRITE_AS_LOADED
    + """
redis.call('PERSIST', KEYS[1])
return 1
""",
)

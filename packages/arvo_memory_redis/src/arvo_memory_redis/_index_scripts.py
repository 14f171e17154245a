"""The scripts of the index: each is one atomic operation on its keys, which are in one slot.

The keys of the index are, after their hash tag:

* `all`: a sorted set of all workflows, scored by their start in microseconds since 1970, no two alike.
* `active`, `done`, `failure`, and `source:SOURCE` for each source: the same, of a part of them.
* `keys`: a sorted set of a workflow's key, a zero byte, and the workflow; all scores are 0.
* `about`: a hash by workflow: a token of the attempt that began it, by which a repeated call is recognised,
  the length of its source, its source and its key.

A workflow is named by the hash in the name of its key. It is entered before it is written, and leaves its
former status after it was written, so whoever dies in between leaves an entry too many, never one too few.
Readers look at the workflow's own hash.
"""

from typing import Final

from arvo_redis import Script

_SETS: Final = """
local base = string.sub(KEYS[1], 1, -4)
local statuses = {'active', 'done', 'failure'}
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function next_start()
    local latest = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
    return math.max(now, (tonumber(latest[2]) or 0) + 1)
end

local function leave(member)
    local about = redis.call('HGET', base .. 'about', member)
    local token, length, text = string.match(about or '', '^(%x*):(%d+):(.*)$')
    if length then
        redis.call('ZREM', base .. 'source:' .. string.sub(text, 1, tonumber(length)), member)
        redis.call('ZREM', base .. 'keys', string.sub(text, tonumber(length) + 1) .. '\\0' .. member)
    end
    return token or ''
end
"""

ENTER: Final = Script(
    name="enter",
    source=_SETS
    + """
-- workflow, status, source, key, when it started: a number, `known` to the index, or `new`, a token
-- for this start
local member, status, source, key, start, token = unpack(ARGV)
local before = leave(member)
if start ~= 'new' then
    token = before
end
if start == 'known' or token == before and token ~= '' and start == 'new' then
    start = redis.call('ZSCORE', KEYS[1], member)
end
if not start or start == 'new' then
    start = next_start()
end
start = string.format('%.0f', tonumber(start))
redis.call('HSET', base .. 'about', member, token .. ':' .. #source .. ':' .. source .. key)
redis.call('ZADD', KEYS[1], start, member)
redis.call('ZADD', base .. status, start, member)
redis.call('ZADD', base .. 'source:' .. source, start, member)
redis.call('ZADD', base .. 'keys', 0, key .. '\\0' .. member)
return start
""",
)

SETTLE: Final = Script(
    name="settle",
    while_closing=True,
    source=_SETS
    + """
-- workflow, status, how many of that status to return for a look whether they are still there
local start = redis.call('ZSCORE', KEYS[1], ARGV[1])
if start then
    redis.call('ZADD', base .. ARGV[2], start, ARGV[1])
end
for _, status in ipairs(statuses) do
    if status ~= ARGV[2] then
        redis.call('ZREM', base .. status, ARGV[1])
    end
end
if ARGV[3] == '0' then
    return {}
end
-- the oldest, and some others, in case the oldest are kept for long
local found = redis.call('ZRANGE', base .. ARGV[2], 0, ARGV[3] - 1)
for _, member in ipairs(redis.call('ZRANDMEMBER', base .. ARGV[2], ARGV[3])) do
    table.insert(found, member)
end
return found
""",
)

DROP: Final = Script(
    name="drop",
    while_closing=True,
    source=_SETS
    + """
-- younger than how many microseconds means that it may not be written yet, then workflows that are gone
for index = 2, #ARGV do
    local member = ARGV[index]
    local start = redis.call('ZSCORE', KEYS[1], member)
    if not start or now - start > tonumber(ARGV[1]) then
        leave(member)
        redis.call('HDEL', base .. 'about', member)
        redis.call('ZREM', KEYS[1], member)
        for _, status in ipairs(statuses) do
            redis.call('ZREM', base .. status, member)
        end
    end
end
""",
)

LIST: Final = Script(
    name="list",
    writes=False,
    source=_SETS
    + """
-- how many, 1 for the oldest first, the lowest and the highest start, source or '' for all, statuses
local wanted = {}
for index = 6, #ARGV do
    table.insert(wanted, base .. ARGV[index])
end
local function size(sets)
    local total = 0
    for _, set in ipairs(sets) do
        total = total + redis.call('ZCARD', set)
    end
    return total
end
if #wanted == #statuses then
    wanted = {KEYS[1]}
end
if ARGV[5] ~= '' then
    local of_source = {base .. 'source:' .. ARGV[5]}
    if size(of_source) <= size(wanted) then
        wanted = of_source
    end
end
local found = {}
for _, set in ipairs(wanted) do
    local part
    if ARGV[2] == '1' then
        part = redis.call('ZRANGEBYSCORE', set, ARGV[3], ARGV[4], 'WITHSCORES', 'LIMIT', 0, ARGV[1])
    else
        part = redis.call('ZREVRANGEBYSCORE', set, ARGV[4], ARGV[3], 'WITHSCORES', 'LIMIT', 0, ARGV[1])
    end
    for _, each in ipairs(part) do
        table.insert(found, each)
    end
end
return found
""",
)

OF_KEY: Final = Script(
    name="of_key",
    writes=False,
    source=_SETS
    + """
-- key
local found = {}
local from = '[' .. ARGV[1] .. '\\0'
for _, each in ipairs(redis.call('ZRANGEBYLEX', base .. 'keys', from, from .. '\\255')) do
    local member = string.sub(each, #ARGV[1] + 2)
    local start = redis.call('ZSCORE', KEYS[1], member)
    if start then
        table.insert(found, member)
        table.insert(found, start)
    end
end
return found
""",
)

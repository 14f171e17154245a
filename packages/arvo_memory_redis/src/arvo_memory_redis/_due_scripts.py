"""The scripts of the due index: which workflows wait for a time.

The index is one sorted set for each hash tag, `due`, beside the workflows of that tag: the hash in the name
of a workflow's key, scored by when it can be claimed, in microseconds since 1970. That is when its timer is
due, or the end of the last claim's hold. The rest is in the workflow's own hash: `due_at` and `due_key`,
the timer, and `due_claims`, how often it was claimed. A commit writes both. A hash that expires leaves its
member behind; without `due_at` in the hash, a member means nothing.

Each script looks at several sets. Of a Cluster, it reaches those of the server that it runs on, and returns
the tags of the others. A claim writes, so in a Cluster it is made for one tag at a time.

A claim whose reply was lost is not repeated by its second run: what it claimed returns after its hold.
"""

from typing import Final

from arvo_redis import Script

# Both bound how long the server does nothing else.
_LOOKED_AT: Final = 8
_TOGETHER: Final = 1000

_SETS: Final = """
-- prefix, then what a script says, then hash tags, of which the first is that of the key
local missed = {}

local function base(tag)
    return '{' .. ARGV[1] .. tag .. '}'
end

-- the reply of a command on the set of a tag; {} if another server has it
local function ask(command, tag, ...)
    local key = base(tag) .. 'due'
    if key == KEYS[1] then
        return redis.call(command, key, ...)
    end
    local reply = redis.pcall(command, key, ...)
    if reply.err then
        table.insert(missed, tag)
        return {}
    end
    return reply
end
"""

_DUE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- visits what is due, the earliest first; `visit` returns whether a member stays where it is, and
-- `true` as a second value to end it
local function visit_due(first_tag, visit)
    local heads, ranks = {}, {}
    local function add(tag)
        local rank = ranks[tag] or 0
        local found = ask('ZRANGEBYSCORE', tag, '-inf', string.format('%.0f', now), 'WITHSCORES',
            'LIMIT', rank, 1)
        if not found[1] then
            return
        end
        local score = tonumber(found[2])
        -- the earliest is the last one
        local low, high = 1, #heads + 1
        while low < high do
            local middle = math.floor((low + high) / 2)
            if heads[middle].score > score then
                low = middle + 1
            else
                high = middle
            end
        end
        table.insert(heads, low, {tag = tag, member = found[1], score = score})
    end
    for index = first_tag, #ARGV do
        add(ARGV[index])
    end
    while #heads > 0 do
        local head = table.remove(heads)
        local stays, ends = visit(head)
        if ends then
            return
        end
        if stays then
            ranks[head.tag] = (ranks[head.tag] or 0) + 1
        end
        add(head.tag)
    end
end
"""

NEXT: Final = Script(
    name="next_due",
    writes=False,
    source=_SETS
    + f"""
local earliest
local function is_there(tag, member)
    return redis.pcall('HEXISTS', base(tag) .. 'm:' .. member, 'due_at') == 1
end
for index = 2, #ARGV do
    local tag = ARGV[index]
    -- of many that are gone, one stands for them until a claim drops them
    for rank = 0, {_LOOKED_AT} do
        local found = ask('ZRANGE', tag, rank, rank, 'WITHSCORES')
        local score = tonumber(found[2])
        if not score or earliest and score >= earliest then
            break
        end
        if rank == {_LOOKED_AT} or is_there(tag, found[1]) then
            earliest = score
            break
        end
    end
end
return {{earliest and string.format('%.0f', earliest) or false, missed}}
""",
)
"""Returns when something can be claimed next, and the tags of other servers."""

BACKLOG: Final = Script(
    name="backlog",
    writes=False,
    source=_SETS
    + _DUE
    + """
-- how many at most
local due = {}
visit_due(3, function(head)
    table.insert(due, head.tag)
    table.insert(due, string.format('%.0f', head.score))
    return true, #due >= 2 * ARGV[2]
end)
return {due, missed}
""",
)
"""Returns tags and times of what is due, the earliest first, and the tags of other servers."""

CLAIM: Final = Script(
    name="claim",
    source=_SETS
    + _DUE
    + f"""
-- how many at most, how long a first claim and the longest one hold in us
local claimed, handled = {{}}, 0
visit_due(5, function(head)
    handled = handled + 1
    local key = base(head.tag) .. 'm:' .. head.member
    local found = redis.pcall('HMGET', key, 'subject', 'due_at', 'due_key', 'due_claims')
    if found.err or not found[2] then
        redis.call('ZREM', base(head.tag) .. 'due', head.member)
    else
        local claims = tonumber(string.match(found[4] or '', '^%d+$') or 0) + 1
        local hold = math.min(ARGV[3] * 2 ^ (claims - 1), tonumber(ARGV[4]))
        redis.call('ZADD', base(head.tag) .. 'due', string.format('%.0f', now + hold), head.member)
        redis.call('HSET', key, 'due_claims', claims)
        table.insert(claimed, {{found[1], found[2], found[3], claims}})
    end
    return false, handled == {_TOGETHER} or #claimed == tonumber(ARGV[2])
end)
return {{string.format('%.0f', now), handled == {_TOGETHER} and 1 or 0, claimed}}
""",
)
"""Returns the time, whether there may be more, and of each machine that it claimed four facts."""

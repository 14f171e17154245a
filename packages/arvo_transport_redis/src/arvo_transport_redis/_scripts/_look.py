"""Scripts that change nothing."""

from typing import Final

from arvo_redis import Script

from ._snippets import CLOCK

_WAITING: Final = """
-- The ids of a partition that workers have in hand, as a set, and how many they are.
local function in_hand(slot, ordered)
    local ids, count = {}, 0
    if ordered and redis.call('EXISTS', slot .. ':o') == 0 then
        return ids, 0
    end
    local listed = redis.pcall('XPENDING', slot .. ':s', 'arvo', '-', '+', 100000)
    for _, each in ipairs(listed.err and {} or listed) do
        if each[2] ~= 'free' then
            ids[each[1]] = true
            count = count + 1
        end
    end
    return ids, count
end

-- The first `want` entries that nobody has in hand.
local function waiting(slot, want, ids)
    local found, after = {}, '-'
    while #found < want do
        local entries = redis.call('XRANGE', slot .. ':s', after, '+', 'COUNT', want)
        for _, entry in ipairs(entries) do
            if not ids[entry[1]] and #found < want then
                found[#found + 1] = entry
            end
            after = '(' .. entry[1]
        end
        if #entries < want then
            break
        end
    end
    return found
end
"""

# KEYS: partition 0. ARGV: what the keys begin with, how many there are, whether it has an order, patience.
# Returns waiting, in hand, delayed, dead, workers, id of the oldest or ''.
DEPTH: Final = Script(
    name="count what waits",
    source=CLOCK
    + _WAITING
    + """
local prefix, ordered = ARGV[1], ARGV[3] == '1'
local stored, taken, oldest, oldest_ms = 0, 0, '', nil
for partition = 0, ARGV[2] - 1 do
    local slot = prefix .. partition .. '}'
    local ids, count = in_hand(slot, ordered)
    stored = stored + redis.call('XLEN', slot .. ':s')
    taken = taken + count
    local first = waiting(slot, 1, ids)[1]
    if first then
        local since = tonumber(string.match(first[1], '^%d+'))
        if not oldest_ms or since < oldest_ms then
            oldest, oldest_ms = first[1], since
        end
    end
end
local first, now = KEYS[1], milliseconds()
local due = redis.call('ZCOUNT', first .. ':d', '-inf', now)
return {
    stored - taken + due,
    taken,
    redis.call('ZCARD', first .. ':d') - due,
    redis.call('XLEN', first .. ':x'),
    redis.call('ZCOUNT', first .. ':w', now - ARGV[4], '+inf'),
    oldest,
}
""",
)

# KEYS: partition 0. ARGV: what the keys begin with, how many there are, whether it has an order, how many.
# Returns the first entries of each partition.
PEEK: Final = Script(
    name="look at what waits",
    source=_WAITING
    + """
local found = {}
for partition = 0, ARGV[2] - 1 do
    local slot = ARGV[1] .. partition .. '}'
    for _, entry in ipairs(waiting(slot, tonumber(ARGV[4]), (in_hand(slot, ARGV[3] == '1')))) do
        found[#found + 1] = entry
    end
end
return found
""",
)

# Returns the policy of a server that is full, and whether it is standalone or a node of a Cluster.
SERVER_STATE: Final = Script(
    name="ask for the server's settings",
    source="""
local memory, server = redis.call('INFO', 'memory'), redis.call('INFO', 'server')
return {
    string.match(memory, 'maxmemory_policy:([%w-]+)') or '',
    string.match(server, 'redis_mode:([%w-]+)') or string.match(server, 'server_mode:([%w-]+)') or '',
}
""",
)

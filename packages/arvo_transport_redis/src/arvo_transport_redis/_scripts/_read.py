"""Scripts that hand events out.

A reader says how many events of each partition it has in hand, at least and at most. Where the server
counts others, a reply was lost, and the reader gets the ids instead of anything new.
"""

from typing import Final

from arvo_redis import Script

from ._snippets import CLOCK, TAKE

# KEYS: the registry. ARGV: key of the paused topics, topic, channel, limit; then of each partition: its key,
# token, the least and the most in hand.
# Returns 'paused', or for each partition one of {'lost'}, {'unsure', ids}, {'ok', entries, more}, {'left'}.
READ_ORDERED: Final = Script(
    name="read",
    source=TAKE
    + """
if redis.call('SISMEMBER', ARGV[1], ARGV[2]) == 1 then
    return 'paused'
end
local limit, found = tonumber(ARGV[4]), {}
for at = 5, #ARGV, 4 do
    local slot, token = ARGV[at], ARGV[at + 1]
    local least, most = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    local stream, result = slot .. ':s', nil
    if redis.call('GET', slot .. ':o') ~= token then
        result = {'lost'}
    elseif limit == 0 then
        result = {'left'}
    else
        local mine, free = pending(stream, 'owner')
        if mine < least or mine > most then
            result = {'unsure', ids_of(stream, 'owner', mine)}
        else
            local taken = {}
            local more = take(stream, 'owner', taken, limit, free, {}, 0)
            if not more then
                redis.call('SET', slot .. ':b', ARGV[3])
            end
            limit = limit - #taken
            result = {'ok', taken, more and 1 or 0}
        end
    end
    found[#found + 1] = result
end
return found
""",
)

# KEYS: the partition. ARGV: key of the paused topics, topic, channel, limit, consumer, the least and the
# most in hand, how long an event may be in hand without a word (0: do not look), key of the layout, the layout
# known, ids to leave.
# Returns 'paused', 'moved' when the layout has changed, {'unsure', ids} or
# {'ok', entries, more, milliseconds until the next delayed one or -1}.
READ_UNORDERED: Final = Script(
    name="read",
    source=CLOCK
    + TAKE
    + """
if redis.call('SISMEMBER', ARGV[1], ARGV[2]) == 1 then
    return 'paused'
end
if (redis.call('GET', ARGV[9]) or '0') ~= ARGV[10] then -- or it would read by what is an order now
    return 'moved'
end
local slot, limit, me = KEYS[1], tonumber(ARGV[4]), ARGV[5]
local stream, delayed, patience = slot .. ':s', slot .. ':d', tonumber(ARGV[8])
local barred, n_barred = {}, 0
for at = 11, #ARGV do
    barred[ARGV[at]] = true
    n_barred = n_barred + 1
end
local mine, free = pending(stream, me)
if mine < tonumber(ARGV[6]) or mine > tonumber(ARGV[7]) then
    return {'unsure', ids_of(stream, me, mine)}
end
local now = milliseconds()
for _, packed in ipairs(redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, limit)) do
    local fields = cmsgpack.unpack(packed)
    fields[#fields] = nil
    redis.call('XADD', stream, '*', unpack(fields))
    redis.call('ZREM', delayed, packed)
end
local taken = {}
if patience > 0 then
    local abandoned = {}
    local listed = redis.call('XPENDING', stream, 'arvo', 'IDLE', patience, '-', '+', limit + free)
    for _, each in ipairs(listed) do
        if each[2] ~= 'free' then
            abandoned[#abandoned + 1] = each
        end
    end
    claim(stream, me, abandoned, patience, barred, taken, limit)
end
local more = true
if #taken < limit then
    more = take(stream, me, taken, limit - #taken, free, barred, n_barred)
end
if not more then
    redis.call('SET', slot .. ':b', ARGV[3])
end
local next = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
return {'ok', taken, more and 1 or 0, next[2] and math.max(0, next[2] - now) or -1}
""",
)

"""Functions in Lua that several scripts share.

The consumer group is `arvo`. Its consumer `free` has what was given back, or was in hand of a worker that
is gone: it is handed out before anything new.
"""

from typing import Final

CLOCK: Final = """
local function milliseconds()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

BELL: Final = """
-- A reader that found nothing has left the name of its channel.
local function ring(slot)
    local channel = redis.call('GETDEL', slot .. ':b')
    if channel then
        redis.pcall('PUBLISH', channel, slot) -- readers look by themselves, too
    end
end
"""

STORE: Final = (
    CLOCK
    + BELL
    + """
local function stored(event, again, failed)
    local fields = {'event', event}
    if again ~= '' then
        fields[#fields + 1] = 'again'
        fields[#fields + 1] = again
    end
    if failed ~= '0' then
        fields[#fields + 1] = 'failed'
        fields[#fields + 1] = failed
    end
    return fields
end

-- A first answer stays, but that of a failure gives way to another.
local function answer(key, request, value, keep)
    local have = redis.call('GET', key)
    if not have or (string.sub(have, 1, 1) == '0' and string.sub(value, 1, 1) == '1') then
        redis.call('SET', key, value, 'PX', keep)
        redis.pcall('PUBLISH', string.sub(key, 1, -1 - #request), request)
    end
end

-- Does what the arguments from `at` on say; returns where the next one begins.
local function store(at)
    local kind, key = ARGV[at], ARGV[at + 1]
    if kind == 'event' then
        redis.call('XADD', key .. ':s', '*', unpack(stored(ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])))
        ring(key)
        return at + 5
    elseif kind == 'delayed' then
        local fields, due = stored(ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]), ARGV[at + 6]
        local now = milliseconds()
        if string.sub(due, 1, 1) == '+' then
            due = now + due
        end
        if tonumber(due) <= now then
            redis.call('XADD', key .. ':s', '*', unpack(fields))
        else
            fields[#fields + 1] = ARGV[at + 5]
            redis.call('ZADD', key .. ':d', due, cmsgpack.pack(fields))
        end
        ring(key)
        return at + 7
    elseif kind == 'letter' then
        redis.call('XADD', key .. ':x', '*', 'letter', ARGV[at + 2])
        redis.call('SADD', ARGV[at + 3], ARGV[at + 4])
        return at + 5
    end
    answer(key, ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
    return at + 5
end

local function store_all(at)
    while at <= #ARGV do
        at = store(at)
    end
end
"""
)

IN_HAND: Final = """
local function is_in_hand(stream, id, me)
    local found = redis.pcall('XPENDING', stream, 'arvo', id, id, 1, me)
    return not found.err and #found > 0 and found[1]
end

-- Give back, and take the count back unless it tells of a worker that is gone.
local function give_back(stream, id, count)
    redis.call('XCLAIM', stream, 'arvo', 'free', 0, id, 'RETRYCOUNT', count, 'JUSTID')
end
"""

TAKE: Final = """
local function fields_of(entry)
    return entry[2] or {}
end

-- Take entries that are listed as pending over, which counts.
local function claim(stream, me, listed, idle, barred, taken, want)
    local counts, ids = {}, {}
    for _, each in ipairs(listed) do
        if #ids < want and not barred[each[1]] then
            ids[#ids + 1] = each[1]
            counts[each[1]] = each[4]
        end
    end
    if #ids == 0 then
        return
    end
    local arguments = {'XCLAIM', stream, 'arvo', me, idle}
    for _, id in ipairs(ids) do
        arguments[#arguments + 1] = id
    end
    for _, entry in ipairs(redis.call(unpack(arguments))) do
        if entry then
            taken[#taken + 1] = {entry[1], counts[entry[1]] + 1, fields_of(entry)}
        end
    end
end

-- Returns what a consumer has and what is free; nothing where there was no group.
local function pending(stream, me)
    local found = redis.pcall('XPENDING', stream, 'arvo')
    if found.err then
        redis.call('XDEL', stream, '0-1') -- a write that takes no memory
        redis.call('XGROUP', 'CREATE', stream, 'arvo', '0', 'MKSTREAM')
        return 0, 0
    end
    local mine, free = 0, 0
    for _, each in ipairs(found[4] or {}) do
        if each[1] == me then
            mine = tonumber(each[2])
        elseif each[1] == 'free' then
            free = tonumber(each[2])
        end
    end
    return mine, free
end

local function ids_of(stream, me, count)
    local ids = {}
    for _, each in ipairs(redis.call('XPENDING', stream, 'arvo', '-', '+', count, me)) do
        ids[#ids + 1] = each[1]
    end
    return ids
end

-- Take up to `want`: what is free first, then what is new. Returns whether there may be more.
local function take(stream, me, taken, want, free, barred, n_barred)
    local before = #taken
    if free > 0 then
        local listed = redis.call('XPENDING', stream, 'arvo', '-', '+', want + n_barred, 'free')
        claim(stream, me, listed, 0, barred, taken, want)
    end
    local left = want - (#taken - before)
    if left <= 0 then
        return true
    end
    local read = redis.call(
        'XREADGROUP', 'GROUP', 'arvo', me, 'COUNT', left, 'STREAMS', stream, '>')
    if not read then
        return false
    end
    for _, entry in ipairs(read[1][2]) do
        taken[#taken + 1] = {entry[1], 1, fields_of(entry)}
    end
    return #read[1][2] == left
end
"""

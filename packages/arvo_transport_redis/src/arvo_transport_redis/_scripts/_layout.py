"""Scripts about the registry: which topics there are, and how they are laid out.

`<namespace>:topics` has an entry for each topic, `<namespace>:layout` counts the changes of how any is laid
out, and `<namespace>:paused` has the topics that are paused.
"""

from typing import Final

from arvo_redis import Script

from ._snippets import CLOCK

# KEYS: the registry. ARGV: key of the layout, key of the paused topics.
# Returns the topics and their entries, the layout, the paused topics.
REGISTRY: Final = Script(
    name="read the registry",
    source="""
return {
    redis.call('HGETALL', KEYS[1]),
    redis.call('GET', ARGV[1]) or '0',
    redis.call('SMEMBERS', ARGV[2]),
}
""",
)

# KEYS: the registry. ARGV: key of the layout; then of each topic: its name, its entry, what the keys of its
# partitions begin with.
# Returns {'conflict', topic, order, who declared it}, {'kind', topic, kind}, or {'ok', topics that have to be moved}.
DECLARE: Final = Script(
    name="declare",
    source="""
local function waits(prefix, have)
    if have.moving or redis.call('ZCARD', prefix .. '0}:d') > 0 then
        return true
    end
    for partition = 0, have.partitions - 1 do
        if redis.call('XLEN', prefix .. partition .. '}:s') > 0 then
            return true
        end
    end
    return false
end

local result, writes, laid_out = {'ok'}, {}, false
for at = 2, #ARGV, 3 do
    local topic, wanted = ARGV[at], cjson.decode(ARGV[at + 1])
    local text = redis.call('HGET', KEYS[1], topic)
    local kind = text and cjson.decode(text).kind or wanted.kind
    if kind ~= wanted.kind and (kind == 'answers' or wanted.kind == 'answers') then
        return {'kind', topic, kind}
    end
    if not text then
        writes[#writes + 1] = topic
        writes[#writes + 1] = ARGV[at + 1]
    elseif wanted.owned then
        local have = cjson.decode(text)
        if have.owned and have.order ~= wanted.order then
            return {'conflict', topic, have.order, have.declared_by}
        end
        if have.order ~= wanted.order then
            if waits(ARGV[at + 2], have) then
                result[#result + 1] = topic
            else
                have.order, have.partitions = wanted.order, wanted.partitions
                laid_out = true
            end
        end
        if have.order == wanted.order then
            have.owned, have.kind, have.max_waiting = true, wanted.kind, wanted.max_waiting
            local entry = cjson.encode(have)
            if entry ~= text then
                writes[#writes + 1] = topic
                writes[#writes + 1] = entry
            end
        end
    end
end
for at = 1, #writes, 2 do
    redis.call('HSET', KEYS[1], writes[at], writes[at + 1])
end
if laid_out then
    redis.call('INCR', ARGV[1])
end
return result
""",
)

# KEYS: the registry. ARGV: key of the paused topics, topic, '1' or '0', channel. Returns 0 for no such topic.
PAUSE: Final = Script(
    name="pause",
    source="""
local text = redis.call('HGET', KEYS[1], ARGV[2])
if not text then
    return 0
end
local entry = cjson.decode(text)
if entry.moving then -- then it is paused until that is done
    entry.resumes = ARGV[3] == '0'
    redis.call('HSET', KEYS[1], ARGV[2], cjson.encode(entry))
    return 1
end
redis.call(ARGV[3] == '1' and 'SADD' or 'SREM', ARGV[1], ARGV[2])
redis.call('PUBLISH', ARGV[4], 'share')
return 1
""",
)

# KEYS: the registry. ARGV: key of the layout, topic, what its keys begin with, channel, order, partitions,
# whether only as long as nobody owns it, lease, how many events at most, key of the paused topics.
# Returns 'gone', 'busy' (workers have some of it), 'more', 'again' (another change had begun and is
# finished) or 'done'.
#
# The topic is paused from the first run on until all is done. Events wait in `:m` of the partitions to come until all are moved, in order; then those take their places.
MOVE: Final = Script(
    name="move a topic",
    source=CLOCK
    + """
local registry, topic, prefix, limit = KEYS[1], ARGV[2], ARGV[3], tonumber(ARGV[9])
local text = redis.call('HGET', registry, topic)
if not text then
    return 'gone'
end
local entry = cjson.decode(text)
if ARGV[7] == '1' and entry.owned then
    return 'done'
end
local wanted = {order = ARGV[5], partitions = tonumber(ARGV[6])}
local target = entry.moving or wanted

local function slot(partition)
    return prefix .. partition .. '}'
end

local function busy()
    if entry.order ~= 'none' then
        for partition = 0, entry.partitions - 1 do
            if redis.call('EXISTS', slot(partition) .. ':o') == 1 then
                return true
            end
        end
        return false
    end
    -- One run moves no more than it looks at here.
    local listed = redis.pcall('XPENDING', slot(0) .. ':s', 'arvo', '-', '+', limit + 100)
    for _, each in ipairs(listed.err and {} or listed) do
        if each[2] ~= 'free' and each[3] < tonumber(ARGV[8]) then
            return true
        end
    end
    return false
end

if not entry.moving then
    entry.moving = wanted
    entry.resumes = redis.call('SADD', ARGV[10], topic) == 1
    redis.call('HSET', registry, topic, cjson.encode(entry))
    redis.call('PUBLISH', ARGV[4], 'share')
end
if busy() then
    return 'busy'
end

local table_of_crc = {}
for index = 0, 255 do
    local crc = index
    for _ = 1, 8 do
        local carry = bit.band(crc, 1) == 1
        crc = bit.rshift(crc, 1)
        if carry then
            crc = bit.bxor(crc, 0xEDB88320)
        end
    end
    table_of_crc[index] = crc
end

local function crc32(text)
    local crc = 0xFFFFFFFF
    for at = 1, #text do
        local index = bit.band(bit.bxor(crc, string.byte(text, at)), 0xFF)
        crc = bit.bxor(bit.rshift(crc, 8), table_of_crc[index])
    end
    return bit.bxor(crc, 0xFFFFFFFF) % 4294967296
end

local function partition_of(fields)
    if target.order == 'none' then
        return 0
    end
    for at = 1, #fields, 2 do
        if fields[at] == 'event' then
            local readable, event = pcall(cjson.decode, fields[at + 1])
            local key = readable and type(event) == 'table' and event.subject
            if key and target.order == 'key' and type(event.partitionkey) == 'string' then
                key = event.partitionkey ~= '' and event.partitionkey or key
            end
            return type(key) == 'string' and crc32(key) % target.partitions or 0
        end
    end
    return 0
end

-- A publisher's name for an entry belongs to the id that the entry had first.
local function with_first_id(fields, id)
    local named = false
    for at = 1, #fields, 2 do
        if fields[at] == 'was' then
            return fields
        end
        named = named or fields[at] == 'id'
    end
    if named then
        fields[#fields + 1] = 'was'
        fields[#fields + 1] = id
    end
    return fields
end

local moved = 0
for partition = 0, entry.partitions - 1 do
    local stream = slot(partition) .. ':s'
    while moved < limit do
        local found = redis.call('XRANGE', stream, '-', '+', 'COUNT', 100)
        if #found == 0 then
            break
        end
        for _, each in ipairs(found) do
            local fields = with_first_id(each[2], each[1])
            redis.call('XADD', slot(partition_of(fields)) .. ':m', '*', unpack(fields))
            redis.pcall('XACK', stream, 'arvo', each[1])
            redis.call('XDEL', stream, each[1])
            moved = moved + 1
        end
    end
end
-- An ordered topic delays nothing.
while target.order ~= 'none' and moved < limit do
    local found = redis.call('ZRANGE', slot(0) .. ':d', 0, 99)
    if #found == 0 then
        break
    end
    for _, packed in ipairs(found) do
        local fields = cmsgpack.unpack(packed)
        fields[#fields] = nil
        redis.call('XADD', slot(partition_of(fields)) .. ':m', '*', unpack(fields))
        redis.call('ZREM', slot(0) .. ':d', packed)
        moved = moved + 1
    end
end
if moved >= limit then
    return 'more'
end

for partition = 0, entry.partitions - 1 do
    redis.call('DEL', slot(partition) .. ':s', slot(partition) .. ':b')
end
for partition = 0, target.partitions - 1 do
    if redis.call('EXISTS', slot(partition) .. ':m') == 1 then
        redis.call('RENAME', slot(partition) .. ':m', slot(partition) .. ':s')
    end
end
local as_wanted = target.order == wanted.order and target.partitions == wanted.partitions
entry.order, entry.partitions, entry.moving = target.order, target.partitions, nil
entry.owned = entry.owned or ARGV[7] == '1'
if entry.resumes then
    redis.call('SREM', ARGV[10], topic)
end
entry.resumes = nil
redis.call('HSET', registry, topic, cjson.encode(entry))
redis.call('INCR', ARGV[1])
redis.call('PUBLISH', ARGV[4], 'share')
return as_wanted and 'done' or 'again'
""",
)

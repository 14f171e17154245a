"""Scripts about events in hand."""

from typing import Final

from arvo_redis import Script

from ._snippets import BELL, CLOCK, IN_HAND

# KEYS: the partition. ARGV: consumer, token or '', whether they count as delivered, ids. Events that are not
# in hand are passed over.
RELEASE: Final = Script(
    name="release",
    source=BELL
    + IN_HAND
    + """
local slot, me, token = KEYS[1], ARGV[1], ARGV[2]
if token ~= '' and redis.call('GET', slot .. ':o') ~= token then
    return 0
end
for at = 4, #ARGV do
    local found = is_in_hand(slot .. ':s', ARGV[at], me)
    if found then
        give_back(slot .. ':s', ARGV[at], math.max(tonumber(ARGV[3]), found[4] - 1))
    end
end
ring(slot)
return 1
""",
    while_closing=True,
)

# KEYS: the partition of an unordered topic. ARGV: consumer, ids. Returns the ids that are not in hand.
EXTEND: Final = Script(
    name="extend",
    source=IN_HAND
    + """
local lost, stream, me = {}, KEYS[1] .. ':s', ARGV[1]
for at = 2, #ARGV do
    if is_in_hand(stream, ARGV[at], me) then
        redis.call('XCLAIM', stream, 'arvo', me, 0, ARGV[at], 'JUSTID')
    else
        lost[#lost + 1] = ARGV[at]
    end
end
return lost
""",
)

# KEYS: the partition of an unordered topic. ARGV: consumer, id, the key that marks a duplicate or '', the id
# that the entry had first, for how long duplicates are dropped, when it is due or ''.
# Returns whether the event stays in hand: not if it is a repetition, which is dropped, or is due later, until
# when it is delayed.
FULFIL: Final = Script(
    name="do as an entry says",
    source=CLOCK
    + IN_HAND
    + """
local slot, me, id, mark, due = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[6])
local stream = slot .. ':s'
if not is_in_hand(stream, id, me) then
    return 0
end
redis.call('XDEL', stream, '0-1') -- a write that takes no memory
local repeated = false
if mark ~= '' then
    local first = redis.call('GET', mark)
    repeated = first and first ~= ARGV[4]
    if not first then
        redis.call('SET', mark, ARGV[4], 'PX', ARGV[5])
    end
end
if not repeated and (not due or due <= milliseconds()) then
    return 1
end
local entry = redis.call('XRANGE', stream, id, id)[1]
if entry and not repeated then
    local kept = {}
    for at = 1, #entry[2], 2 do
        local name = entry[2][at]
        if name ~= 'id' and name ~= 'at' then -- it has been seen, and will be due
            kept[#kept + 1] = name
            kept[#kept + 1] = entry[2][at + 1]
        end
    end
    kept[#kept + 1] = id
    redis.call('ZADD', slot .. ':d', due, cmsgpack.pack(kept))
end
redis.call('XACK', stream, 'arvo', id)
redis.call('XDEL', stream, id)
return 0
""",
)

# KEYS: the partition of an unordered topic. ARGV: consumer or '', how long others may be idle.
# Deletes consumers that have nothing. Of one that has something, the events would be lost.
LEAVE: Final = Script(
    name="leave",
    source="""
local stream, me, idle = KEYS[1] .. ':s', ARGV[1], tonumber(ARGV[2])
local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, 'arvo')
if consumers.err then
    return 0
end
for _, pairs in ipairs(consumers) do
    local consumer = {}
    for at = 1, #pairs, 2 do
        consumer[pairs[at]] = pairs[at + 1]
    end
    if consumer.pending == 0 and (consumer.name == me or consumer.idle > idle) then
        redis.call('XGROUP', 'DELCONSUMER', stream, 'arvo', consumer.name)
    end
end
return 1
""",
    while_closing=True,
)

"""Scripts that share the partitions of a topic out."""

from typing import Final

from arvo_redis import Script

from ._snippets import CLOCK, IN_HAND

# KEYS: partition 0. ARGV: what the keys of all begin with, how many there are (0: no order), token, lease,
# whether it stays, channel, key of the layout, the layout known, key of the paused topics, topic, how many it
# owns, each of those with how long the lease is to last (0: as it does), how many nobody has wanted for a while, those,
# those that it leaves to others.
# Who knows another layout takes nothing, as it would give that up when it learns of it.
# Returns how many workers there are, the layout, the share, those that were lost, those that were taken,
# those that nobody has.
TEND: Final = Script(
    name="tend",
    source=CLOCK
    + IN_HAND
    + """
local prefix, partitions, token, lease = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local stays, channel, now = ARGV[5] == '1', ARGV[6], milliseconds()
local beats = KEYS[1] .. ':w'
redis.call('ZREMRANGEBYSCORE', beats, '-inf', now - lease)
if stays then
    if redis.call('ZADD', beats, now, token) == 1 then
        redis.call('PUBLISH', channel, 'share')
    end
elseif redis.call('ZREM', beats, token) == 1 then
    redis.call('PUBLISH', channel, 'share')
end
local live = redis.call('ZCARD', beats)
local share = 0
if stays and redis.call('SISMEMBER', ARGV[9], ARGV[10]) == 0 then
    share = math.ceil(partitions / live)
end

local known, lost, taken, free, kept = {}, {}, {}, {}, 0
local at = 12
for _ = 1, tonumber(ARGV[11]) do
    local owner_key, lasts = prefix .. ARGV[at] .. '}:o', tonumber(ARGV[at + 1])
    local owner = redis.call('GET', owner_key)
    known[ARGV[at]] = true
    -- Where nobody has it, nobody has had it since, or it is theirs: what is in hand is in hand.
    if lasts > 0 and (owner == token or not owner) then
        redis.call('SET', owner_key, token, 'PX', lasts)
        kept = kept + 1
    elseif owner == token then
        kept = kept + 1
    else
        lost[#lost + 1] = tonumber(ARGV[at])
    end
    at = at + 2
end
local unwanted, others = {}, at + 1 + tonumber(ARGV[at])
for index = at + 1, #ARGV do
    if index < others then
        unwanted[ARGV[index]] = true
    else
        known[ARGV[index]] = true
    end
end

-- What a former owner had in hand is free, with its counts.
local function adopt(stream)
    redis.pcall('XGROUP', 'CREATE', stream, 'arvo', '0', 'MKSTREAM')
    while true do
        local listed = redis.call('XPENDING', stream, 'arvo', '-', '+', 1000, 'owner')
        for _, each in ipairs(listed) do
            give_back(stream, each[1], each[4])
        end
        if #listed < 1000 then
            return
        end
    end
end

local layout = redis.call('GET', ARGV[7]) or '0'
for partition = 0, share > 0 and layout == ARGV[8] and partitions - 1 or -1 do
    local name = tostring(partition)
    if not known[name] then
        local slot = prefix .. name .. '}'
        local owner = redis.call('GET', slot .. ':o')
        if not owner and (kept < share or unwanted[name]) then
            redis.call('SET', slot .. ':o', token, 'PX', lease)
            adopt(slot .. ':s')
            owner = token
        end
        if owner == token then -- also where the reply that said so was lost
            taken[#taken + 1] = partition
            kept = kept + 1
        elseif not owner then
            free[#free + 1] = partition
        end
    end
end
return {live, layout, share, lost, taken, free}
""",
    while_closing=True,
)

# KEYS: the partition. ARGV: token, channel. Returns 1, or 0 when another has it.
GIVE_UP: Final = Script(
    name="give up",
    source="""
local owner = redis.call('GET', KEYS[1] .. ':o')
if owner == ARGV[1] then
    redis.call('DEL', KEYS[1] .. ':o')
    redis.call('PUBLISH', ARGV[2], 'share')
end
return (not owner or owner == ARGV[1]) and 1 or 0
""",
    while_closing=True,
)

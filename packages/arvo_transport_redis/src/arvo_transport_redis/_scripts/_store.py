"""Scripts that store events, letters and answers.

Who stores says which layout of the topics it knows. After a change of any it is refused, and looks again.
"""

from typing import Final

from arvo_redis import Script

from ._snippets import IN_HAND, STORE

# ARGV: key of the layout, the layout known, for how long duplicates are dropped; then for each: the key
# that marks a duplicate, and what to store.
# Returns 1, or 2 when the layout has changed.
PUBLISH: Final = Script(
    name="publish",
    source=STORE
    + """
if (redis.call('GET', ARGV[1]) or '0') ~= ARGV[2] then
    return 2
end
local at = 4
while at <= #ARGV do
    local mark = ARGV[at]
    if redis.call('EXISTS', mark) == 1 then
        at = at + 2 + tonumber(ARGV[at + 1])
    else
        at = store(at + 2)
        redis.call('SET', mark, '', 'PX', ARGV[3])
    end
end
return 1
""",
)

# KEYS: the partition. ARGV: consumer, token or '', id, key of the layout, the layout known, what to store.
# Returns 1, 0 when the event is not in hand, or 2 when the layout has changed.
# The acknowledgement comes last: what fails in the middle is not rolled back, and loses nothing this way. A
# second run finds nothing in hand. A full server refuses to begin with what takes memory, but goes on with it.
SETTLE: Final = Script(
    name="settle",
    source=STORE
    + IN_HAND
    + """
local slot, me, token, id = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local stream = slot .. ':s'
if token ~= '' and redis.call('GET', slot .. ':o') ~= token then
    return 0
end
if not is_in_hand(stream, id, me) then
    return 0
end
if (redis.call('GET', ARGV[4]) or '0') ~= ARGV[5] then
    return 2
end
redis.call('XDEL', stream, '0-1') -- a write that takes no memory
store_all(6)
redis.call('XACK', stream, 'arvo', id)
redis.call('XDEL', stream, id)
return 1
""",
    compares=True,
    while_closing=True,
)

# KEYS: partition 0 of the letter's topic. ARGV: id, key of the layout, the layout known, what to store.
# Returns 1, 0 when there is no such letter, or 2 when the layout has changed.
REDRIVE: Final = Script(
    name="redrive",
    source=STORE
    + """
if (redis.call('GET', ARGV[2]) or '0') ~= ARGV[3] then
    return 2
end
local letters, id = KEYS[1] .. ':x', ARGV[1]
if #redis.call('XRANGE', letters, id, id) == 0 then
    return 0
end
store_all(4)
redis.call('XDEL', letters, id)
return 1
""",
    compares=True,
)

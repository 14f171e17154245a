"""The scripts that run inside the server: each is one atomic operation on one hash.

A hash has these fields; it has no `state` if the workflow never committed:

* `subject`: the machine id.
* `owner`, `lease_end`: the token of the lease's holder, and its end by the server's clock, in ms. Both
  are missing when the lease is free.
* `version`, `codec`, `state`: how often the record was written, and its latest bytes.
* `status`, `summary`: how the workflow stands, and all that its writer said about it.
* `started_at`, `updated_at`: when the workflow started, as in the index, and when it was last written,
  in microseconds since 1970. `started_at` is missing until the index knows the workflow.
* `last_owner`: the token of the writer of `version`. It identifies a repeated write, and a
  workflow that was forgotten and has reached the same version again.
* `due_at`, `due_key`, `due_claims`: the earliest timer, if it has one; see the scripts of the due index.
* `tail`: what every commit writes again beside the record.
* `c1`, `c2` and so on: the chunks that are not freed, and freed ones that are kept as history. `first_chunk` is the number of the first one,
  `last_chunk` that of the last one ever written, which is one less if all are freed. If no chunk was
  ever written, both are missing and mean 1 and 0.
* `f1`, `f2` and so on: when the chunks that are kept were freed, in ms. `first_kept` is the number of
  the first one ever kept that is still there; it is missing if there is none.

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

# A chunk that is missing by damage ends a loop: `last_chunk` may be damaged as well, and very large.
# Each chunk has a call of its own, as `unpack` ends at about 8,000 values.
_CHUNKS: Final = """
local function chunk_number(field, missing)
    if not field then
        return missing
    end
    return #field <= 15 and string.find(field, '^[1-9]%d*$') and tonumber(field) or nil
end

-- the numbers of the first chunk and of the last one; nothing if they are damaged
local function chunk_numbers(first, last)
    first, last = chunk_number(first, 1), chunk_number(last, 0)
    if first and last and first <= last + 1 then
        return first, last
    end
end

local function chunk_field(number)
    return string.format('c%.0f', number)
end

-- the number of the first chunk that is kept as history; that of the first one not freed if none is
local function kept_number(field, first)
    return math.min(chunk_number(field, first) or first, first)
end

local function append_chunks(reply, first, last)
    for number = first, last do
        local chunk = redis.call('HGET', KEYS[1], chunk_field(number))
        if not chunk then
            break
        end
        table.insert(reply, chunk)
    end
    return reply
end
"""

# The hash may be gone by then: a lease on a workflow that was never written expires. All that is
# written is one command, so that a missing permission cannot part record, tail and chunk.
_WRITE_AS_LOADED: Final = (
    _NOW
    + _CHUNKS
    + """
-- token, version and last owner as they were loaded, codec, state, subject, tail, chunk or '' for
-- none, which chunks to free, status, summary, when it started or '' if the hash says so, when its
-- timer is due in microseconds or `none` or '' to leave it, the timer's key
local stored = redis.call('HMGET', KEYS[1], 'version', 'last_owner', 'first_chunk', 'last_chunk',
    'started_at', 'first_kept')
if stored[2] == ARGV[1] then
    return 1
end
if (stored[1] or '0') ~= ARGV[2] or (stored[2] or '') ~= ARGV[3] then
    return 0
end
local first, last = chunk_numbers(stored[3], stored[4])
if not first then
    return -1
end
local fields = {'version', string.format('%.0f', tonumber(ARGV[2]) + 1), 'codec', ARGV[4],
    'state', ARGV[5], 'last_owner', ARGV[1], 'tail', ARGV[7], 'status', ARGV[10],
    'summary', ARGV[11], 'updated_at', string.format('%.0f', time[1] * 1000000 + time[2])}
local size = #fields
local function set(field, value)
    fields[size + 1], fields[size + 2] = field, value
    size = size + 2
end
if ARGV[2] == '0' then
    set('subject', ARGV[6])
end
if ARGV[12] ~= '' and (ARGV[2] == '0' or not stored[5]) then
    set('started_at', ARGV[12])
end
-- before the hash is written: a member without its hash means nothing, and the other way it would be missed
if ARGV[13] ~= '' then
    local due, member = string.sub(KEYS[1], 1, -35) .. 'due', string.sub(KEYS[1], -32)
    if ARGV[13] == 'none' then
        redis.call('ZREM', due, member)
    else
        redis.call('ZADD', due, ARGV[13], member)
        set('due_at', ARGV[13])
        set('due_key', ARGV[14])
        set('due_claims', '0')
    end
end
-- how long freed chunks are kept, in ms; nil if they are not
local history = tonumber(ARGV[15])
-- most steps neither write a chunk nor free one
local kept, new_first
if ARGV[8] ~= '' or ARGV[9] ~= 'none' then
    kept = kept_number(stored[6], first)
    new_first = ARGV[9] == 'none' and first or last + 1
    local new_last = last
    if ARGV[8] ~= '' then
        new_last = last + 1
        if ARGV[9] == 'all' then
            new_first = new_last + 1
        end
        if ARGV[9] ~= 'all' or history then
            set(chunk_field(new_last), ARGV[8])
        end
    end
    if ARGV[9] ~= 'none' and history and not stored[6] then
        set('first_kept', string.format('%.0f', kept))
    end
    if new_first ~= first or new_last ~= last then
        set('first_chunk', string.format('%.0f', new_first))
        set('last_chunk', string.format('%.0f', new_last))
    end
end
redis.call('HSET', KEYS[1], unpack(fields))
if ARGV[13] == 'none' then
    redis.call('HDEL', KEYS[1], 'due_at', 'due_key', 'due_claims')
end
if ARGV[9] ~= 'none' then
    local function freed_field(number)
        return string.format('f%.0f', number)
    end
    local function delete_chunks(from, to)
        for number = from, to do
            if redis.call('HDEL', KEYS[1], chunk_field(number), freed_field(number)) == 0 then
                break
            end
        end
    end
    if history then
        for number = first, new_first - 1 do
            if redis.call('HEXISTS', KEYS[1], chunk_field(number)) == 0 then
                break
            end
            redis.call('HSET', KEYS[1], freed_field(number), string.format('%.0f', now))
        end
        local number = kept
        while number < first do
            local freed_at = tonumber(redis.call('HGET', KEYS[1], freed_field(number)) or '')
            if freed_at and freed_at >= now - history then
                break
            end
            redis.call('HDEL', KEYS[1], chunk_field(number), freed_field(number))
            number = number + 1
        end
        if number ~= kept then
            redis.call('HSET', KEYS[1], 'first_kept', string.format('%.0f', number))
        end
    else
        delete_chunks(kept, first - 1)
        delete_chunks(first, last)
        if stored[6] then
            redis.call('HDEL', KEYS[1], 'first_kept')
        end
    end
end
"""
)


ACQUIRE: Final = Script(
    name="acquire",
    source=_NOW
    + _CHUNKS
    + """
-- token, ttl in ms, how long to keep a hash without state in ms, subject, the number above which
-- chunks are shown, or '' to show neither them nor the state
local held
if ARGV[5] == '' then
    held = redis.call('HMGET', KEYS[1], 'owner', 'lease_end', 'version')
else
    held = redis.call('HMGET', KEYS[1], 'owner', 'lease_end', 'version', 'codec', 'state',
        'last_owner', 'tail', 'first_chunk', 'last_chunk', 'status')
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
    return {1, false, false, false, false, false, false, false, false}
end
if ARGV[5] == '' then
    return {1}
end
local reply = {1, held[3], held[4], held[5], held[6], held[7], held[8], held[9],
    held[10]}
local first, last = chunk_numbers(held[8], held[9])
if not first then
    return reply
end
return append_chunks(reply, math.max(first, ARGV[5] + 1), last)
""",
)

CHUNKS: Final = Script(
    name="chunks",
    writes=False,
    source=_CHUNKS
    + """
-- version and last owner as they were loaded
local stored = redis.call('HMGET', KEYS[1], 'version', 'last_owner', 'first_chunk', 'last_chunk')
if (stored[1] or '0') ~= ARGV[1] or (stored[2] or '') ~= ARGV[2] then
    return {0}
end
local reply = {1, stored[3], stored[4]}
local first, last = chunk_numbers(stored[3], stored[4])
if not first then
    return reply
end
return append_chunks(reply, first, last)
""",
)

READ: Final = Script(
    name="read",
    writes=False,
    source=_CHUNKS
    + """
-- the fields to return before the chunks, the last two being the numbers of these
local reply = redis.call('HMGET', KEYS[1], unpack(ARGV))
local first, last = chunk_numbers(reply[#reply - 1], reply[#reply])
if not first then
    return reply
end
return append_chunks(reply, first, last)
""",
)

COMMIT: Final = Script(
    name="commit",
    compares=True,
    while_closing=True,
    source=_WRITE_AS_LOADED
    + """
-- and: how long freed chunks are kept in ms, or '', and expiry in ms or 0
redis.call('HDEL', KEYS[1], 'owner', 'lease_end')
if ARGV[16] == '0' then
    redis.call('PERSIST', KEYS[1])
else
    redis.call('PEXPIRE', KEYS[1], ARGV[16])
end
return 1
""",
)

JOURNAL: Final = Script(
    name="journal",
    writes=False,
    source=_CHUNKS
    + """
-- below which number chunks are wanted, or '', and how many
local found = redis.call('HMGET', KEYS[1], 'version', 'codec', 'state', 'tail', 'updated_at',
    'first_chunk', 'last_chunk', 'first_kept')
if not found[1] and not found[3] then
    return {}
end
local kept = table.remove(found)
local first, last = chunk_numbers(found[6], found[7])
if not first then
    return found
end
if ARGV[1] ~= '' then
    last = math.min(last, ARGV[1] - 1)
end
-- A worker of the version before deletes live chunks and leaves what is kept below them: what is
-- below such a hole is not shown. A live chunk that is missing is damage, which the reader reports.
local lowest, live = math.max(kept_number(kept, first), last - ARGV[2] + 1, 1), first
first = last + 1
while first > lowest
    and (first > live or redis.call('HEXISTS', KEYS[1], chunk_field(first - 1)) == 1) do
    first = first - 1
end
if first > last then
    found[6], found[7] = false, false
    return found
end
found[6], found[7] = string.format('%.0f', first), string.format('%.0f', last)
return append_chunks(found, first, last)
""",
)

JOURNAL_END: Final = Script(
    name="journal_end",
    writes=False,
    source=_CHUNKS
    + """
local found = redis.call('HMGET', KEYS[1], 'status', 'updated_at', 'tail', 'last_chunk', 'version')
if not table.remove(found) then
    return {}
end
local last = chunk_number(found[4], 0)
found[4] = last and redis.call('HGET', KEYS[1], chunk_field(last))
return found
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
    while_closing=True,
    source=_WRITE_AS_LOADED
    + """
redis.call('PERSIST', KEYS[1])
return 1
""",
)

FORGET: Final = Script(
    name="forget",
    source="""
redis.call('ZREM', string.sub(KEYS[1], 1, -35) .. 'due', string.sub(KEYS[1], -32))
return redis.call('UNLINK', KEYS[1])
""",
)
"""Its second run returns 0."""

SHOW: Final = Script(
    name="show",
    writes=False,
    source=_NOW
    + """
local found = redis.call('HMGET', KEYS[1], 'version', 'summary', 'started_at', 'updated_at', 'subject',
    'owner', 'lease_end')
if not found[1] then
    return {}
end
local lease_end = tonumber(found[7])
if not found[6] or not lease_end or lease_end <= now then
    found[7] = false
end
-- Redis 7 knows the moment itself
found[6] = redis.pcall('PEXPIRETIME', KEYS[1])
if type(found[6]) ~= 'number' then
    local left = redis.call('PTTL', KEYS[1])
    found[6] = left < 0 and left or now + left
end
if not found[2] then
    -- written by the version before
    local state = redis.call('HMGET', KEYS[1], 'codec', 'state')
    found[8], found[9] = state[1], state[2]
end
return found
""",
)

STAMP: Final = Script(
    name="stamp",
    source="""
-- when it started
if redis.call('HEXISTS', KEYS[1], 'version') == 1 then
    redis.call('HSETNX', KEYS[1], 'started_at', ARGV[1])
end
""",
)

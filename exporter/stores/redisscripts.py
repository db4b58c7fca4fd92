"""What runs inside Redis: the rules of `base` in Lua, so that a batch meets what other registries wrote at one moment.

Revisions, sequences and stamps do not fit a Lua number: they stand at the head of each value as 20 digits with leading
zeros, and are compared as text. All keys share one hash tag, so that a cluster keeps them in one place.
"""

from __future__ import annotations

from exporter.domain.recordchecks import MAX_TIME_NS
from exporter.stores.rules import MAX_TOMBSTONES, MAX_TRANSITIONS

MAX_CHANGES = 1_000
"""So many entries of the stream are kept, minutes of the busiest mesh; slower readers load everything again."""
MAX_RECENT = 10_000
"""So many transitions of all nodes together are kept in order of time."""

STATE = """
local function info(section)
    local text = redis.pcall('INFO', section)
    return type(text) == 'string' and text or ''
end
local memory = info('memory')
local last = '0-0'
local stream = redis.call('EXISTS', KEYS[2]) == 1 and redis.call('XINFO', 'STREAM', KEYS[2]) or {}
for index = 1, #stream, 2 do
    if stream[index] == 'last-generated-id' then last = stream[index + 1] end
end
local time = redis.call('TIME')
return {
    redis.call('GET', KEYS[1]) or '',
    string.match(info('server'), 'run_id:(%x+)') or '',
    last,
    time[1],
    time[2],
    string.match(memory, 'maxmemory:(%d+)') or '0',
    string.match(memory, 'maxmemory_policy:([%a-]+)') or '',
}
"""
"""KEYS: dataset, changes. Answers dataset id, run id, last change, time (s, us), memory limit, policy;
what a user without the right to INFO may not know is left empty.
"""

PERSISTENCE = """
local info = redis.pcall('INFO', 'persistence')
return type(info) == 'string' and string.match(info, 'aof_enabled:(%d)') or ''
"""
"""KEYS: any of ours, so that a cluster's right node is asked. Answers 1 where writes go to the append-only file."""

TYPES = """
local time = redis.call('TIME')
local wrong = {}
local function aside(index)
    wrong[#wrong + 1] = index - 1
    if index > 2 then redis.pcall('RENAME', KEYS[index], KEYS[index] .. ':' .. time[1] .. time[2]) end
end
for index, key in ipairs(KEYS) do
    local kind = redis.call('TYPE', key).ok
    if kind ~= 'none' and kind ~= ARGV[index] then
        aside(index)
    elseif kind == 'stream' then
        -- It may be later than the last entry's: somebody removed that, or set this.
        local about = redis.call('XINFO', 'STREAM', key)
        for at = 1, #about, 2 do
            local last = about[at] == 'last-generated-id' and string.match(about[at + 1], '^%d+')
            -- Beyond what a Lua number can count on from.
            if last and tonumber(last) >= 9007199254740992 then aside(index) end
        end
    end
end
return wrong
"""
"""KEYS: dataset, nodes, and the other keys; ARGV: the type of each. Answers which ones hold something else. Where
the nodes can be known all the same, that is renamed, so that nothing is lost and the key serves again.
"""

SAVE = (
    """
local dataset, nodes, tombstones, heard, recorded, marks, changes, recent, peers, time, departures = unpack(KEYS, 1, 11)

local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
if redis.call('GET', dataset) ~= ARGV[1] or run ~= ARGV[2] then
    return redis.error_reply('DATASETLOST')
end

local origin, instance = ARGV[3], ARGV[4]
local given_records, given_tombstones, given_transitions, given_history, given_heartbeats =
    unpack(cmsgpack.unpack(ARGV[7]))

-- The stream takes no id that is not later than its last; that may be another than the last entry's, which was removed.
local function last_given()
    local stream = redis.call('EXISTS', changes) == 1 and redis.call('XINFO', 'STREAM', changes) or {}
    for index = 1, #stream, 2 do
        if stream[index] == 'last-generated-id' then return tonumber(string.match(stream[index + 1], '^%d+')) end
    end
end
-- XINFO would bring the first entry as well.
local last_entry = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', 1)[1]
local last_before = last_entry and tonumber(string.match(last_entry[1], '^%d+')) or last_given()
local now = redis.call('TIME')
-- A new stream begins after whatever anybody has read of the one before.
local position = last_before or tonumber(now[1]) * 1e6 + tonumber(now[2]) - 1

local entry = {}
local function announce(last_of_batch)
    if #entry >= 2000 or (last_of_batch and #entry > 0) then
        if redis.call('EXISTS', changes) == 0 then
            entry[#entry + 1] = 'first'
            entry[#entry + 1] = '1'
        end
        if not last_of_batch then
            entry[#entry + 1] = 'more'
            entry[#entry + 1] = '1'
        end
        local function add(call)
            local id = string.format('%d-0', position + 1)
            return call('XADD', changes, 'MAXLEN', '~', MAX_CHANGES, id, 'o', origin, unpack(entry))
        end
        local added = add(redis.pcall)
        if type(added) == 'table' and added.err then
            position = last_given() or position
            add(redis.call)
        end
        position = position + 1
        entry = {}
    end
end
local function add_change(kind, text)
    -- Clients read an entry as a mapping: the same field twice would be one.
    entry[#entry + 1] = kind .. #entry
    entry[#entry + 1] = text
    announce(false)
end
local function head(value, position, numbers)
    return value and string.sub(value, 20 * position + 1, 20 * (position + (numbers or 1)))
end

-- What is there may have been altered by others: what has no head of ours counts as nothing, and is written over.
local function sound(value, numbers)
    for position = 0, numbers - 1 do
        local number = value and head(value, position)
        if not number or not string.find(number, '^%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d$') or number > 'MAX_NUMBER'
        then return false end
    end
    return value
end
local function get(hash, name, numbers)
    return sound(redis.call('HGET', hash, name), numbers)
end

-- Many at a time, since a call costs more than what it does; not all, since records may be large.
local function get_many(hash, names, numbers)
    local found = {}
    for first = 1, #names, 100 do
        local values = redis.call('HMGET', hash, unpack(names, first, math.min(first + 99, #names)))
        for index, value in ipairs(values) do
            found[names[first + index - 1]] = value and numbers and head(value, 0, numbers) or value
        end
    end
    return found
end
local function put_many(command, key, values)
    for first = 1, #values, 1000 do
        redis.call(command, key, unpack(values, first, math.min(first + 999, #values)))
    end
end
local function names_in(pairs)
    local names = {}
    for index = 1, #pairs, 2 do names[#names + 1] = pairs[index] end
    return names
end

local writes = tonumber(redis.call('HGET', peers, instance)) or 0
redis.call('HSET', peers, instance, string.format('%d', writes % 1e15 + 1))
if ARGV[5] ~= '' then
    redis.call('HSET', marks, instance, ARGV[5])
    if ARGV[6] > (sound(redis.call('GET', time), 1) or '') then redis.call('SET', time, ARGV[6]) end
end

local new_records, new_tombstones, new_transitions, refused, is_refused = {}, {}, {}, {}, {}
local function refuses(name, value, base, before, gone)
    local latest = before or gone
    if not latest or base == '' or head(latest, 0) <= base or value == latest then return false end
    for _, each in ipairs({name, before and 'r' or 'd', latest}) do refused[#refused + 1] = each end
    is_refused[name] = true
    return true
end
for index = 1, #given_records, 3 do
    local name, value, base = unpack(given_records, index, index + 2)
    local before, gone = get(nodes, name, 2), get(tombstones, name, 2)
    local latest = before or gone
    if not refuses(name, value, base, before, gone) and (not latest or head(value, 0) >= head(latest, 0)) then
        if value ~= before then
            redis.call('HSET', nodes, name, value)
            add_change('r', string.sub(value, 41))
        end
        redis.call('HDEL', tombstones, name)
        if gone then redis.call('ZREM', departures, head(gone, 0) .. name) end
        if not before then new_records[#new_records + 1] = name end
    end
end

for index = 1, #given_tombstones, 3 do
    local name, value, base = unpack(given_tombstones, index, index + 2)
    local before, gone = get(nodes, name, 2), get(tombstones, name, 2)
    local latest = before or gone
    if not refuses(name, value, base, before, gone) and (not latest or head(value, 0) > head(latest, 0)) then
        redis.call('HSET', tombstones, name, value)
        if gone then redis.call('ZREM', departures, head(gone, 0) .. name) end
        redis.call('ZADD', departures, 0, head(value, 0) .. name)
        redis.call('HDEL', nodes, name)
        redis.call('HDEL', heard, name)
        add_change('d', string.sub(value, 41))
        if not gone then new_tombstones[#new_tombstones + 1] = name end
    end
end

local excess = redis.call('ZCARD', departures) - MAX_TOMBSTONES
if excess > 0 then
    for _, oldest in ipairs(redis.call('ZRANGE', departures, 0, excess - 1)) do
        local name = string.sub(oldest, 21)
        redis.call('ZREM', departures, oldest)
        if head(redis.call('HGET', tombstones, name), 0) == head(oldest, 0) then
            redis.call('HDEL', tombstones, name)
            redis.call('HDEL', recorded, name)
            -- Of the same hash tag, and so on the same node of a cluster.
            redis.call('DEL', string.sub(tombstones, 1, -11) .. 'history:' .. name)
        end
    end
end

-- A key may hold another type than ours: to ask beforehand would take as long as to write.
local function ask_history(command, history, ...)
    local answer = redis.pcall(command, history, ...)
    if type(answer) ~= 'table' or not answer.err then return answer end
    local kind = redis.call('TYPE', history).ok
    if kind ~= 'zset' and kind ~= 'none' then redis.call('RENAME', history, history .. ':aside') end
    return redis.call(command, history, ...)
end

local function stamp_in(value)
    local stamp = string.match(value, '"stamp_ns":(%d+)') or ''
    return string.rep('0', 20 - #stamp) .. stamp
end

local histories = 11
local function take_transitions(given, is_news)
    local names, latest, late = names_in(given), {}, {}
    local owners, lasts = get_many(nodes, names, 2), get_many(recorded, names)
    for index, name in ipairs(names) do
        local history, owner = KEYS[histories + index], sound(owners[name], 2) or get(tombstones, name, 2)
        if owner then
            -- Of one score, members stand by their text, and so by sequence or stamp: a score has no room for them.
            local sequence, text = head(given[2 * index], 0), string.sub(given[2 * index], 41)
            local value, last = sequence .. text, sound(lasts[name], 1)
            local later, missing = not last or sequence > head(last, 0), false
            if is_news then
                local status = 'active'
                if last and head(last, 0) > head(owner, 1) then status = string.match(last, '"to":"(%a+)"') end
                -- What does not follow on the last one, and happened before it, was made without knowing it.
                missing = not last or (later and string.match(text, '"to":"(%a+)"') ~= status
                    and (string.match(text, '"from":"(%a+)"') == status or head(given[2 * index], 1) > stamp_in(last)))
            else
                missing = ask_history('ZLEXCOUNT', history, '[' .. sequence, '(' .. sequence .. '~') == 0
            end
            if missing then
                ask_history('ZADD', history, 0, value)
                -- Not each time: sequences count on by one.
                if not is_news or string.sub(sequence, -1) == '0' then
                    redis.call('ZREMRANGEBYRANK', history, 0, -MAX_TRANSITIONS - 1)
                end
                late[#late + 1] = 0
                late[#late + 1] = head(given[2 * index], 1) .. text
                if later then
                    lasts[name] = value
                    latest[#latest + 1] = name
                    latest[#latest + 1] = value
                end
                add_change(is_news and 's' or 'p', text)
            end
            if is_news and (missing or ask_history('ZSCORE', history, value)) then
                new_transitions[#new_transitions + 1] = index - 1
            end
        end
    end
    histories = histories + #names
    put_many('ZADD', recent, late)
    put_many('HSET', recorded, latest)
    if #late > 0 then redis.call('ZREMRANGEBYRANK', recent, 0, -MAX_RECENT - 1) end
end
take_transitions(given_transitions, true)
take_transitions(given_history, false)

local names, removed, latest = names_in(given_heartbeats), {}, {}
local before = get_many(heard, names)
for index, name in ipairs(names) do
    local value, last = given_heartbeats[2 * index], sound(before[name], 1)
    if redis.call('HEXISTS', nodes, name) == 0 then
        if not get(tombstones, name, 2) then removed[#removed + 1] = name end
    elseif not is_refused[name] and (not last or head(value, 0) > head(last, 0)) then
        latest[#latest + 1] = name
        latest[#latest + 1] = value
        -- Every registry receives from the bus itself; but it may not know the node yet.
        if not last or string.sub(value, 41, 44) == 'http' then add_change('h', name .. ' ' .. value) end
    end
end
put_many('HSET', heard, latest)

announce(true)
return {
    new_records, new_tombstones, new_transitions, refused,
    redis.call('HGETALL', peers), {redis.call('GET', time) or nil}, removed,
    {string.format('%d', last_before or 0), string.format('%d', position)},
}
""".replace("MAX_TRANSITIONS", str(MAX_TRANSITIONS))
    .replace("MAX_TOMBSTONES", str(MAX_TOMBSTONES))
    .replace("MAX_CHANGES", str(MAX_CHANGES))
    .replace("MAX_RECENT", str(MAX_RECENT))
    .replace("MAX_NUMBER", f"{MAX_TIME_NS:020d}")
)
"""KEYS: dataset, nodes, tombstones, heard, recorded, marks, changes, recent, peers, time, departures, each transition's
history.

ARGV: dataset, run id, origin, instance, mark and its mesh time or nothing, and as MessagePack, since many arguments
take long to read, the records, tombstones, transitions, transitions of the past and heartbeats: name and value of each.
Records and tombstones: revision, epoch, JSON; and as a third, the revision of its base, or nothing. Transitions:
sequence, stamp, JSON. Heartbeats: stamp, last seen, transport, and the registry that received it. The ids of `changes`
count up without a gap, so that a reader sees when it missed one; `first` stands in the first entry of a stream, `more`
in one that the next goes on.
"""

UPGRADE = """
for index = 3, #KEYS, 2 do
    local name, old, history = ARGV[(index - 1) / 2], KEYS[index], KEYS[index + 1]
    local function numbered(text)
        local at = string.match(text, '"at_ns":(%d+)')
        return string.rep('0', 20 - #at) .. at .. text
    end
    for _, text in ipairs(redis.call('LRANGE', old, 0, -1)) do
        redis.call('ZADD', history, 0, numbered(text))
    end
    local last = redis.call('LINDEX', old, 0)
    if last then redis.call('HSET', KEYS[1], name, numbered(last)) end
    redis.call('DEL', old)
    local heard = redis.call('HGET', KEYS[2], name)
    if heard and not string.match(heard, '^%d+', 21) then
        redis.call('HSET', KEYS[2], name, string.sub(heard, 1, 20) .. heard)
    end
end
"""
"""Format 1 becomes format 2. KEYS: recorded, heard, and of each node its history of format 1 and of format 2. ARGV: the
nodes' names. To run it again, or for a node that was done, changes nothing.
"""

PRUNE = """
for index = 4, #KEYS do
    local name = ARGV[index - 2]
    local gone = redis.call('HGET', KEYS[1], name)
    if gone and string.sub(gone, 1, 20) < ARGV[1] then
        redis.call('HDEL', KEYS[1], name)
        redis.call('HDEL', KEYS[2], name)
        redis.call('DEL', KEYS[index])
        redis.call('ZREM', KEYS[3], string.sub(gone, 1, 20) .. name)
    end
end
"""
"""KEYS: tombstones, recorded, departures, and each node's history. ARGV: the time before which a tombstone is old, and
the names.
"""

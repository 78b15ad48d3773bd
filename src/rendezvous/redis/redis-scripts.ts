// What Redis does in one go. All scripts begin with the same functions; ARGV[1] is the prefix of all keys, ARGV[2] the
// limits in JSON, and what follows is the script's own.
//
//   clock               hash: wall (Redis's clock), now (the lease clock, see lease-clock.ts), floor (see RegistryCore)
//   leases              sorted set: "<id> <namespace>" by the moment at which it runs out, by the lease clock
//   held                hash: the same -> "<lease> <duration> <signed>"
//   gone                sorted set: the same, by when it was last signed
//   peers               hash: id -> namespaces that it is in
//   namespaces          hash: namespace -> "<epoch> <version>"
//   idle                sorted set: namespaces with nobody in them, by since when
//   set:<namespace>     hash: id -> entry, in JSON
//   log                 stream: what has happened, for all instances
//   instances           sorted set: instances by the moment until which they are taken to be alive
//   seats               hash: ticket -> {id, namespace, pool, instance, partner}, in JSON
//   tickets             hash: id, namespace and pool -> ticket
//   waiting             hash: namespace and pool -> ticket

import { maxStepMs } from "../lease-clock.ts";

/** How long an instance that says nothing is taken to be alive. Milliseconds of the lease clock. */
const instanceMs = 10_000;
/**
 * How long a namespace is remembered in which nobody is: until an instance where somebody watches it has said so, if it is
 * alive. Milliseconds of the lease clock.
 */
const idleMs = instanceMs;
/** Registrations that one sweep ends at most: others want to have Redis, too. */
const maxEndedAtOnce = 500;

const common = `
local p = ARGV[1]
local limits = cjson.decode(ARGV[2])
local call = redis.call
local function key(name) return p .. name end

local function clock()
  local t = call('TIME')
  local wall = t[1] * 1000 + math.floor(t[2] / 1000)
  local known = call('HMGET', key('clock'), 'wall', 'now')
  local step = math.min(math.max(wall - (tonumber(known[1]) or wall), 0), ${maxStepMs})
  local now = (tonumber(known[2]) or 0) + step
  call('HSET', key('clock'), 'wall', string.format('%d', wall), 'now', string.format('%d', now))
  return now
end

local function write(...)
  call('XADD', key('log'), 'MAXLEN', '~', string.format('%d', limits.maxChanges), '*', ...)
end

local function namespace(ns)
  local known = call('HGET', key('namespaces'), ns)
  if not known then return nil end
  local epoch, version = string.match(known, '^(%S+) (%d+)$')
  return { epoch = epoch, version = tonumber(version) }
end

local function open(ns, epoch)
  local known = namespace(ns)
  if known then return known end
  if call('HLEN', key('namespaces')) >= limits.maxNamespaces then return nil end
  call('HSET', key('namespaces'), ns, epoch .. ' 0')
  call('ZADD', key('idle'), clock(), ns)
  return { epoch = epoch, version = 0 }
end

-- Makes the next version of a namespace. entry: '' where the peer has gone.
local function change(ns, id, entry)
  local known = namespace(ns)
  local version = known.version + 1
  call('HSET', key('namespaces'), ns, known.epoch .. ' ' .. string.format('%d', version))
  write('type', 'change', 'ns', ns, 'epoch', known.epoch, 'version', string.format('%d', version), 'id', id, 'entry', entry)
end

local function find(member, lease)
  local held = call('HGET', key('held'), member)
  if not held then return nil, 'unknown' end
  local known, duration, signed = string.match(held, '^(%S+) (%d+) (%d+)$')
  if known ~= lease then return nil, 'replaced' end
  return { duration = tonumber(duration), signed = signed }
end

local function finish(member)
  local id, ns = string.sub(member, 1, 64), string.sub(member, 66)
  local _, _, signed = string.match(call('HGET', key('held'), member) or '- 0 0', '^(%S+) (%d+) (%d+)$')
  call('HDEL', key('held'), member)
  call('ZREM', key('leases'), member)
  call('ZADD', key('gone'), signed, member)
  if call('HINCRBY', key('peers'), id, -1) <= 0 then call('HDEL', key('peers'), id) end
  call('HDEL', key('set:' .. ns), id)
  if call('HLEN', key('set:' .. ns)) == 0 then call('ZADD', key('idle'), clock(), ns) end
  change(ns, id, '')
end

local function leave(ticket)
  local text = call('HGET', key('seats'), ticket)
  if not text then return end
  local seat = cjson.decode(text)
  local pool = seat.namespace .. '\\0' .. seat.pool
  call('HDEL', key('seats'), ticket)
  if call('HGET', key('tickets'), seat.id .. '\\0' .. pool) == ticket then
    call('HDEL', key('tickets'), seat.id .. '\\0' .. pool)
  end
  if call('HGET', key('waiting'), pool) == ticket then call('HDEL', key('waiting'), pool) end
  if seat.partner then
    local other = call('HGET', key('seats'), seat.partner)
    if other then
      local partner = cjson.decode(other)
      partner.partner = nil
      call('HSET', key('seats'), seat.partner, cjson.encode(partner))
      leave(seat.partner)
      write('type', 'left', 'ticket', seat.partner)
    end
  end
end
`;

/** namespace, id, lease, duration, signed (microseconds), entry without what Redis knows, the date (microseconds), an epoch */
export const registerScript: string = `${common}
local ns, id, lease, duration, signed = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local member = id .. ' ' .. ns
call('HSETNX', key('clock'), 'floor', ARGV[9])
local held = call('HGET', key('held'), member)
local last = held and string.match(held, '(%d+)$') or call('ZSCORE', key('gone'), member)
local floor = call('HGET', key('clock'), 'floor')
local least = math.max(tonumber(floor), last and tonumber(last) + 1 or 0)
if tonumber(signed) < least then return { 'refused', string.format('%d', least) } end
if not held then
  if call('HLEN', key('held')) >= limits.maxRegistrations then
    return { 'full', limits.maxRegistrations .. ' registrations' }
  end
  if (tonumber(call('HGET', key('peers'), id)) or 0) >= limits.maxRegistrationsPerPeer then
    return { 'full', limits.maxRegistrationsPerPeer .. ' namespaces of one peer' }
  end
end
local known = open(ns, ARGV[10])
if not known then return { 'full', limits.maxNamespaces .. ' namespaces' } end
local entry = cjson.decode(ARGV[8])
local before = call('HGET', key('set:' .. ns), id)
if before then
  local old = cjson.decode(before)
  entry.joined, entry.registeredAtMs = old.joined, old.registeredAtMs
else
  entry.joined = known.version + 1
end
local text = cjson.encode(entry)
if not held then
  call('ZREM', key('gone'), member)
  call('HINCRBY', key('peers'), id, 1)
end
call('HSET', key('held'), member, lease .. ' ' .. duration .. ' ' .. signed)
call('ZADD', key('leases'), clock() + tonumber(duration), member)
call('HSET', key('set:' .. ns), id, text)
call('ZREM', key('idle'), ns)
change(ns, id, text)
return { 'registered', duration }
`;

/** namespace, id, lease */
export const renewScript: string = `${common}
local member = ARGV[4] .. ' ' .. ARGV[3]
local held, problem = find(member, ARGV[5])
if not held then return { problem } end
call('ZADD', key('leases'), clock() + held.duration, member)
return { 'renewed', tostring(held.duration), tostring(namespace(ARGV[3]).version) }
`;

/** namespace, id, lease, how long it has left */
export const releaseScript: string = `${common}
local member = ARGV[4] .. ' ' .. ARGV[3]
if find(member, ARGV[5]) then call('ZADD', key('leases'), 'LT', clock() + tonumber(ARGV[6]), member) end
return { 'released' }
`;

/** namespace, id, lease */
export const unregisterScript: string = `${common}
local member = ARGV[4] .. ' ' .. ARGV[3]
local held, problem = find(member, ARGV[5])
if not held then return { problem } end
finish(member)
return { 'renewed', '0', tostring(namespace(ARGV[3]).version) }
`;

/** namespace, an epoch for one that is to be made, or '' */
export const snapshotScript: string = `${common}
local known = namespace(ARGV[3])
if not known and ARGV[4] ~= '' then
  known = open(ARGV[3], ARGV[4])
end
if not known then return { 'none' } end
return { 'set', known.epoch, string.format('%d', known.version), call('HVALS', key('set:' .. ARGV[3])) }
`;

/** instance, what was signed earlier is refused by its date (microseconds), namespaces that are watched, in JSON */
export const sweepScript: string = `${common}
local now = clock()
for _, ns in ipairs(cjson.decode(ARGV[5])) do
  if call('ZSCORE', key('idle'), ns) then call('ZADD', key('idle'), now, ns) end
end
call('ZADD', key('instances'), now + ${instanceMs}, ARGV[3])
for _, dead in ipairs(call('ZRANGEBYSCORE', key('instances'), '-inf', now)) do
  call('ZREM', key('instances'), dead)
  local seats = call('HGETALL', key('seats'))
  for at = 1, #seats, 2 do
    if cjson.decode(seats[at + 1]).instance == dead then leave(seats[at]) end
  end
end
for _, member in ipairs(call('ZRANGEBYSCORE', key('leases'), '-inf', now, 'LIMIT', 0, ${maxEndedAtOnce})) do
  finish(member)
end
local function forget(upTo)
  local newest = call('ZREVRANGEBYSCORE', key('gone'), upTo, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if newest[2] then
    local floor = tonumber(call('HGET', key('clock'), 'floor')) or 0
    if tonumber(newest[2]) >= floor then
      call('HSET', key('clock'), 'floor', string.format('%d', tonumber(newest[2]) + 1))
    end
    call('ZREMRANGEBYSCORE', key('gone'), '-inf', upTo)
  end
end
forget('(' .. ARGV[4])
local surplus = call('ZCARD', key('gone')) - limits.maxRegistrations
if surplus > 0 then
  forget(call('ZRANGE', key('gone'), surplus - 1, surplus - 1, 'WITHSCORES')[2])
end
for _, ns in ipairs(call('ZRANGEBYSCORE', key('idle'), '-inf', now - ${idleMs})) do
  call('ZREM', key('idle'), ns)
  call('HDEL', key('namespaces'), ns)
end
local last = call('XREVRANGE', key('log'), '+', '-', 'COUNT', 1)
return { last[1] and last[1][1] or '0-0', call('HGETALL', key('namespaces')) }
`;

/** ticket, id, namespace, pool, instance, id of the pair */
export const joinScript: string = `${common}
local ticket, id, ns, name, instance = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local pool = ns .. '\\0' .. name
local older = call('HGET', key('tickets'), id .. '\\0' .. pool)
if older then
  leave(older)
  write('type', 'replaced', 'ticket', older)
end
local seat = { id = id, namespace = ns, pool = name, instance = instance }
call('HSET', key('tickets'), id .. '\\0' .. pool, ticket)
local first = call('HGET', key('waiting'), pool)
if first then
  local other = cjson.decode(call('HGET', key('seats'), first))
  other.partner, seat.partner = ticket, first
  call('HSET', key('seats'), first, cjson.encode(other), ticket, cjson.encode(seat))
  call('HDEL', key('waiting'), pool)
  write('type', 'paired', 'ticket', first, 'pair', ARGV[8], 'partner', id, 'first', '1')
  write('type', 'paired', 'ticket', ticket, 'pair', ARGV[8], 'partner', other.id, 'first', '0')
else
  call('HSET', key('seats'), ticket, cjson.encode(seat))
  call('HSET', key('waiting'), pool, ticket)
end
return { 'joined' }
`;

/** tickets */
export const leaveScript: string = `${common}
for at = 3, #ARGV do leave(ARGV[at]) end
return { 'left' }
`;

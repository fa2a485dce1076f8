// The scenarios of reference.jsonl that walcast must answer alike: name -> what the clients do.
import { ENCODING } from '../integration/lib/binary.mjs'
import { mint, secondsFromNow, tokenFor } from '../integration/lib/token.mjs'
import { USERS } from './normalise.mjs'

const WRONG_SECRET = { secret: 'wrong-secret-wrong-secret-wrong!' }
const PLAIN = { event: '*', schema: 'public', table: 'golden_plain' }
const message = (event, payload) => ({ type: 'broadcast', event, payload })
const track = (payload) => ({ type: 'presence', event: 'track', payload })
const exp = () => secondsFromNow(100)
const ALL_FILTERS = ['id=eq.1', 'id=neq.1', 'id=lt.2', 'id=lte.2', 'id=gt.2', 'id=gte.2', 'id=in.(1,3)', 't=like.a%', 't=ilike.A%',
  't=match.^[ab]', 't=imatch.^[AB]', 'n=is.null', 'n=not.is.null', 't=isdistinct.a', 't=not.eq.a', 'id=gte.2,t=like.b%',
  't=in.("a","b,c")', 't=eq."b,c"', 'id=eq.1,n=is.null']
const FILTERED = { ...PLAIN, table: 'golden_filter' }
const userToken = (user) => tokenFor('authenticated', { sub: USERS[user] })

const perVersion = {
  heartbeat: async (vsn, { open }) => {
    const a = await open('a', { vsn })
    a.send('phoenix', 'heartbeat', {}, '5', null)
  },

  'unmatched-topic': async (vsn, { open }) => {
    const a = await open('a', { vsn })
    a.send('room:x', 'phx_join', {}, '1')
    a.send('realtime:never', 'broadcast', { a: 1 }, '2')
    a.send('realtime:never', 'phx_leave', {}, '3')
  },

  'join-leave': async (vsn, { open }) => {
    const a = await open('a', { vsn })
    a.join('room')
    await a.until('phx_reply')
    a.send('realtime:room', 'phx_leave', {}, '2', '1')
  },

  rejoin: async (vsn, { open }) => {
    const a = await open('a', { vsn })
    a.join('room', {}, {}, '1')
    await a.until('phx_reply')
    a.join('room', {}, {}, '2')
  },

  'unknown-event': async (vsn, { open }) => {
    const a = await open('a', { vsn })
    a.join('room')
    await a.until('phx_reply')
    a.send('realtime:room', 'whatever', { x: 1 }, '2')
  },

  'broadcast-self-ack': async (vsn, { open }) => {
    const a = await open('a', { vsn })
    a.join('bc', { broadcast: { self: true, ack: true } })
    await a.until('phx_reply')
    a.send('realtime:bc', 'broadcast', { ...message('e', { n: 1, f: 1.5, s: 'ü😀', z: null, deep: [1, { a: [] }] }), extra: true }, '2')
    await a.until('broadcast')
    await a.until('phx_reply', 2)
  },

  'broadcast-noself-noack': async (vsn, { open }) => {
    const a = await open('a', { vsn }), b = await open('b', { vsn })
    a.join('bc2', { broadcast: { self: false } })
    await a.until('phx_reply')
    b.join('bc2')
    await b.until('phx_reply')
    a.send('realtime:bc2', 'broadcast', message('e', { n: 1 }), '2')
    await b.until('broadcast')
  },

  'broadcast-odd-payloads': async (vsn, { open }) => {
    const a = await open('a', { vsn }), b = await open('b', { vsn: '1.0.0' })
    a.join('bc3', { broadcast: { ack: true } })
    await a.until('phx_reply')
    b.join('bc3')
    await b.until('phx_reply')
    a.send('realtime:bc3', 'broadcast', {}, '2')
    await b.until('broadcast')
    a.send('realtime:bc3', 'broadcast', { event: 'x' }, '3')
    await b.until('broadcast', 2)
    await a.until('phx_reply', 3)
  },

  presence: async (vsn, { open }) => {
    const a = await open('a', { vsn }), b = await open('b', { vsn })
    for (const [c, key] of [[a, 'ka'], [b, 'kb']]) {
      c.join('pr', { presence: { enabled: true, key } })
      await c.until('presence_state')
    }
    const steps = [track({ user: 'a', n: 1 }), track({ user: 'a', n: 1 }), track({ user: 'a', n: 2 }), { type: 'presence', event: 'untrack' }]
    const diffs = [1, 1, 2, 3] // so far
    for (const [i, payload] of steps.entries()) {
      a.send('realtime:pr', 'presence', payload, String(i + 2))
      await a.until('phx_reply', i + 2)
      for (const c of [a, b]) await c.until('presence_diff', diffs[i])
    }
  },

  'presence-same-key-late-joiner': async (vsn, { open }) => {
    const a = await open('a', { vsn }), b = await open('b', { vsn })
    for (const [c, u] of [[a, 'one'], [b, 'two']]) {
      c.join('pk', { presence: { enabled: true, key: 'k' } })
      await c.until('presence_state')
      c.send('realtime:pk', 'presence', track({ u }), '2')
      await c.until('phx_reply', 2)
      await c.until('presence_diff')
    }
    await a.until('presence_diff', 2)
    const d = await open('d', { vsn })
    d.join('pk', { presence: { enabled: true } })
    await d.until('presence_state')
    a.end()
    await d.until('presence_diff')
    await b.until('presence_diff', 2)
  },

  'presence-errors': async (vsn, { open }) => {
    const a = await open('a', { vsn })
    a.join('pe', { presence: { enabled: true, key: 'x' } })
    await a.until('presence_state')
    const bad = [track('text'), { type: 'presence', event: 'dance' }, {}]
    for (const [i, payload] of bad.entries()) a.send('realtime:pe', 'presence', payload, String(i + 2))
    await a.until('phx_reply', 1 + bad.length)
  },

  'token-events': async (vsn, { open }) => {
    const a = await open('a', { vsn })
    a.join('tk')
    await a.until('phx_reply')
    a.send('realtime:tk', 'access_token', { access_token: tokenFor('authenticated') }, '2')
    await a.settle()
    a.send('realtime:tk', 'access_token', { access_token: 'potato' }, '3')
    await a.until('phx_close')
    a.join('tk2', {}, {}, '4')
    await a.until('phx_reply', 2)
    a.send('realtime:tk2', 'access_token', { access_token: mint({ role: 'anon', exp: secondsFromNow(-10) }) }, '5', '4')
    await a.until('phx_close', 2)
  },

  'join-bad-token': async (vsn, { open }) => {
    const a = await open('a', { vsn })
    const tokens = ['potato', mint({ role: 'anon', exp: secondsFromNow(-100) }), mint({ exp: exp() }), mint({ role: 'anon', exp: exp() }, WRONG_SECRET)]
    for (const [i, access_token] of tokens.entries()) {
      a.join(i ? `bt${i + 1}` : 'bt', {}, { access_token }, String(i + 1))
      await a.until('phx_reply', i + 1)
    }
  },

  'changes-basic': async (vsn, { open, sql }) => {
    const a = await open('a', { vsn })
    a.join('ch', { postgres_changes: [PLAIN, { ...PLAIN, event: 'INSERT', filter: 'id=eq.2' }] })
    await a.until('system')
    await sql(`insert into golden_plain values (1, 'a', null), (2, 'b', '{"x": [1, 2.50]}')`)
    await sql(`update golden_plain set t = 'c' where id = 1`)
    await sql('update golden_plain set id = 10 where id = 1')
    await sql('delete from golden_plain')
    await a.until('postgres_changes', 6)
  },

  'changes-errors': async (vsn, { open }) => {
    const bad = [{ ...PLAIN, event: 'INSERT', table: 'nope' }, { ...PLAIN, filter: 'nocol=eq.1' }, { ...PLAIN, filter: 'id=eq.abc' },
      { ...PLAIN, filter: 'id=zz.1' }, { ...PLAIN, filter: 'id=in.1,2' }, { ...PLAIN, filter: 'id=eq.1,' }]
    for (const [i, binding] of bad.entries()) {
      const c = await open(`c${i}`, { vsn })
      c.join(`er${i}`, { postgres_changes: [binding] })
      await c.until('system')
    }
  },
}

const once = {
  'cross-versions': async ({ open }) => {
    const a = await open('a', { vsn: '1.0.0' }), b = await open('b', { vsn: '2.0.0' })
    for (const c of [a, b]) {
      c.join('xv', { broadcast: { ack: true } })
      await c.until('phx_reply')
    }
    a.send('realtime:xv', 'broadcast', message('from1', { a: 1 }), '2')
    await b.until('broadcast')
    b.push('xv', 'from2', '{"b":2}')
    await a.until('broadcast')
    b.push('xv', 'bytes', Buffer.from([0, 255, 222]), { encoding: ENCODING.BYTES })
    b.send('realtime:xv', 'broadcast', message('text2', { t: 1 }), '8')
    await a.until('broadcast', 2)
    await b.until('phx_reply', 4)
  },

  'binary-self': async ({ open }) => {
    const a = await open('a', { vsn: '2.0.0' })
    a.join('bs', { broadcast: { self: true, ack: true } })
    await a.until('phx_reply')
    a.push('bs', 'bytes', Buffer.from([1, 2, 3]), { encoding: ENCODING.BYTES })
    await a.until('binary')
    a.push('bs', 'json', '{"k":1.0}')
    await a.until('binary', 2)
    a.push('bs', 'meta', '{}', { meta: '{bad' })
    await a.until('phx_reply', 3)
  },

  'join-validation': async ({ open }) => {
    const a = await open('a')
    const configs = [{ private: 'true' }, { private: 'yes' }, { broadcast: { self: 'True', ack: 1 } }, { presence: { key: 7, enabled: true } },
      { presence: { key: '', enabled: 'false' } }, { postgres_changes: null }, { postgres_changes: [null] }, { broadcast: null, presence: null }]
    for (const [i, config] of configs.entries()) {
      a.join(`jv${i + 1}`, config, {}, String(i + 1))
      await a.until('phx_reply', i + 1)
      if (config.presence?.enabled === true) await a.until('presence_state')
    }
    a.join('', {}, {}, '50')
    await a.until('phx_reply', configs.length + 1)
  },

  'private-channel': async ({ open }) => {
    const u1 = await open('u1', { token: userToken('u1') }), anon = await open('anon')
    u1.join('golden-private', { private: true, broadcast: { self: true, ack: true }, presence: { enabled: true, key: 'k' } })
    await u1.until('presence_state')
    u1.send('realtime:golden-private', 'broadcast', message('e', { a: 1 }), '2')
    await u1.until('broadcast')
    await u1.until('phx_reply', 2)
    u1.send('realtime:golden-private', 'presence', track({ u: 1 }), '3')
    await u1.until('presence_diff')
    await u1.until('phx_reply', 3)
    anon.join('golden-private', { private: true })
    await anon.until('phx_reply')
    const readonly = await open('readonly', { token: userToken('u1') })
    readonly.join('golden-readonly', { private: true, broadcast: { self: true, ack: true } })
    await readonly.until('phx_reply')
    readonly.send('realtime:golden-readonly', 'broadcast', message('e', {}), '2')
  },

  'db-broadcast': async ({ open, sql }) => {
    const v1 = await open('v1', { token: userToken('u1') }), v2 = await open('v2', { token: userToken('u1'), vsn: '2.0.0' })
    const pub = await open('pub')
    for (const c of [v1, v2]) {
      c.join('golden-private', { private: true })
      await c.until('phx_reply')
    }
    pub.join('golden-open')
    await pub.until('phx_reply')
    await sql(`select realtime.send('{"a":1}'::jsonb, 'ev', 'golden-private', true)`)
    await sql(`select realtime.send('{"id":"mine","a":2}'::jsonb, 'ev', 'golden-open', false)`)
    await sql(`select realtime.broadcast_changes('golden-private', 'INSERT', 'INSERT', 'golden_plain', 'public',
      (select r from (select 1 as id, 'x'::text as t) r), null)`)
    await v1.until('broadcast', 2)
    await v2.until('binary', 2)
    await pub.until('broadcast')
  },

  replay: async ({ open, sql }) => {
    const since = Date.now() - 500
    for (let i = 0; i < 3; i++) await sql(`select realtime.send(jsonb_build_object('i', ${i}), 'ev', 'golden-replay', true)`)
    for (const vsn of ['1.0.0', '2.0.0']) {
      const a = await open(`a${vsn[0]}`, { token: userToken('u1'), vsn })
      a.join('golden-replay', { private: true, broadcast: { replay: { since, limit: 2 } } })
      await a.until('broadcast', 2)
    }
    const e = await open('e', { token: userToken('u1') })
    e.join('x', { broadcast: { replay: { since: 1 } } })
    await e.until('phx_reply')
    e.join('golden-replay', { private: true, broadcast: { replay: { since: 'x' } } }, {}, '2')
    await e.until('phx_reply', 2)
  },

  'http-broadcast': async ({ open, call }) => {
    const a = await open('v1'), b = await open('v2', { vsn: '2.0.0' })
    for (const c of [a, b]) {
      c.join('hb')
      await c.until('phx_reply')
    }
    const headers = { authorization: `Bearer ${tokenFor('anon')}` }
    const post = (path, options) => call('POST', `/api/broadcast${path}`, { headers, ...options })
    await post('', { json: { messages: [{ topic: 'hb', event: 'one', payload: { a: 1 } }, { topic: 'hb', event: 'two', payload: {}, id: 'given' }] } })
    await post('/hb/events/single', { json: { s: 1 } })
    await post('/hb/events/arr', { json: [1, 2] })
    await post('/hb/events/bin', { headers: { ...headers, 'content-type': 'application/octet-stream' }, body: 'abc' })
    await a.until('broadcast', 4)
    await b.until('binary', 3)
    await post('', { json: { messages: [{ topic: 'hb' }, {}] } })
    await post('', { json: {} })
    await post('', { headers: {}, json: { messages: [] } })
    await post('', { headers: { authorization: 'Bearer potato' }, json: { messages: [] } })
    await post('/hb/events/x', { headers: { ...headers, 'content-type': 'text/plain' }, body: 'x' })
    await post('', { body: '{bad' })
    await post('', { host: 'nobody.localhost', json: { messages: [] } })
  },

  garbage: async ({ open }) => {
    const a = await open('a')
    for (const text of ['not json', '', '[]', '{"topic":"x"}', '"str"', Buffer.from([0, 1, 2, 3])]) a.raw(text)
    a.send('phoenix', 'heartbeat', {}, '7', null)
    const b = await open('b', { vsn: '2.0.0' })
    for (const text of ['{}', '[1,2]', Buffer.from([9, 9]), Buffer.from([3, 255])]) b.raw(text)
    b.send('phoenix', 'heartbeat', {}, '7', null)
  },

  types: async ({ open, sql }) => {
    const a = await open('a', { token: tokenFor('service_role') })
    a.join('ty', { postgres_changes: [{ ...PLAIN, table: 'golden_types' }] })
    await a.until('system')
    await sql(`insert into golden_types values (1, true, 32767, -2147483648, 9223372036854775807, 1.5, 0.1, 'NaN',
      12345678901234567890.12345, 'text "q" \\ é 😀', 'vc', 'ch', '\\xdeadbeef', '3f2504e0-4f89-41d3-9a0c-0305e82c3301',
      '2024-02-29', '13:14:15.123456', '13:14:15+02', '2024-02-29 13:14:15.123456', '2024-02-29 13:14:15.1+02',
      '1 year 2 mons 3 days 04:05:06.7', '{"b": 2, "a": [1.0, null]}', '{"b": 2, "a": [1.0, null]}', '{1,2,NULL}',
      '{"a","b,c",NULL,"q\\"q"}', '{{1,2},{3,4}}', '[1,5)', '10.0.0.1/24', '1010', '12.34', '(1,2)', 'ok', 7,
      '{2024-01-01,infinity}', 'infinity', '-infinity')`)
    await sql('update golden_types set b = not b where id = 1')
    await sql('insert into golden_types (id) values (2)')
    await sql('delete from golden_types')
    await a.until('postgres_changes', 5)
  },

  toast: async ({ open, sql }) => {
    const a = await open('a')
    a.join('to', { postgres_changes: ['golden_toast', 'golden_toast_full'].map((table) => ({ event: 'UPDATE', schema: 'public', table })) })
    await a.until('system')
    for (const table of ['golden_toast', 'golden_toast_full']) {
      await sql(`insert into ${table} select 1, (select string_agg(md5(i::text), '') from generate_series(1, 400) i), 1`)
      await sql(`update ${table} set n = 2`)
    }
    await a.until('postgres_changes', 2)
    await sql('delete from golden_toast')
    await sql('delete from golden_toast_full')
  },

  filters: async ({ open, sql }) => {
    const a = await open('a', { token: tokenFor('service_role') })
    a.join('fi', { postgres_changes: ALL_FILTERS.map((filter) => ({ ...FILTERED, filter })) })
    await a.until('system')
    await sql(`insert into golden_filter values (1, 'a', null), (2, 'b,c', 5), (3, 'bb', null)`)
    await sql(`update golden_filter set t = 'a' where id = 3`)
    await sql('delete from golden_filter')
    await a.until('postgres_changes', 7)
  },

  select: async ({ open, sql }) => {
    const a = await open('a', { token: tokenFor('service_role') })
    a.join('se', { postgres_changes: [{ ...FILTERED, select: ['t'] }, FILTERED] })
    await a.until('system')
    await sql(`insert into golden_filter values (1, 'a', null)`)
    await sql('delete from golden_filter')
    await a.until('postgres_changes', 4)
  },

  // each step waits for the one before: a row is judged as it stands when it is looked at
  rls: async ({ open, sql }) => {
    const u1 = await open('u1', { token: userToken('u1') }), u2 = await open('u2', { token: userToken('u2') })
    const svc = await open('svc', { token: tokenFor('service_role') }), anon = await open('anon')
    const all = [u1, u2, svc, anon]
    const seen = (...counts) => Promise.all(counts.map((n, i) => all[i].until('postgres_changes', n)))
    for (const c of all) {
      c.join('rls', { postgres_changes: [{ ...PLAIN, table: 'golden_rls' }] })
      await c.until('system')
    }
    await sql(`insert into golden_rls values (1, '${USERS.u1}', 'mine', 's'), (2, '${USERS.u2}', 'yours', 's')`)
    await seen(1, 1, 2, 0)
    await sql(`update golden_rls set owner = '${USERS.u2}' where id = 1`)
    await seen(1, 2, 3, 0)
    await sql('delete from golden_rls')
    await seen(3, 4, 5, 2)
  },

  'no-pk-and-privs': async ({ open, sql }) => {
    const a = await open('a', { token: userToken('u1') })
    a.join('np', { postgres_changes: ['golden_nopk', 'golden_secret'].map((table) => ({ ...PLAIN, table })) })
    await a.until('system')
    await sql(`insert into golden_nopk values (1, 'a')`)
    await sql(`insert into golden_secret values (1, 'shown', 'hidden')`)
    await sql(`update golden_secret set hidden = 'x'`)
    await sql('delete from golden_secret')
    await a.until('postgres_changes', 4)
  },

  'big-row': async ({ open, sql }) => {
    const a = await open('a', { token: tokenFor('service_role') })
    a.join('bg', { postgres_changes: [FILTERED] })
    await a.until('system')
    await sql(`insert into golden_filter values (77, repeat('x', 1200000), 5)`)
    await sql('delete from golden_filter')
    await a.until('postgres_changes', 2)
  },

  'connect-refusals': async ({ open }) => {
    await open('nokey', { token: null })
    await open('potato', { token: 'potato' })
    await open('badsig', { token: mint({ role: 'anon', exp: exp() }, WRONG_SECRET) })
    await open('expired', { token: mint({ role: 'anon', exp: secondsFromNow(-100) }) })
    await open('norole', { token: mint({ exp: exp() }) })
    await open('noexp', { token: mint({ role: 'anon' }) })
    await open('tenant', { host: 'nobody.localhost' })
    await open('vsn', { vsn: '3.0.0' })
  },

  'connect-algs': async ({ open }) => {
    for (const alg of ['HS384', 'HS512']) {
      const c = await open(alg, { token: mint({ role: 'anon', exp: exp() }, { alg }) })
      c.send('phoenix', 'heartbeat', {}, '1', null)
    }
    const c = await open('xapikey', { token: null, headers: { 'x-api-key': tokenFor('anon') } })
    c.send('phoenix', 'heartbeat', {}, '1', null)
  },
}

export const scenarios = { ...once }
for (const [name, run] of Object.entries(perVersion)) {
  scenarios[`${name}-v1`] = (s) => run('1.0.0', s)
  scenarios[`${name}-v2`] = (s) => run('2.0.0', s)
}

/** Those of a server in control-store mode; `apiToken` opens its API. */
export const adminScenarios = {
  'http-admin': async ({ call, apiToken }) => {
    const headers = { authorization: `Bearer ${apiToken}` }
    await call('GET', '/healthcheck')
    await call('GET', '/api/tenants/realtime-dev', { headers })
    await call('GET', '/api/tenants/nobody', { headers })
    await call('GET', '/api/tenants/realtime-dev')
    await call('GET', '/api/tenants/realtime-dev', { headers: { authorization: 'Bearer x' } })
    await call('GET', '/api/tenants/realtime-dev/health', { headers })
    await call('POST', '/api/tenants', { headers, json: { tenant: { name: 'x' } } })
    await call('POST', '/api/tenants', { headers, json: {} })
    await call('GET', '/no/such/route')
    await call('GET', '/api/ping')
  },
}

// The scenarios of reference.jsonl that walcast must answer alike: name -> what the clients do.
import { mint, secondsFromNow, tokenFor } from '../integration/lib/token.mjs'

const WRONG_SECRET = { secret: 'wrong-secret-wrong-secret-wrong!' }
const PLAIN = { event: '*', schema: 'public', table: 'golden_plain' }
const exp = () => secondsFromNow(100)

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
  garbage: async ({ open }) => {
    const a = await open('a')
    for (const text of ['not json', '', '[]', '{"topic":"x"}', '"str"', Buffer.from([0, 1, 2, 3])]) a.raw(text)
    a.send('phoenix', 'heartbeat', {}, '7', null)
    const b = await open('b', { vsn: '2.0.0' })
    for (const text of ['{}', '[1,2]', Buffer.from([9, 9]), Buffer.from([3, 255])]) b.raw(text)
    b.send('phoenix', 'heartbeat', {}, '7', null)
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

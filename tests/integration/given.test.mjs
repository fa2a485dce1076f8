// What policies make of a token's claims, asked of a real Postgres once for each context; the rules
// that ask are made up here, so that they can ask anything.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Cluster } from './lib/cluster.mjs'
import { Givens } from './lib/given.mjs'
import { until } from './lib/wait.mjs'

const ALICE = '11111111-1111-4111-8111-111111111111'
const HEX = ALICE.replaceAll('-', '')
const PID = 'text:pg_catalog.pg_backend_pid()::text'

const range = (n) => Array.from({ length: n }, (_, i) => i)

let cluster
before(async () => {
  cluster = await Cluster.start({ conf: { max_connections: 60 } })
  await cluster.sql(`
    create table flag (up boolean); insert into flag values (true); grant select on flag to public;
    create function while_up() returns text stable language plpgsql as
      $$ begin if (select up from public.flag) then raise sqlstate '40001'; end if; return 'passed'; end $$;
    create function forgets() returns text language plpgsql as $$ begin execute 'deallocate all'; return 'done'; end $$;
    create function ends() returns text security definer language sql as $$ select pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())::text $$;
    create function ends_for(text) returns text language plpgsql as
      $$ begin if $1 = 'x' then perform public.ends(); end if; return $1; end $$;
    create function secret() returns text language sql as $$ select 'x' $$; revoke execute on function secret() from public`)
})
after(() => cluster?.remove())

test('values are what Postgres makes of the claims', async (t) => {
  const givens = Givens.start(t, cluster)
  const alice = givens.context({ sub: ALICE, org: 'a "b" \\ {c}', level: '07', teams: [3, 1, 2] })
  const ask = async (...slots) => (await givens.of(givens.rules(slots), alice)).values
  assert.deepEqual(await ask('uuid:auth.uid()'), [HEX])
  assert.deepEqual(await ask('uuid:(select auth.uid())', `text:auth.jwt() ->> 'org'`), [HEX, 'a "b" \\ {c}'])
  assert.deepEqual(await ask(`text:(auth.jwt() ->> 'level')::integer`), ['7'])
  assert.deepEqual(await ask(`text:(current_setting('request.jwt.claims', true))::json ->> 'none'`, 'text:current_user'), ['\\N', 'authenticated'])
  assert.deepEqual(await ask(`list:array(select jsonb_array_elements_text(auth.jwt() -> 'teams'))`), ['1,2,3'])
  assert.deepEqual(await ask(`text:current_setting('search_path')`), [''])
})

test('what is true or false whatever the row is says so', async (t) => {
  const givens = Givens.start(t, cluster)
  const alice = givens.context({ sub: ALICE, admin: true })
  const ask = async (...slots) => (await givens.of(givens.rules(slots), alice)).outcome
  assert.equal(await ask(`truth:(auth.jwt() ->> 'admin')::boolean`), 'EVERYBODY')
  assert.equal(await ask(`truth:(auth.jwt() ->> 'other')::boolean`), 'NOBODY')
  assert.equal(await ask(`truth:false`, 'uuid:auth.uid()'), 'SOME')
})

test('without questions it is known at once, and nobody connects', async (t) => {
  const givens = Givens.start(t, cluster, { DB_PORT: '1' })
  assert.deepEqual(await givens.of(givens.rules([]), givens.context()), { n: 0, state: 'KNOWN', outcome: 'NOBODY', values: [] })
})

test('what cannot be evaluated fails with its SQLSTATE', async (t) => {
  const givens = Givens.start(t, cluster)
  const uid = givens.rules(['uuid:auth.uid()']), whole = givens.rules([`text:auth.jwt() ->> 'large'`])
  const fails = async (rules, context, sqlstate) => {
    const { state, ...rest } = await givens.of(rules, context)
    assert.equal(`${state} ${rest.sqlstate}`, `FAILED ${sqlstate}`)
  }
  await fails(uid, givens.context({ sub: 'not a uuid' }), '22P02')
  await fails(givens.rules(['text:public.secret()']), givens.context(), '42501')
  await fails(givens.rules(['text:public.nosuch()']), givens.context(), '42883')
  await fails(uid, givens.context({}, 'nosuchrole'), '22023')
  for (const role of ['', 'none']) await fails(uid, givens.context({}, role), '22023')
  await fails(whole, givens.context({ large: 'x'.repeat(70_000) }), '54000')
  await fails(givens.rules(['uuid:\'no uuid\'::text']), givens.context(), '')
  assert.deepEqual((await givens.of(uid, givens.context({ sub: ALICE }))).values, [HEX], 'and others do not')
})

test('rules that ask the same get the same values, but failures are asked again', async (t) => {
  const givens = Givens.start(t, cluster)
  const alice = givens.context({ sub: ALICE }), bad = givens.context({ sub: 'bad' })
  const first = givens.rules([PID, 'uuid:auth.uid()']), second = givens.again(first)
  const a = await givens.of(first, alice), b = await givens.get(second, alice)
  assert.deepEqual([b.state, b.values], ['KNOWN', a.values])
  assert.equal((await givens.get(first, alice)).state, 'KNOWN')
  assert.equal((await givens.of(first, bad)).state, 'FAILED')
  assert.equal((await givens.get(second, bad)).state, 'WAITING')
  await givens.wait()
  for (const { n } of [a, b, { n: 2 }]) givens.say('unref', n)
  assert.equal((await givens.get(first, alice)).state, 'WAITING', 'nobody needed them any more')
  await givens.wait()
})

test('those who wait for the same are told together, however many', async (t) => {
  const givens = Givens.start(t, cluster)
  const alice = givens.context({ sub: ALICE })
  const first = givens.rules(['uuid:auth.uid()']), all = [first, ...range(9).map(() => givens.again(first))]
  for (const rules of all) assert.equal((await givens.get(rules, alice)).state, 'WAITING')
  const known = await givens.wait()
  assert.deepEqual(range(10).map((n) => known.get(n).values[0]), range(10).map(() => HEX))
})

test('sessions are of one set of owners each, and of nobody when no code of theirs runs', async (t) => {
  const givens = Givens.start(t, cluster)
  const of = { a: givens.rules([PID], { owners: 'a' }), b: givens.rules([PID], { owners: 'b' }), ab: givens.rules([PID], { owners: 'a b' }), none: givens.rules([PID]) }
  const pids = { a: new Set(), b: new Set(), ab: new Set() }
  const owner = []
  for (const i of range(60)) {
    const who = ['a', 'b', 'ab'][i % 3]
    owner[(await givens.get(of[who], givens.context({ i }))).n] = who
  }
  for (const [n, { values }] of await givens.wait()) pids[owner[n]].add(values[0])
  for (const set of Object.values(pids)) assert.equal(set.size, 1)
  assert.equal(new Set(Object.values(pids).flatMap((set) => [...set])).size, 3)
  assert.ok(!Object.values(pids).some((set) => set.has('')))
  const { values: [free] } = await givens.of(of.none, givens.context())
  assert.ok(!Object.values(pids).some((set) => set.has(free)), 'a session that ran code is nobody else\'s')
})

test('owners take turns', async (t) => {
  const givens = Givens.start(t, cluster)
  const crowd = givens.rules(['uuid:auth.uid()'], { owners: 'crowd' }), one = givens.rules(['uuid:auth.uid()'], { owners: 'one' })
  await givens.of(crowd, givens.context({ sub: ALICE }))
  for (const i of range(3000)) givens.say('get', crowd, givens.context({ sub: ALICE, i }))
  givens.say('get', one, givens.context({ sub: ALICE }))
  for (const _ of range(3001)) await givens.next()
  const order = [...(await givens.wait()).keys()]
  assert.equal(order.length, 3001)
  assert.ok(order.indexOf(3001) < 2500, `known as number ${order.indexOf(3001)}`)
})

test('an error that passes is asked again, and others do not wait for it', async (t) => {
  const givens = Givens.start(t, cluster)
  const slow = await givens.get(givens.rules(['text:public.while_up()']), givens.context())
  const quick = await givens.get(givens.rules(['text:\'here\'::text']), givens.context({ a: 1 }))
  givens.say('wait')
  assert.equal((await givens.next()).n, quick.n)
  await cluster.sql('update flag set up = false')
  const { n, values } = await givens.next()
  assert.deepEqual([n, values], [slow.n, ['passed']])
})

test('code that deallocates everything delays others and no more', async (t) => {
  const givens = Givens.start(t, cluster)
  const bad = givens.rules(['text:public.forgets()'], { owners: 'o' }), good = givens.rules(['uuid:auth.uid()'], { owners: 'o' })
  for (const i of range(60)) await givens.get(i % 20 ? good : bad, givens.context({ sub: ALICE, i }))
  const known = await givens.wait()
  assert.deepEqual(range(60).map((n) => known.get(n).sqlstate ?? known.get(n).values[0]), range(60).map((i) => (i % 20 ? HEX : 'done')))
})

test('a question that ends its connection fails, and those beside it do not', async (t) => {
  const givens = Givens.start(t, cluster)
  const rules = givens.rules([`text:public.ends_for(auth.jwt() ->> 'org')`], { owners: 'o' })
  for (const i of range(20)) await givens.get(rules, givens.context({ org: i === 7 ? 'x' : `${i}` }))
  const known = await givens.wait()
  for (const i of range(20)) assert.equal(known.get(i).sqlstate ?? known.get(i).values[0], i === 7 ? '08006' : `${i}`)
})

test('two hundred that wait while Postgres is away become known when it is back', async (t) => {
  const givens = Givens.start(t, cluster)
  const rules = givens.rules(['uuid:auth.uid()'])
  await givens.of(rules, givens.context({ sub: ALICE }))
  await cluster.stop('immediate')
  for (const i of range(200)) await givens.get(rules, givens.context({ sub: ALICE, i }))
  const waiting = givens.wait()
  await cluster.boot()
  const known = await waiting
  assert.equal(known.size, 200)
  for (const { state } of known.values()) assert.equal(state, 'KNOWN')
})

test('a restart in the middle of two thousand fails none of them', async (t) => {
  const givens = Givens.start(t, cluster)
  const rules = givens.rules(['uuid:auth.uid()'])
  for (const i of range(2000)) givens.say('get', rules, givens.context({ sub: ALICE, i }))
  for (const _ of range(2000)) await givens.next()
  const waiting = givens.wait()
  await cluster.restart('immediate')
  const known = await waiting
  assert.equal([...known.values()].filter(({ values }) => values?.[0] === HEX).length, 2000)
})

test('all is given back while questions are under way', async (t) => {
  const givens = Givens.start(t, cluster)
  const rules = [givens.rules(['uuid:auth.uid()']), givens.rules([PID], { owners: 'o' })]
  const contexts = range(300).map((i) => givens.context({ sub: ALICE, i }))
  for (const turns of [0, 1, 2, 3, 5, 8, 13, 30]) {
    await givens.of(rules[turns % 2], contexts[0])
    for (const c of contexts) await givens.get(rules[c % 2], c)
    givens.say('turns', turns)
    await givens.free()
  }
  for (const c of contexts) await givens.get(rules[0], c)
  await givens.wait()
  for (const c of contexts.slice(1)) givens.say('unref', c)
  assert.deepEqual((await givens.of(rules[0], givens.context({ sub: ALICE }))).values, [HEX])
})

test('who is told may give back and ask on', async (t) => {
  const givens = Givens.start(t, cluster)
  const rules = givens.rules(['uuid:auth.uid()'])
  const contexts = range(10).map((i) => givens.context({ sub: ALICE, i }))
  givens.say('chain', 200)
  await givens.get(rules, contexts[0])
  const known = await givens.wait()
  assert.equal(known.size, 201)
})

test('a connection that nobody needs is closed', { skip: !process.env.TESTS_FULL && 'takes more than a minute: TESTS_FULL=1' }, async (t) => {
  const sessions = async () => Number((await cluster.sql(`select count(*) from pg_stat_activity where application_name = 'walcast_checks'`))[0].count)
  await until(async () => (await sessions()) === 0, 'the end of those of other tests')
  const givens = Givens.start(t, cluster), rules = givens.rules(['uuid:auth.uid()'])
  await givens.of(rules, givens.context({ sub: ALICE }))
  assert.equal(await sessions(), 1)
  await until(async () => { givens.say('turns', 1); return (await sessions()) === 0 }, 'the end of the session', 90_000)
  assert.equal((await givens.of(rules, givens.context({ sub: ALICE, again: 1 }))).state, 'KNOWN')
})

test('contexts are asked about in a pipeline', async (t) => {
  const givens = Givens.start(t, cluster)
  const rules = givens.rules(['uuid:auth.uid()'])
  await givens.many(rules, 100)
  const { ms, bytes } = await givens.many(givens.rules(['uuid:(select auth.uid())']), 2000)
  t.diagnostic(`${Math.round(2000 / (ms / 1000))} contexts/s, ${Math.round(bytes / 2000)} bytes each (0 under ASan)`)
})

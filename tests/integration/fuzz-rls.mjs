// make fuzz-rls: row security as walcast decides it against SELECT, for as long as you like: random
// rounds through servers, and of the compiler alone, which are faster, in turn.
//   COMPARISONS  how many (a million, unless SECONDS is set); SECONDS  for how long; SEED  repeats the rounds
import { Cluster } from './lib/cluster.mjs'
import { Rounds } from './lib/differential.mjs'
import { PolicyRounds } from './lib/policyrounds.mjs'
import { Random } from './lib/random.mjs'
import { Server } from './lib/server.mjs'

const SEED = Number(process.env.SEED || Date.now() % 1_000_000_000), SECONDS = Number(process.env.SECONDS || Infinity)
const COMPARISONS = Number(process.env.COMPARISONS || (SECONDS === Infinity ? 1_000_000 : Infinity))
const ROWS = 120, REPORT_SECONDS = 30
const SERVERS_SHARE = 0.5 // of the time

const started = Date.now(), seconds = () => (Date.now() - started) / 1000
const spent = { servers: 0, compiler: 0 }

const cluster = await Cluster.start(), servers = {}
const through = new Rounds({ cluster, sql: cluster.sql.bind(cluster) }, servers, new Random(SEED), SEED)
const alone = new PolicyRounds(cluster, new Random(SEED + 1), SEED + 1, ROWS)

const line = () => `seed ${SEED}: ${through.compared + alone.compared} comparisons in ${seconds().toFixed()} s, ${through.compared} through servers ` +
  `(${through.exact} exact, ${through.shown} rows shown, ${through.judged} old rows), ${alone.compared} of the compiler (${alone.policies} policies)`

async function timed(what, work) {
  const since = Date.now()
  await work()
  spent[what] += Date.now() - since
}

try {
  await through.prepare()
  await alone.prepare({ hasPool: true })
  servers.compiled = await Server.start({ ...cluster.serverEnv, DELETE_UNDER_RLS: 'judged' })
  servers.delegated = await Server.start({ ...cluster.serverEnv, RLS_COMPILE: 'off' })
  for (let told = 0; through.compared + alone.compared < COMPARISONS && seconds() < SECONDS;) {
    if (spent.servers <= SERVERS_SHARE * (spent.servers + spent.compiler)) await timed('servers', () => through.round())
    else await timed('compiler', () => alone.round())
    if (seconds() - told < REPORT_SECONDS) continue
    told = seconds()
    console.error(line())
  }
  await alone.close()
  for (const server of Object.values(servers)) await server.stop()
  console.log(`${line()}: no difference`)
} catch (error) {
  console.error(`${line()}\nSEED=${SEED} repeats it: ${error.stack}`)
  process.exitCode = 1
} finally {
  await cluster.remove()
}
process.exit()

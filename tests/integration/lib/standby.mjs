// Commits that hang: a synchronous standby is waited for that does not exist.
import { until } from './wait.mjs'

const SHORT_MS = 200

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * From here on commits hang, but those with synchronous_commit = local, as which `world.sql` and the
 * connection returned go on. `release` ends it. Setting the name is not enough: sessions wait only
 * once the checkpointer has taken it up, so a commit of our own is tried until one hangs.
 */
export async function hangCommits(world) {
  const local = await world.cluster.connect()
  await local.query('set synchronous_commit = local')
  await world.sql('set synchronous_commit = local')
  const setStandby = async (names) => {
    await local.query(`alter system set synchronous_standby_names = '${names}'`)
    await local.query('select pg_reload_conf()')
  }
  await setStandby('nobody')
  const probe = await world.cluster.connect()
  let commit
  await until(async () => {
    commit = probe.query(`select pg_logical_emit_message(true, 'probe', '')`)
    return (await Promise.race([commit, pause(SHORT_MS)])) === undefined
  }, 'a commit hangs')
  const release = async () => {
    await setStandby('')
    await commit
  }
  return { local, release }
}

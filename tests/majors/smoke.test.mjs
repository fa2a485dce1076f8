// The main job on the Postgres majors that Debian 12 does not have.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { ROOT, SLOWNESS } from '../integration/lib/env.mjs'
import { Client } from '../integration/lib/phoenix.mjs'
import { until } from '../integration/lib/wait.mjs'
import { startWorld } from '../integration/lib/world.mjs'

const MODULES = path.join(ROOT, 'tests/majors/node_modules')
const MAJORS = [13, 14, 16, 17, 18]
const BINDING = [{ event: '*', schema: 'public', table: 't' }]

/** A folder with the packages that the cluster's user can reach: a copy when it cannot reach ours. */
function reachableModules() {
  const home = execFileSync(path.join(ROOT, 'tools/cluster'), ['home', MODULES]).toString().trim()
  if (home === fs.realpathSync(MODULES)) return MODULES
  after(() => fs.rmSync(home, { recursive: true }))
  for (const major of MAJORS) fs.cpSync(path.join(MODULES, `postgres-${major}`), path.join(home, `postgres-${major}`), { recursive: true, verbatimSymlinks: true })
  return home
}

if (os.arch() !== 'x64') {
  test('other majors', { skip: `the packages are for x64, this is ${os.arch()}` }, () => {})
} else {
  const modules = reachableModules()
  for (const major of MAJORS) {
    test(`Postgres ${major}: changes arrive, the slot resumes after a restart of the server`, async (t) => {
      const bin = path.join(modules, `postgres-${major}/native/bin`)
      const world = await startWorld(t, { bin, sql: 'create table t (id int primary key, v text)', publish: ['t'], env: { SLOT_NAME: 'walcast_smoke', RESUME_GRACE_MS: '100' } })
      assert.match((await world.sql('show server_version'))[0].server_version, new RegExp(`^${major}\\.`))
      const client = await Client.open(world.server)
      t.after(() => client.close())
      await client.subscribe('smoke', BINDING)
      await world.sql(`insert into t values (1, 'a')`)
      await world.sql(`update t set v = 'b'`)
      await world.sql('delete from t')
      const kinds = (await client.untilChanges(3)).map((c) => c.data.type)
      assert.deepEqual(kinds, ['INSERT', 'UPDATE', 'DELETE'])
      await world.cluster.restart()
      await until(async () => (await world.server.health()).status === 200, 'the stream is back', 60_000 * SLOWNESS)
      await world.sql(`insert into t select i, 'row' from generate_series(1, 1000) i`)
      const rest = (await client.untilChanges(1003, 60_000 * SLOWNESS)).slice(3)
      assert.deepEqual(rest.map((c) => c.data.record.id), Array.from({ length: 1000 }, (_, i) => i + 1))
    })
  }
}

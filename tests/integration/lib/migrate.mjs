// `walcast migrate` on a test's cluster.
import { spawnSync } from 'node:child_process'
import assert from 'node:assert/strict'
import { BINARY } from './env.mjs'
import { childEnv } from './server.mjs'

/** Runs it to its end: { status, lines, stderr }. `env`: other settings than the cluster's. */
export function migrate(cluster, args = [], env = {}) {
  const { status, stdout, stderr } = spawnSync(BINARY, ['migrate', ...args], { encoding: 'utf8', env: childEnv({ ...cluster.serverEnv, ...env }), timeout: 60_000 })
  assert.doesNotMatch(stderr, /Sanitizer|runtime error/)
  return { status, lines: stdout.trim().split('\n'), stderr }
}

/** For a world's `prepare` before the server starts: everything is made, or the test fails. */
export function migrated(cluster, args = []) {
  const { status, lines, stderr } = migrate(cluster, args)
  assert.equal(status, 0, `${lines.join('\n')}${stderr}`)
}

// Who judges the rows of each table for each role, as `walcast check` says.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { BINARY } from './env.mjs'
import { childEnv } from './server.mjs'
import { SECRET } from './token.mjs'

const run = promisify(execFile)

/** Map 'table for role' (tables of public) -> null when compiled, else why not. All of them, or it throws. */
export async function rulesOf(cluster) {
  const { stdout } = await run(BINARY, ['check', '--json'], { env: childEnv({ ...cluster.serverEnv, JWT_SECRET: SECRET }), maxBuffer: 1 << 24 })
    .catch((error) => (error.code === 1 ? error : Promise.reject(error))) // something else is amiss
  const found = stdout.trim().split('\n').map((line) => JSON.parse(line)).filter((f) => f.reason.startsWith('rls_'))
  assert.ok(!found.some((f) => f.reason === 'rls_more'), 'check does not list them all')
  return new Map(found.map(({ reason, finding }) => {
    const [, table, role, says] = /^"?public"?\."?(.*?)"? for (.*?): (.*)$/s.exec(finding) // quoted as the database likes
    return [`${table} for ${role}`, reason === 'rls_compiled' ? null : says]
  }))
}

// Which Postgres the tests run against, known before any of it is started: PG_BIN's, as in tools/cluster.
import { execFileSync } from 'node:child_process'
import path from 'node:path'

const BIN = process.env.PG_BIN ?? '/usr/lib/postgresql/15/bin'

function findMajor() {
  const libraries = [path.join(BIN, '../lib'), process.env.LD_LIBRARY_PATH].filter(Boolean).join(':')
  const version = execFileSync(path.join(BIN, 'postgres'), ['--version'], { env: { ...process.env, LD_LIBRARY_PATH: libraries } }).toString()
  return Number(/\d+/.exec(version)[0])
}

export const MAJOR = findMajor()

/** Options of a test that needs a feature of a later major: skipped by name where it is missing. */
export const since = (major, feature) => (MAJOR >= major ? {} : { skip: `${feature}: not before Postgres ${major}, this is ${MAJOR}` })

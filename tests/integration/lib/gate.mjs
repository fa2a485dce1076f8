// Holds row checks back at will: policies that read the table `gate` wait while it is locked.
import { until } from './wait.mjs'

export const GATE_SQL = 'create table gate (open bool); insert into gate values (true); grant select on gate to public;'
/** A condition of a policy that waits at the gate. */
export const AT_GATE = '(select bool_and(open) from gate)'

/** Settings with which checks wait as long as a test needs, however slow the machine. */
export const PATIENT = { DB_RLS_LOCK_TIMEOUT_MS: '300000', DB_RLS_STATEMENT_TIMEOUT_MS: '600000', DB_RLS_BATCH_TIMEOUT_MS: '600000' }

/** Closes the gate. `waiting`: once a check stands before it; `open`, or the test's end, lets everything pass. */
export async function closeGate(t, world) {
  const holder = await world.cluster.connect()
  const open = () => holder.query('rollback')
  t.after(() => open().catch(() => {})) // the cluster may be gone by then
  await holder.query('begin; lock table gate in access exclusive mode')
  const isWaiting = async () => (await world.sql(`select from pg_locks where relation = 'gate'::regclass and not granted`)).length > 0
  return { waiting: () => until(isWaiting, 'a check waits at the gate'), open }
}

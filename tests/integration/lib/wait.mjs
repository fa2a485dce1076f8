// Waiting on conditions. Nothing in these tests sleeps for a fixed time and hopes.
import { SLOWNESS } from './env.mjs'

export const DEADLINE_MS = 10_000 * SLOWNESS
const POLL_MS = 20

const pause = (ms) => new Promise((done) => setTimeout(done, ms))

/** Polls until `condition` gives something truthy and returns that; throws at the deadline. */
export async function until(condition, what, deadlineMs = DEADLINE_MS) {
  const end = Date.now() + deadlineMs
  for (;;) {
    const value = await condition()
    if (value) return value
    if (Date.now() > end) throw new Error(`after ${deadlineMs} ms still not: ${typeof what === 'function' ? what() : what}`)
    await pause(POLL_MS)
  }
}

/**
 * For "this never arrives": watches for `ms` and throws as soon as the condition holds. Use only
 * after something that would arrive later has arrived, where the order alone does not settle it.
 */
export async function never(condition, what, ms = 500) {
  const end = Date.now() + ms
  while (Date.now() < end) {
    if (await condition()) throw new Error(`happened: ${what}`)
    await pause(POLL_MS)
  }
}

/** What the promise gives, or an error after `ms`. */
export async function deadline(promise, ms, what) {
  let timer
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`after ${ms} ms still not: ${what}`)), ms) })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

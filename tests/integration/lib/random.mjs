// Schedules and values that vary from run to run and repeat with their seed.

export class Random {
  #state

  constructor(seed) {
    this.#state = seed
  }

  /** In [0, 1). mulberry32: small, and good enough to vary a test. */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let x = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from 0 to n - 1. */
  below(n) {
    return Math.floor(this.next() * n)
  }

  chance(probability) {
    return this.next() < probability
  }

  pick(list) {
    return list[this.below(list.length)]
  }

  /** `n` values made one after the other. */
  times(n, make) {
    return Array.from({ length: n }, (_, i) => make(i))
  }

  /** `n` different ones, or all. */
  sample(list, n) {
    const rest = [...list], out = []
    while (out.length < n && rest.length) out.push(...rest.splice(this.below(rest.length), 1))
    return out
  }
}

/** The seed of a test file: `name` in the environment repeats one. */
export const seedFrom = (name) => Number(process.env[name] ?? Date.now() % 1_000_000_000)

// @supabase/realtime-js as an application uses it.
import { RealtimeClient } from '@supabase/realtime-js'
import WebSocket from 'ws'
import { tokenFor } from './token.mjs'
import { until } from './wait.mjs'

export function connect(server, { token = tokenFor('anon'), ...options } = {}) {
  return new RealtimeClient(server.socketUrl, { transport: WebSocket, params: { apikey: token }, ...options })
}

/** The client's own, whose timer of 10 s is never cleared and would keep the process. */
export function disconnect(client) {
  const { setTimeout } = globalThis
  globalThis.setTimeout = (...args) => setTimeout(...args).unref()
  try {
    return client.disconnect()
  } finally {
    globalThis.setTimeout = setTimeout
  }
}

/** A channel with bindings: what arrives, in order, and the verdicts. */
export class Subscription {
  payloads = []
  systems = []
  statuses = []

  constructor(client, name, bindings) {
    this.channel = client.channel(name)
    for (const binding of bindings) this.channel.on('postgres_changes', binding, (payload) => this.payloads.push(payload))
    this.channel.on('system', {}, (payload) => this.systems.push(payload))
    this.channel.subscribe((status, error) => this.statuses.push(error ? `${status}: ${error.message}` : status))
  }

  /** `nth`: with reconnects, the n-th verdict. */
  async verdict(nth = 1, deadlineMs) {
    await until(() => this.systems.length >= nth, () => `verdict ${nth}; statuses ${this.statuses}, systems ${JSON.stringify(this.systems)}`, deadlineMs)
    return this.systems[nth - 1]
  }

  async untilPayloads(n, deadlineMs) {
    await until(() => this.payloads.length >= n, () => `${n} payloads; got ${JSON.stringify(this.payloads.slice(-5))} of ${this.payloads.length}`, deadlineMs)
    return this.payloads
  }
}

export async function subscribe(client, name, bindings) {
  const subscription = new Subscription(client, name, bindings)
  await subscription.verdict()
  return subscription
}

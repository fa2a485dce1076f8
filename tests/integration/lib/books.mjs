// The counters of /metrics about pairs of message and channel, and whether they add up.
import { nameOf } from './metrics.mjs'

const AFTER_PUBLISHING = ['stale_generation', 'slow_consumer', 'connection_closed', 'no_memory']

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0)
const byLabel = (page, name, label) => Object.fromEntries(page.all(name).map(({ labels, value }) => [labels[label], value]))

/** Changes: { matched, published, delivered, withheld: by reason } */
export async function books(server) {
  const page = await server.metrics(), value = (name) => page.get(`walcast_changes_${name}_total`)
  return { matched: value('matched'), published: value('published'), delivered: value('delivered'), withheld: byLabel(page, 'walcast_changes_withheld_total', 'reason') }
}

/** Each pair was delivered or withheld for one reason, and nothing is under way. */
export const isBalanced = ({ matched, published, delivered, withheld }) =>
  published === delivered + sum(AFTER_PUBLISHING.map((reason) => withheld[reason])) && matched === delivered + sum(Object.values(withheld))

/** { sent: by origin, published, dropped: by reason } in messages; { recipients, delivered, withheld: by reason } in pairs of message and channel. */
export async function broadcastBooks(server) {
  const page = await server.metrics()
  return {
    sent: byLabel(page, 'walcast_broadcasts_total', 'origin'),
    published: page.get('walcast_broadcasts_published_total'),
    dropped: byLabel(page, 'walcast_broadcasts_dropped_total', 'reason'),
    recipients: page.get('walcast_broadcast_recipients_total'),
    delivered: page.get('walcast_broadcast_delivered_total'),
    withheld: byLabel(page, 'walcast_broadcast_withheld_total', 'reason'),
  }
}

export const areBroadcastsBalanced = ({ sent, published, dropped, recipients, delivered, withheld }) =>
  sum(Object.values(sent)) === published + sum(Object.values(dropped)) && recipients === delivered + sum(Object.values(withheld))

/** Series of tenants, and the series of the node that is their sum. */
const TOTALS = {
  realtime_connections_connected: 'realtime_connections_global_connected',
  realtime_channel_joins: 'realtime_channel_global_joins',
  realtime_channel_events: 'realtime_channel_global_events',
  realtime_channel_presence_events: 'realtime_channel_global_presence_events',
  realtime_channel_db_events: 'realtime_channel_global_db_events',
  realtime_channel_input_bytes: 'realtime_channel_global_input_bytes',
  realtime_channel_output_bytes: 'realtime_channel_global_output_bytes',
  realtime_channel_error: 'realtime_channel_global_error',
  realtime_tenants_payload_size_bucket: 'realtime_payload_size_bucket',
  realtime_tenants_payload_size_count: 'realtime_payload_size_count',
  realtime_tenants_payload_size_sum: 'realtime_payload_size_sum',
}

/** What does not add up, of one page: { series of the node: [its value, the sum over tenants] }; and changes whose age was not taken. */
export function oddSums(page) {
  const sums = new Map(Object.values(TOTALS).flatMap((name) => page.all(name)).map((sample) => [nameOf(sample), [sample.value, 0]]))
  for (const [name, total] of Object.entries(TOTALS))
    for (const { labels: { tenant, ...labels }, value } of page.all(name)) sums.get(nameOf({ name: total, labels }))[1] += value
  const ages = ['walcast_changes_delivered_total', [page.get('walcast_changes_delivered_total'), page.get('walcast_commit_to_socket_seconds_count')]]
  return [...sums, ages].filter(([, [node, tenants]]) => node !== tenants)
}

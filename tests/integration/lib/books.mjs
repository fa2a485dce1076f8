// The counters of /metrics about pairs of change and channel, and whether they add up.
const AFTER_PUBLISHING = ['stale_generation', 'slow_consumer', 'connection_closed', 'no_memory']

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0)

/** { matched, published, delivered, withheld: by reason } */
export async function books(server) {
  const text = await (await server.get('/metrics')).text()
  const value = (name) => Number(new RegExp(`^walcast_changes_${name}_total (\\d+)$`, 'm').exec(text)[1])
  const withheld = Object.fromEntries([...text.matchAll(/^walcast_changes_withheld_total\{reason="(\w+)"\} (\d+)$/gm)].map(([, reason, n]) => [reason, Number(n)]))
  return { matched: value('matched'), published: value('published'), delivered: value('delivered'), withheld }
}

/** Each pair was delivered or withheld for one reason, and nothing is under way. */
export const isBalanced = ({ matched, published, delivered, withheld }) =>
  published === delivered + sum(AFTER_PUBLISHING.map((reason) => withheld[reason])) && matched === delivered + sum(Object.values(withheld))

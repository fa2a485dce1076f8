// What a page of Prometheus text says.

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /(\w+)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/y
const NODE = ['region', 'host', 'id']

function labelsOf(text) {
  const labels = {}
  for (LABEL.lastIndex = 0; LABEL.lastIndex < text.length;) {
    const match = LABEL.exec(text)
    if (!match || match[1] in labels) throw new Error(`labels that cannot be read: ${text}`)
    labels[match[1]] = match[2].replace(/\\(.)/g, (_, c) => c === 'n' ? '\n' : c)
  }
  return labels
}

/** [{ name, labels, node, value }]; `node` has the labels that every sample carries. Throws on anything else. */
export function parse(text) {
  return text.split('\n').filter((line) => line && !line.startsWith('#')).map((line) => {
    const [, name, labelText = '', value] = SAMPLE.exec(line) ?? (() => { throw new Error(`not a sample: ${line}`) })()
    const labels = labelsOf(labelText), node = {}
    for (const label of NODE) {
      node[label] = labels[label]
      delete labels[label]
    }
    return { name, labels, node, value: Number(value) }
  })
}

/** `name{label="value"}`, without the labels of the node. */
export const nameOf = ({ name, labels }) => {
  const text = Object.entries(labels).map(([k, v]) => `${k}=${JSON.stringify(v)}`).join(',')
  return text ? `${name}{${text}}` : name
}

export class Page {
  constructor(text) {
    this.text = text
    this.samples = parse(text)
    this.byName = new Map(this.samples.map((sample) => [nameOf(sample), sample.value]))
  }

  /** As nameOf writes it; undefined: not there. */
  get(name) {
    return this.byName.get(name)
  }

  /** All samples of a name. */
  all(name) {
    return this.samples.filter((sample) => sample.name === name)
  }

  sum(name) {
    return this.all(name).reduce((total, { value }) => total + value, 0)
  }
}

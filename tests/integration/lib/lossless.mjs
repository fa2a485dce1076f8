// JSON with the digits of its numbers, which JavaScript's own would round.

/** Plain decimal notation: 1.5e-07 is 0.00000015. Postgres writes exponents only for floats. */
function withoutExponent(digits) {
  const [, sign, whole, fraction = '', exponent] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(digits)
  if (exponent === undefined) return digits
  const point = whole.length + Number(exponent)
  const all = whole + fraction
  const padded = point <= 0 ? '0'.repeat(1 - point) + all : all.padEnd(point, '0')
  const at = Math.max(point, 1)
  const rest = padded.slice(at)
  return sign + padded.slice(0, at).replace(/^0+(?=\d)/, '') + (rest ? `.${rest}` : '')
}

/** Numbers become strings that begin with #; compare only with what came through here too. */
export function parseLossless(text) {
  const marked = text.replace(/"(?:\\.|[^"\\])*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) => (token[0] === '"' ? token : `"#${withoutExponent(token)}"`))
  return JSON.parse(marked)
}

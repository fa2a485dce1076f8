// Where walcast is right to differ from the recorded server: scenario -> what a message recorded on a
// connection becomes.

const data = (m) => m?.payload?.data

export const differences = {
  /** char(n) and bit(n) lost all but their first character and bit. */
  types(m) {
    const { record } = data(m) ?? {}
    if (record?.c === 'c') record.c = 'ch  '
    if (record?.bi === '1') record.bi = '1010'
  },

  /** An unchanged TOAST value that nobody has was missing without a word. */
  toast(m) {
    if (data(m)?.table === 'golden_toast') data(m).errors = ['Error 206: Partial Content, unchanged TOAST columns not available: big']
  },

  /** A row's new owner was shown the whole row as its former owner had it. */
  rls(m, connection) {
    if (connection === 'u2' && data(m)?.type === 'UPDATE') data(m).old_record = { id: data(m).old_record.id }
  },
}

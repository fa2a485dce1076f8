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

  /**
   * Who gets a row by a change of its owner was shown the former owner's row; who bypasses row security
   * was not shown what was deleted.
   */
  rls(m, connection) {
    const { type, old_record: old } = data(m) ?? {}
    if (connection === 'u2' && type === 'UPDATE') data(m).old_record = { id: old.id }
    if (connection === 'svc' && type === 'DELETE') data(m).old_record = { id: old.id, owner: '<u2>', t: old.id === 1 ? 'mine' : 'yours', s: 's' }
  },
}

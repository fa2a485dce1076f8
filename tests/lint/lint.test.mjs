// Every rule of lint.mjs is shown a violation, and an innocent neighbour of it.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import * as lint from './lint.mjs'

const table = lint.readIncludeTable()
const LINT = fileURLToPath(new URL('./lint.mjs', import.meta.url))

function sandbox(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'walcast-lint-'))
  t.after(() => fs.rmSync(dir, { recursive: true }))
  return dir
}

const includeCases = [
  ['decoder/x.c', '#include "base/buf.h"', null],
  ['decoder/x.c', '#include "decoder/x_priv.h"', null],
  ['decoder/x.c', '#include "auth/jwt.h"', /decoder may not include auth/],
  ['fanout/x.c', '#include "bridge/pg/pg.h"', /fanout may not include bridge\/pg/],
  ['bridge/rls/x.c', '#include "bridge/pg/pg.h"', null],
  ['bridge/match/x.c', '#include "bridge/pg/pg.h"', /bridge\/match may not include bridge\/pg/],
  ['bridge/app.c', '#include "bridge/tenant/tenant.h"', null],
  ['bridge/app.c', '#include "decoder/relcache_priv.h"', /private to decoder/],
  ['decoder/x.c', '#include "x.h"', /full path/],
  ['decoder/x.c', '#include <stdint.h>', null],
  ['decoder/x.c', '#include <jsmn.h>', /belongs to base/],
  ['base/json.c', '#include <jsmn.h>', null],
  ['bridge/rls/x.c', '#  include <libpq-fe.h>', /belongs to bridge\/pg/],
  ['decoder/x.c', '#include <lzma.h>', /not in tests\/lint\/includes/],
  ['tests/unit/decoder/test_x.c', '#include <cmocka.h>\n#include "decoder/relcache_priv.h"', null],
  ['utils/x.c', '#include <stdint.h>', /folder is not in/],
]
for (const [file, text, expected] of includeCases) {
  test(`includes: ${text.replace(/\n/g, ' ')} in ${file} is ${expected ? 'refused' : 'allowed'}`, () => {
    const found = lint.checkIncludes(file, text, table).join('\n')
    if (expected) assert.match(found, expected)
    else assert.equal(found, '')
  })
}

test('the include table has no loop', () => {
  const reaches = (from, seen) => {
    for (const to of table.folders.get(from)) {
      if (to === '*') continue
      assert.ok(!seen.includes(to), `${[...seen, to].join(' -> ')}`)
      reaches(to, [...seen, to])
    }
  }
  for (const folder of table.folders.keys()) reaches(folder, [folder])
})

const body = (n) => `int wc_f(void)\n{\n${'    ;\n'.repeat(n)}}\n`
test('a function of 101 lines is reported, one of 100 is not', () => {
  assert.deepEqual(lint.checkSizes('a.c', body(98)), [])
  assert.match(lint.checkSizes('a.c', body(99)).join(), /101 lines; a function/)
})

test('a header of 251 lines is reported, one of 250 and a source of 251 are not', () => {
  assert.deepEqual(lint.checkSizes('a.h', '\n'.repeat(250)), [])
  assert.deepEqual(lint.checkSizes('a.c', '\n'.repeat(251)), [])
  assert.match(lint.checkSizes('a.h', '\n'.repeat(251)).join(), /251 lines; a header/)
})

for (const mark of ['/* TODO: later */', '// FIXME', ' * XXX', '#if 0', '  # if 0', '"not implemented"'])
  test(`left-over mark ${mark} is reported`, () => assert.equal(lint.checkMarks('a.c', `int a;\n${mark}\n`).length, 1))
for (const fine of ['#if 01', 'int todo = 1;', '#ifdef A'])
  test(`${fine} is no left-over mark`, () => assert.deepEqual(lint.checkMarks('a.c', fine), []))

for (const bad of ['see /home/jo/src', 'cd /work/x', '"resolved": "https://registry.npmjs.org/ws"', '(/root/x)'])
  test(`machine path: ${bad} is reported`, () => assert.equal(lint.checkPaths('a.md', bad).length, 1))
for (const fine of ['/tmp/walcast-x', 'https://example.com/home/jo', 'frames/work/x', '/usr/lib/postgresql/15'])
  test(`machine path: ${fine} is not one`, () => assert.deepEqual(lint.checkPaths('a.md', fine), []))

test('a folder without README.md is reported', () => {
  const found = lint.checkReadmes(['README.md', 'base/README.md', 'base/a.c', 'bridge/repl/a.c', 'bridge/README.md', '.ci/run', 'tests/unit/base/a.c'])
  assert.deepEqual(found, ['bridge/repl: has no README.md'])
})

test('badly formatted code is reported', (t) => {
  const dir = sandbox(t)
  fs.writeFileSync(path.join(dir, '.clang-format'), 'BasedOnStyle: LLVM\n')
  fs.writeFileSync(path.join(dir, 'good.c'), 'int a;\n')
  fs.writeFileSync(path.join(dir, 'bad.c'), 'int   a ;\n')
  assert.deepEqual(lint.checkFormat(dir, ['good.c']), [])
  assert.match(lint.checkFormat(dir, ['good.c', 'bad.c']).join(), /bad\.c:1/)
})

test('objects: stray symbols and banned calls of a real library are reported', (t) => {
  const dir = sandbox(t)
  fs.writeFileSync(path.join(dir, 'a.h'), 'int wc_good(char *);\n')
  fs.writeFileSync(path.join(dir, 'a.c'), `#include <string.h>
    int wc_good(char *a); int wc_secret(void); int stray(void);
    static int quiet(void) { return 1; }
    int wc_good(char *a) { char b[9]; strcpy(b, a); return (int)strlen(b); }
    int wc_secret(void) { return quiet(); }
    int stray(void) { return 2; }\n`)
  execFileSync('gcc', ['-O0', '-fno-builtin', '-c', 'a.c'], { cwd: dir })
  execFileSync('ar', ['rcs', 'libwc_a.a', 'a.o'], { cwd: dir })
  execFileSync('git', ['init', '-q'], { cwd: dir })
  execFileSync('git', ['add', 'a.h'], { cwd: dir })
  const found = lint.lintObjects(dir, dir)
  assert.equal(found.length, 3, found.join('\n'))
  assert.match(found.join('\n'), /global stray lacks the prefix/)
  assert.match(found.join('\n'), /global wc_secret is declared in no header/)
  assert.match(found.join('\n'), /calls strcpy/)
})

test('a build folder without libraries is a violation, not a pass', (t) => {
  assert.match(lint.lintObjects(sandbox(t), '.').join(), /build it first/)
})

test('the command exits with 1 and names file and line', (t) => {
  const dir = sandbox(t)
  fs.mkdirSync(path.join(dir, 'decoder'))
  fs.writeFileSync(path.join(dir, 'decoder/a.c'), '#include "fanout/frame.h"\n')
  fs.writeFileSync(path.join(dir, 'decoder/README.md'), 'decoder\n')
  fs.writeFileSync(path.join(dir, 'README.md'), 'top\n')
  execFileSync('git', ['init', '-q'], { cwd: dir })
  execFileSync('git', ['add', '.'], { cwd: dir })
  const run = spawnSync(process.execPath, [LINT, 'source', dir], { encoding: 'utf8' })
  assert.equal(run.status, 1, run.stderr)
  assert.match(run.stdout, /^decoder\/a\.c:1: decoder may not include fanout/m)
})

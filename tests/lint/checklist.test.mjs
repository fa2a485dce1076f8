// Every test that tests/integration/CHECKLIST.md names exists.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'

const integration = (name) => fs.readFileSync(new URL(`../integration/${name}`, import.meta.url), 'utf8')

/** The rows of its table: [behaviour, file, beginning of the test's name]. */
const rows = integration('CHECKLIST.md').split('\n').filter((line) => /^\| p?\d/.test(line)).map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()))

test('the table is read', () => assert.ok(rows.length > 40))

for (const [behaviour, file, name] of rows) {
  test(`${behaviour} has its test in ${file}`, () => {
    const text = integration(`${file}.test.mjs`)
    assert.ok(text.includes(`test('${name}`) || text.includes(`test(\`${name}`), `no test of ${file} begins with: ${name}`)
  })
}

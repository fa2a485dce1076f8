// The style checks that a compiler does not make. One line per violation, status 1 if there is any.
//
//   node lint.mjs source [ROOT]            the tracked files: includes, sizes, marks, READMEs, paths, format
//   node lint.mjs objects BUILD [ROOT]     our static libraries in a debug build folder: symbols
//
// lint.test.mjs plants a violation for every rule and expects to see it reported.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const here = path.dirname(fileURLToPath(import.meta.url))
const MAX_FUNCTION_LINES = 100
const MAX_HEADER_LINES = 250
const LEFT_OVER = /\b(?:TODO|FIXME|XXX|HACK)\b|^\s*#\s*if\s+0\b|\b[Nn]ot implemented\b/
// Folders that are a machine's and not the project's, and hosts that belong in a developer's npm
// settings. Text that merely explains a public address is allowed nowhere either: none is needed.
const MACHINE_PATH = /(?:^|[\s"'=(:])\/(?:home|root|work|Users|mnt)\/[\w.-]+|bash_jobs|registry\.npmjs\.org|registry\.yarnpkg\.com|npm\.pkg\.github\.com/
// Folders of data or mirrors, which the README above them describes.
const NEEDS_NO_README = /^(?:\.ci|tools\/packages|tests\/integration\/lib|tests\/thread|tests\/(?:unit|fuzz|data|regress)\/.*)$/

const lines = (text) => text.split('\n')
const rows = (file) => lines(fs.readFileSync(file, 'utf8')).map((l) => l.replace(/#.*/, '').trim()).filter(Boolean)

export function readIncludeTable(file = path.join(here, 'includes')) {
  const folders = new Map(), headers = new Map()
  for (const row of rows(file)) {
    const at = row.indexOf(':')
    const names = row.slice(at + 1).split(/\s+/).filter(Boolean)
    const key = row.slice(0, at)
    if (key.startsWith('<')) headers.set(key.slice(1, -1), names)
    else folders.set(key, names)
  }
  return { folders, headers }
}

/** The folder of the table that a file belongs to: the longest one that contains it. */
function homeOf(file, folders) {
  for (let dir = path.dirname(file); dir !== '.'; dir = path.dirname(dir)) if (folders.has(dir)) return dir
  return null
}

function checkThirdParty(header, home, table) {
  const homes = table.headers.get(header)
  if (!homes) return `<${header}> is not in tests/lint/includes`
  const free = homes.includes('*') || (table.folders.get(home) ?? []).includes('*')
  return free || homes.includes(home) ? null : `<${header}> belongs to ${homes.join(', ')}`
}

function checkOwn(file, header, home, table) {
  if (!header.includes('/')) return `"${header}": include our headers by their full path`
  const target = homeOf(header, table.folders)
  if (!target) return `"${header}" is in no folder of tests/lint/includes`
  if (target === home) return null
  if (header.endsWith('_priv.h') && home !== 'tests') return `"${header}" is private to ${target}`
  const may = table.folders.get(home)
  return may.includes('*') || may.includes(target) ? null : `${home} may not include ${target} ("${header}")`
}

export function checkIncludes(file, text, table) {
  const home = homeOf(file, table.folders)
  if (!home) return [`${file}: its folder is not in tests/lint/includes`]
  const found = []
  for (const [i, line] of lines(text).entries()) {
    const m = /^\s*#\s*include\s*(?:<([^>]+)>|"([^"]+)")/.exec(line)
    if (!m) continue
    const why = m[1] ? checkThirdParty(m[1], home, table) : checkOwn(file, m[2], home, table)
    if (why) found.push(`${file}:${i + 1}: ${why}`)
  }
  return found
}

export function checkSizes(file, text) {
  const found = []
  const all = lines(text)
  if (file.endsWith('.h') && all.length - 1 > MAX_HEADER_LINES)
    found.push(`${file}: ${all.length - 1} lines; a header has at most ${MAX_HEADER_LINES}`)
  let start = 0, name = ''
  for (const [i, line] of all.entries()) {
    if (/^[A-Za-z_].*[^;{]$/.test(line) && line.includes('(')) name = line
    if (line === '{') start = i + 1
    if (line === '}' && start) {
      const length = i + 2 - start // with both braces
      if (length > MAX_FUNCTION_LINES)
        found.push(`${file}:${start}: ${length} lines; a function has at most ${MAX_FUNCTION_LINES}: ${name}`)
      start = 0
    }
  }
  return found
}

export function checkMarks(file, text) {
  const found = []
  for (const [i, line] of lines(text).entries()) {
    if (LEFT_OVER.test(line)) found.push(`${file}:${i + 1}: left-over mark: ${line.trim()}`)
  }
  return found
}

export function checkPaths(file, text) {
  const found = []
  for (const [i, line] of lines(text).entries()) {
    if (MACHINE_PATH.test(line)) found.push(`${file}:${i + 1}: machine path or registry host: ${line.trim().slice(0, 120)}`)
  }
  return found
}

export function checkReadmes(files) {
  const folders = new Set(files.map((f) => path.dirname(f)))
  return [...folders].filter((dir) => !NEEDS_NO_README.test(dir) && !files.includes(path.join(dir, 'README.md')))
    .sort().map((dir) => `${dir}: has no README.md`)
}

export function checkFormat(root, files) {
  try {
    execFileSync('clang-format', ['--style=file', '--dry-run', '-Werror', ...files], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] })
    return []
  } catch (e) {
    if (!e.stderr) throw e
    return lines(e.stderr.toString()).filter((l) => / (?:error|warning): /.test(l))
  }
}

function tracked(root) {
  return execFileSync('git', ['ls-files', '-z'], { cwd: root }).toString().split('\0').filter(Boolean)
    .filter((f) => fs.existsSync(path.join(root, f)))
}

const isC = (f) => /\.[ch]$/.test(f)
const isProse = (f) => /^(?:LICENSE|tests\/lint\/)/.test(f)

export function lintSource(root) {
  const files = tracked(root)
  const table = readIncludeTable()
  const found = []
  for (const file of files) {
    const text = fs.readFileSync(path.join(root, file), 'utf8')
    if (text.includes('\0')) continue // a corpus file
    if (!isProse(file)) found.push(...checkPaths(file, text))
    if (!isC(file)) continue
    found.push(...checkMarks(file, text), ...checkIncludes(file, text, table), ...checkSizes(file, text))
  }
  found.push(...checkReadmes(files), ...checkFormat(root, files.filter(isC)))
  return found
}

/** Rows of `nm`: {object, type, name}. */
export function parseNm(output) {
  const found = []
  for (const line of lines(output)) {
    const m = /^(.*?):(?:[0-9a-f]*)\s+([A-Za-z])\s+(\S+)$/.exec(line) ?? /^(.*?):\s*([A-Za-z])\s+(\S+)$/.exec(line)
    if (m) found.push({ object: m[1], type: m[2], name: m[3] })
  }
  return found
}

export function checkDefined(symbols, headers) {
  const declared = new Set(headers.match(/\bwc_\w+/g))
  const found = []
  for (const { object, type, name } of symbols) {
    if (!/[A-TV-Z]/.test(type) || name === 'main' || /^(?:__|_?asan|_?tsan|\.)/.test(name)) continue
    if (!name.startsWith('wc_')) found.push(`${object}: global ${name} lacks the prefix wc_`)
    else if (!declared.has(name)) found.push(`${object}: global ${name} is declared in no header`)
  }
  return found
}

export function checkBanned(symbols, banned) {
  return symbols.filter((s) => s.type === 'U' && banned.has(s.name))
    .map((s) => `${s.object}: calls ${s.name}; use instead: ${banned.get(s.name)}`)
}

export function readBanned(file = path.join(here, 'banned')) {
  return new Map(rows(file).map((r) => [r.split(/\s+/)[0], r.replace(/^\S+\s+/, '')]))
}

/** Those of the product; helpers of tests and benchmarks may name things as they like. */
function staticLibraries(build) {
  return fs.readdirSync(build, { recursive: true, encoding: 'utf8' })
    .filter((f) => /(?:^|\/)libwc_\w+\.a$/.test(f) && !/^(?:tests|benchmarks)\//.test(f)).map((f) => path.join(build, f))
}

export function lintObjects(build, root) {
  const libraries = staticLibraries(build)
  if (!libraries.length) return [`${build}: holds no libwc_*.a; build it first`]
  const output = execFileSync('nm', ['-A', '-g', ...libraries], { maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] }).toString()
  const symbols = parseNm(output).map((s) => ({ ...s, object: s.object.replace(/^.*\//, '') }))
  const headers = tracked(root).filter((f) => f.endsWith('.h')).map((f) => fs.readFileSync(path.join(root, f), 'utf8')).join('\n')
  return [...checkDefined(symbols, headers), ...checkBanned(symbols, readBanned())]
}

function main([what, ...rest]) {
  const root = path.resolve(here, '../..')
  const found = what === 'source' ? lintSource(rest[0] ?? root) : what === 'objects' && rest[0] ? lintObjects(rest[0], rest[1] ?? root) : null
  if (!found) throw new Error('usage: lint.mjs source [ROOT] | objects BUILD [ROOT]')
  for (const f of found) console.log(f)
  console.log(found.length ? `${found.length} violations` : `lint ${what}: clean`)
  process.exitCode = found.length ? 1 : 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2))

// What a run of the integration tests is made of: the binary under test and where things are.
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..')

function findBinary() {
  const candidates = process.env.WALCAST_BIN ? [path.resolve(process.env.WALCAST_BIN)]
    : ['asan', 'debug', 'release'].map((preset) => path.join(ROOT, 'build', preset, 'walcast'))
  const found = candidates.find((file) => fs.existsSync(file))
  if (!found) throw new Error(`no walcast binary at ${candidates.join(', ')}; run make build, or set WALCAST_BIN`)
  return found
}

export const BINARY = findBinary()

/** Its shadow memory grows and stays: resident memory says nothing. */
export const IS_TSAN = /tsan[^/]*\/walcast$/.test(BINARY)

/** ThreadSanitizer and AddressSanitizer cost a factor of about 10 and 3; deadlines follow. */
export const SLOWNESS = IS_TSAN ? 4 : /asan[^/]*\/walcast$/.test(BINARY) ? 2 : 1

/** The large figures of the tests that have small ones too. */
export const FULL = process.env.TESTS_FULL === '1'

export const SANITIZER_EXIT = 99
export const SANITIZER_ENV = {
  ASAN_OPTIONS: `halt_on_error=1:detect_leaks=1:exitcode=${SANITIZER_EXIT}`,
  LSAN_OPTIONS: `exitcode=${SANITIZER_EXIT}`,
  UBSAN_OPTIONS: `print_stacktrace=1:halt_on_error=1:exitcode=${SANITIZER_EXIT}`,
  TSAN_OPTIONS: `halt_on_error=1:exitcode=${SANITIZER_EXIT}`,
}

// The test runner ends a file that hangs with SIGTERM: let the exit handlers stop what it started.
process.once('SIGTERM', () => process.exit(1))

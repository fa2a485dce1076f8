// Development tokens, made here and not by the binary under test.
import crypto from 'node:crypto'

export const SECRET = 'integration-secret-integration-secret'

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
const HASHES = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' }

export const secondsFromNow = (n) => Math.floor(Date.now() / 1000) + n

export function mint(claims, { secret = SECRET, alg = 'HS256' } = {}) {
  const signed = `${base64url({ alg, typ: 'JWT' })}.${base64url(claims)}`
  return `${signed}.${crypto.createHmac(HASHES[alg], secret).update(signed).digest('base64url')}`
}

export const tokenFor = (role, claims = {}) => mint({ role, exp: secondsFromNow(3600), ...claims })

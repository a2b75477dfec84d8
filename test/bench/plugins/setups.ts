// The plugins as the benchmark has them: each configured as it usually is, with a request that it lets through.
import { generateKeyPairSync, sign } from 'node:crypto'
import type { JsonObject } from '../../../src/base/json.ts'
import { basic } from '../../support/passwords.ts'
import { signedByDate } from '../../support/signing.ts'
import { type Slapd, slapdBase } from '../../support/slapd.ts'
import { encodedPart, signedToken } from '../../support/token.ts'
import type { Receivers } from './receivers.ts'

export interface Setup {
  /** What the table calls it, and the name of the plugin unless `plugin` says that. */
  readonly name: string
  readonly plugin?: string
  readonly config?: JsonObject
  /** What the consumer `anna` needs for it: attributes, by the last part of the path. */
  readonly gives?: Readonly<Record<string, JsonObject>>
  readonly headers?: Readonly<Record<string, string>>
  /** The setup that it comes on top of, where it can't do without one, and is compared with. */
  readonly above?: string
  /** Whether it sends what it has gathered, and so after the request. */
  readonly gathers?: boolean
}

export interface Surroundings {
  readonly upstreamUrl: string
  readonly receivers: Receivers
  /** Undefined where the machine has none: ldap-auth is left out. */
  readonly slapd: Slapd | undefined
  /** A file that may be written. */
  readonly logPath: string
}

/** Whom the directory has to know. */
export const person = { name: 'anna', password: 'sesame' }

const plentiful = 1_000_000_000

export function setups(surroundings: Surroundings): readonly Setup[] {
  return [...authenticating(surroundings), ...deciding, ...changing, ...logging(surroundings)]
}

function authenticating({ slapd }: Surroundings): Setup[] {
  const shown = basic(person.name, person.password)
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
  const rsa = signer('RS256', generateKeyPairSync('rsa', { modulusLength: 2048 }))
  const ec = signer('ES256', generateKeyPairSync('ec', { namedCurve: 'prime256v1' }))
  const directory = {
    ...{ ldap_host: '127.0.0.1', ldap_port: slapd?.port ?? 389, base_dn: slapdBase, attribute: 'uid' },
    cache_ttl: 86_400,
  }
  return [
    { name: 'key-auth', gives: { 'key-auth': { key: 'abc' } }, headers: { apikey: 'abc' } },
    {
      name: 'basic-auth',
      gives: { 'basic-auth': { username: person.name, password: person.password } },
      headers: { authorization: shown },
    },
    {
      name: 'hmac-auth',
      // The requests are all the same, and so is their date.
      config: { clock_skew: 86_400 },
      gives: { 'hmac-auth': { username: person.name, secret: 'secret' } },
      headers: signedByDate(person.name, 'secret'),
    },
    {
      name: 'jwt, HS256',
      plugin: 'jwt',
      config: { claims_to_verify: ['exp'] },
      gives: { jwt: { key: 'hs', secret: 'secret' } },
      headers: bearer(signedToken({ iss: 'hs', exp: farOff }, 'secret')),
    },
    {
      name: 'jwt, RS256',
      plugin: 'jwt',
      gives: { jwt: { key: 'RS256', algorithm: 'RS256', rsa_public_key: rsa.publicKey } },
      headers: bearer(rsa.token),
    },
    {
      name: 'jwt, ES256',
      plugin: 'jwt',
      gives: { jwt: { key: 'ES256', algorithm: 'ES256', rsa_public_key: ec.publicKey } },
      headers: bearer(ec.token),
    },
    { name: 'oauth2', headers: bearer(oauth2Token) },
    ...(slapd
      ? [
          {
            name: 'ldap-auth',
            config: directory,
            headers: { authorization: shown.replace('Basic', 'ldap') },
          },
        ]
      : []),
  ]
}

/** The access token of anna's. */
export const oauth2Token = '7c3d1f0a9b8e4d5c6f7a8b9c0d1e2f3a'

const farOff = 4_102_444_800

function signer(alg: string, { publicKey, privateKey }: ReturnType<typeof generateKeyPairSync>) {
  const signed = `${encodedPart({ alg, typ: 'JWT' })}.${encodedPart({ iss: alg, exp: farOff })}`
  const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
    token: `${signed}.${signature.toString('base64url')}`,
  }
}

const deciding: readonly Setup[] = [
  {
    name: 'acl',
    config: { whitelist: ['staff'] },
    gives: { acls: { group: 'staff' } },
    above: 'key-auth',
  },
  { name: 'rate-limiting, local', plugin: 'rate-limiting', config: { hour: plentiful, policy: 'local' } },
  {
    name: 'response-ratelimiting, local',
    plugin: 'response-ratelimiting',
    config: { limits: { video: { hour: plentiful } }, policy: 'local' },
  },
  { name: 'ip-restriction', config: { whitelist: ['10.0.0.0/8', '127.0.0.0/8', 'fd00::/8'] } },
  {
    name: 'bot-detection',
    headers: { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0' },
  },
  { name: 'request-size-limiting' },
  { name: 'cors', headers: { origin: 'https://app.test' } },
]

const changing: readonly Setup[] = [
  { name: 'correlation-id', config: { echo_downstream: true } },
  {
    name: 'request-transformer',
    config: { add: { headers: ['X-Stage:production'], querystring: ['stage:production'] } },
  },
  {
    name: 'response-transformer',
    config: { add: { headers: ['X-Stage:production'] }, remove: { headers: ['Server'] } },
  },
]

function logging({ upstreamUrl, receivers: { tcp, udp }, logPath }: Surroundings): Setup[] {
  const plugins: Setup[] = [
    { name: 'file-log', config: { path: logPath } },
    { name: 'tcp-log', config: tcp },
    { name: 'udp-log', config: udp },
    { name: 'http-log', config: { http_endpoint: `${upstreamUrl}/log` } },
    { name: 'syslog', config: udp },
    { name: 'loggly', config: { ...udp, key: '01234567-89ab-cdef-0123-456789abcdef' } },
    { name: 'statsd', config: udp },
    { name: 'datadog', config: udp },
  ]
  return plugins.map((setup) => ({ ...setup, gathers: true }))
}

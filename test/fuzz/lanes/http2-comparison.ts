// Whether a request is the same to the gateway, said over HTTP/2 or to the ordinary lane: method, path, query, fields and
// body. What the ordinary lane refuses is refused here, too, and so is what RFC 9113 forbids.
import type { Random } from '../../../src/base/random.ts'
import { Headers } from '../../../src/proxy/headers.ts'
import { defaultLimits } from '../../../src/proxy/inbound/limits.ts'
import { faultOf, isHost } from '../../../src/proxy/inbound/strictness.ts'
import { parseTarget } from '../../../src/proxy/url.ts'
import { pick, whole } from '../../simulation/chance.ts'
import { pairsOf } from '../../support/raw-http.ts'
import { HeadMaker } from './head-maker.ts'
import { type Http2Form, Http2Reader, type Http2Reading, type Http2Request } from './http2-reader.ts'
import { OrdinaryParser, type OrdinaryRequest } from './ordinary-parser.ts'

export interface Http2Disagreement {
  /** As it was given to the ordinary lane. */
  readonly head: Buffer
  readonly ordinary: OrdinaryRequest
  readonly form: Http2Form
  readonly http2: Http2Reading
}

export interface Http2Report {
  readonly cases: number
  /** Heads that both took. */
  readonly compared: number
  /** Forms that must not be taken. */
  readonly refused: number
  readonly disagreements: readonly Http2Disagreement[]
}

export interface Http2ComparisonOptions {
  readonly cases: number
  readonly random: Random
  /** Heads to begin with. */
  readonly corpus: readonly Buffer[]
}

/** Of a form: `undefined` for one that must not be taken. */
interface Claim extends Omit<Http2Disagreement, 'http2'> {
  readonly expected: Seen | undefined
}

/** What routing and plugins go by. */
interface Seen {
  readonly method: string
  readonly path: string
  readonly query: string | undefined
  /** `host` first. */
  readonly rawHeaders: readonly string[]
  readonly hasBody: boolean
  /** Undefined unless all of it has come. */
  readonly body: Buffer | undefined
}

type Field = readonly [name: string, value: string]

/** Made and compared at once. */
const roundCases = 200
/** Behind each head: a body in one chunk, then bytes for a body that is counted. */
const behind = Buffer.from(`5\r\nhello\r\n0\r\n\r\n${'x'.repeat(1000)}`)
/** RFC 9113, 8.2.2. */
const ofOneConnection = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']

/** Resolves at the first round in which they disagree, else when all cases were tried. */
export async function compareHttp2({ cases, random, corpus }: Http2ComparisonOptions): Promise<Http2Report> {
  const maker = new HeadMaker(random, corpus)
  const parser = new OrdinaryParser()
  const reader = new Http2Reader()
  let tried = 0
  let compared = 0
  let refused = 0
  let disagreements: Http2Disagreement[] = []
  while (tried < cases && disagreements.length === 0) {
    const heads = Array.from({ length: Math.min(roundCases, cases - tried) }, () => maker.make())
    tried += heads.length
    const readings = await parser.read(heads.map((head) => Buffer.concat([head, behind])))
    const claims = readings.flatMap(({ requests: [first] }, i) =>
      first ? claimsOf(random, heads[i] as Buffer, first) : [],
    )
    const made = await reader.read(claims.map(({ form }) => form))
    compared += claims.filter(({ expected }) => expected !== undefined).length
    refused += claims.filter(({ expected }) => expected === undefined).length
    disagreements = claims.flatMap(({ expected, ...claim }, i) => {
      const http2 = made[i] as Http2Reading
      return isAsExpected(expected, http2.request) ? [] : [{ ...claim, http2 }]
    })
  }
  reader.close()
  return { cases: tried, compared, refused, disagreements }
}

/** What a head, as the ordinary lane has read it, has to be over HTTP/2. */
function claimsOf(random: Random, head: Buffer, ordinary: OrdinaryRequest): Claim[] {
  const { event, method, target: url, httpVersion, rawHeaders } = ordinary
  // Over HTTP/2 there is neither 1.0 nor, for us, another protocol to go on with.
  if (httpVersion !== '1.1' || event === 'upgrade') return []
  const isInChunks = rawHeaders.some((name, i) => i % 2 === 0 && /^transfer-encoding$/i.test(name))
  // Chunks that are none have no likeness there.
  if (isInChunks && !ordinary.isWhole) return []
  const form = formOf(random, ordinary)
  const fault = faultOf({ method, url, httpVersion, rawHeaders: [...rawHeaders] }, defaultLimits)
  if (fault) return isSharedFault(fault, form, url) ? [{ head, ordinary, form, expected: undefined }] : []
  const expected = seenBy(ordinary)
  const forbidden = forbiddenForm(random, form)
  return [
    { head, ordinary, form, expected },
    { head, ordinary, form: forbidden, expected: undefined },
  ]
}

/** Others are of the form of HTTP/1.1, or of sizes that differ a little. */
function isSharedFault(fault: string, form: Http2Form, target: string): boolean {
  // A target in absolute form names a host, whatever `Host` says; over HTTP/2 it can say nothing else.
  if (fault === 'host') return target.startsWith('/') && !saysOneHost(form)
  return ['method', 'target', 'expectation'].includes(fault)
}

/** Twice the same one, which is refused over HTTP/1.1 alone, or beside another field that is none and so left out. */
function saysOneHost({ fields }: Http2Form): boolean {
  const hosts = pairsOf(fields).filter(([name]) => name === 'host' || name === ':authority')
  const told = hosts.filter(([name, value]) => name !== 'host' || isHost(value))
  return (
    told.length > 0 && hosts.length > 1 && new Set(told.map(([, value]) => value.toLowerCase())).size === 1
  )
}

function isAsExpected(expected: Seen | undefined, request: Http2Request | undefined): boolean {
  // What breaks off is not passed on at all when it comes at once.
  if (expected && expected.body === undefined && !request) return true
  const seen = request && seenOf(request)
  return JSON.stringify(seen) === JSON.stringify(expected)
}

function seenBy({ isWhole, body, hasBody, rawHeaders, ...request }: OrdinaryRequest): Seen | undefined {
  const seen = seenOf({ ...request, rawHeaders, hasBody, body: isWhole ? body : undefined })
  return seen && { ...seen, rawHeaders: sayable(pairsOf(seen.rawHeaders)).flat() }
}

/** As the resolver begins; undefined for a target that it has no use for. */
function seenOf({ method, target, rawHeaders, hasBody, body }: Http2Request): Seen | undefined {
  const told = parseTarget(target)
  if (!told) return undefined
  const headers = Headers.read(rawHeaders)
  if (told.authority !== undefined) headers.set('host', told.authority)
  return { method, path: told.path, query: told.query, rawHeaders: headers.raw(), hasBody, body }
}

/** Fields as HTTP/2 has them, `host` first, and those cookies as one that are one there. */
function sayable(fields: readonly Field[]): Field[] {
  const lower = fields.map(([name, value]): Field => [name.toLowerCase(), value])
  const cookie = lower.flatMap(([name, value]) => (name === 'cookie' ? [value] : [])).join('; ')
  const firstCookie = lower.find(([name]) => name === 'cookie')
  const kept = lower.filter(
    (field) =>
      field[0] !== 'host' &&
      !ofOneConnection.includes(field[0]) &&
      (field[0] !== 'te' || field[1] === 'trailers') &&
      (field[0] !== 'cookie' || field === firstCookie),
  )
  const hosts = lower.filter(([name]) => name === 'host')
  return [...hosts, ...kept.map((field): Field => (field === firstCookie ? ['cookie', cookie] : field))]
}

/** The same request as a client, or a proxy before us, would say it. */
function formOf(random: Random, { method, target, rawHeaders, hasBody, body }: OrdinaryRequest): Http2Form {
  const absolute = /^(https?):\/\/([^/?#]+)(.*)$/is.exec(target)
  const [[, host] = [], ...others] = sayable(pairsOf(rawHeaders)).filter(([name]) => name === 'host')
  const authority = absolute?.[2] ?? host
  const rest = absolute?.[3] ?? target
  const path = absolute && !rest.startsWith('/') ? `/${rest}` : rest
  const pseudo: Field[] = [
    [':method', method],
    [':scheme', pick(random, ['https', 'http'])],
    [':path', path],
  ]
  const fields = sayable(pairsOf(rawHeaders))
    .filter(([name]) => name !== 'host')
    .flatMap(crumbs)
  if (!absolute) for (const field of others) put(random, fields, field)
  if (authority !== undefined) {
    const how = whole(random, 4)
    if (how > 0) put(random, pseudo, [':authority', authority])
    // It may be there as well, or instead (RFC 9113, 8.3.1).
    if (how < 2) put(random, fields, ['host', how === 0 ? authority : authority.toUpperCase()])
  }
  return { fields: [...pseudo, ...fields].flat(), body: hasBody ? body : null }
}

/** RFC 9113, 8.2.3. */
function crumbs([name, value]: Field): Field[] {
  return name === 'cookie' ? value.split('; ').map((crumb) => [name, crumb]) : [[name, value]]
}

function put(random: Random, fields: Field[], field: Field): void {
  fields.splice(whole(random, fields.length + 1), 0, field)
}

/** One thing about it that may not be. */
function forbiddenForm(random: Random, { fields, body }: Http2Form): Http2Form {
  const all = pairsOf(fields)
  const pseudo: Field[] = all.filter(([name]) => name.startsWith(':'))
  const others: Field[] = all.filter(([name]) => !name.startsWith(':'))
  pick(random, offences)(random, pseudo, others)
  return { fields: [...pseudo, ...others].flat(), body }
}

type Offence = (random: Random, pseudo: Field[], others: Field[]) => void

const offences: readonly Offence[] = [
  (random, _, others) =>
    put(random, others, [pick(random, ofOneConnection), pick(random, ['close', 'h2c', ''])]),
  (random, _, others) => put(random, others, ['te', pick(random, ['gzip', 'trailers, gzip', ''])]),
  (random, _, others) =>
    put(random, others, [pick(random, ['X-Up', 'hosT', 'Cookie', 'Content-Length']), '0']),
  (random, pseudo) => put(random, pseudo, pick(random, pseudo)),
  (random, pseudo) =>
    put(random, pseudo, [pick(random, [':x', ':status', ':protocol', ':', ':Path']), '200']),
  (random, pseudo) => {
    const missing = pick(random, [':method', ':path', ':scheme'])
    const at = pseudo.findIndex(([name]) => name === missing)
    pseudo.splice(at, 1)
  },
  (random, pseudo, others) => {
    const [moved] = pseudo.splice(whole(random, pseudo.length), 1)
    others.push(['x', ''], moved as Field)
  },
  (random, pseudo) => {
    const at = pseudo.findIndex(([name]) => name === ':path')
    pseudo[at] = [':path', pick(random, ['', 'a', '?a', 'test:80', '/a b', '/\n', '/#', '*a'])]
  },
  (random, pseudo, others) => {
    pseudo.splice(0, pseudo.length, ...pseudo.filter(([name]) => name !== ':authority'), [
      ':authority',
      'one',
    ])
    others.splice(0, others.length, ...others.filter(([name]) => name !== 'host'))
    put(random, others, ['host', 'another'])
  },
]

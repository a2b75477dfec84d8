// The two lanes in which requests are read are one gateway: what the fast one takes the ordinary one takes as well, and
// a client can't tell by which of them it was answered. Over HTTP/2 the same request is the same, too.
import { expect } from 'chai'
import fc from 'fast-check'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Counters, counterCount } from '../../src/proxy/counters.ts'
import { Headers } from '../../src/proxy/headers.ts'
import { type FastHead, FastHeadReader } from '../../src/proxy/inbound/fast-head.ts'
import { HttpInbound } from '../../src/proxy/inbound/http-inbound.ts'
import type { Reply } from '../../src/proxy/inbound/inbound.ts'
import { defaultLimits } from '../../src/proxy/inbound/limits.ts'
import type { Incoming } from '../../src/proxy/request.ts'
import { seededRandom, whole } from '../simulation/chance.ts'
import { type Lane, lanes } from '../support/lanes.ts'
import { connect } from '../support/raw-http.ts'
import { compare } from './lanes/comparison.ts'
import { readCorpus } from './lanes/corpus.ts'
import { compareHttp2 } from './lanes/http2-comparison.ts'
import { disagreementText, http2DisagreementText } from './lanes/lanes.ts'
import { runs } from './runs.ts'

describe('the lanes', () => {
  it('agree on all that the fast one takes: method, target, fields, body and where the next request begins', async function () {
    this.timeout(600_000)
    const seed = whole(systemRandom, 2 ** 32)
    const cases = runs(60_000).numRuns
    const report = await compare({ cases, random: seededRandom(seed), corpus: readCorpus() })
    expect(report.disagreements.map(disagreementText), `seed ${seed}`).deep.equal([])
    expect(report.taken).greaterThan(report.cases / 10)
  })

  for (const name of ['Transfer-Encoding', 'Content-Length', 'Connection', 'Expect'])
    it(`would be seen to disagree, were the fast one blind to ${name}`, async () => {
      const options = { cases: 20_000, random: seededRandom(1), corpus: [] }
      const { disagreements } = await compare({ ...options, reader: new BlindReader(name) })
      expect(disagreements).not.deep.equal([])
    })

  it('take the same as HTTP/2 does of what can be said there, and HTTP/2 takes nothing that they refuse or that it forbids', async function () {
    this.timeout(600_000)
    const seed = whole(systemRandom, 2 ** 32)
    const cases = runs(4000).numRuns
    const report = await compareHttp2({ cases, random: seededRandom(seed), corpus: readCorpus() })
    expect(report.disagreements.map(http2DisagreementText), `seed ${seed}`).deep.equal([])
    expect(report.compared).greaterThan(report.cases / 10)
    expect(report.refused).greaterThan(report.cases / 10)
  })

  it('answer alike, byte for byte, whatever is asked and however it comes', async function () {
    this.timeout(600_000)
    const pair = await Promise.all(lanes.map((lane) => new ScriptedInbound(lane).start()))
    const [fast] = pair as [ScriptedInbound, ScriptedInbound]
    try {
      await fc.assert(
        fc.asyncProperty(conversation, fc.array(fc.nat(400), { maxLength: 12 }), async (text, cuts) => {
          const told = await Promise.all(pair.map((inbound) => inbound.tell(text, cuts)))
          const [a, b] = alike(told).map((some) => JSON.stringify(some))
          if (a !== b) throw new Error(`fast:     ${short(a)}\nordinary: ${short(b)}`)
        }),
        { ...runs(150), timeout: 10_000 },
      )
      expect(fast.counters.get('fast')).greaterThan(fast.counters.get('requests') / 10)
    } finally {
      await Promise.all(pair.map((inbound) => inbound.stop()))
    }
  })
})

function short(text = ''): string {
  return text.replace(/y{20,}/g, (all) => `(${all.length} times y)`)
}

/** What came back, and what was made of each request. */
interface Told {
  readonly said: string
  readonly seen: readonly Record<string, unknown>[]
}

/** An answer that ends the connection before the whole body has come leaves as much of it unread as it happens to. */
function alike(told: readonly Told[]): readonly Told[] {
  const isRead = (i: number) => told.every(({ seen }) => seen[i]?.body !== undefined)
  return told.map(({ said, seen }) => ({
    said,
    seen: seen.map((one, i) => (isRead(i) ? one : { ...one, body: undefined })),
  }))
}

/** Takes fields of one name for others that mean nothing. */
class BlindReader {
  readonly #reader = new FastHeadReader(defaultLimits)
  readonly #name: RegExp

  constructor(name: string) {
    this.#name = new RegExp(`(?<=\\n)${name}(?=:)`, 'gi')
  }

  read(bytes: Buffer, from: number): FastHead | undefined {
    const names: string[] = []
    const masked = bytes.toString('latin1').replace(this.#name, (name) => {
      names.push(name)
      return '_'.repeat(name.length)
    })
    const head = this.#reader.read(Buffer.from(masked, 'latin1'), from)
    return (
      head && {
        ...head,
        headers: Headers.read(
          head.headers.raw().map((text) => (/^___+$/.test(text) ? (names.shift() ?? '') : text)),
        ),
      }
    )
  }
}

/** For a head without a body there is one way by which node:http writes it in UTF-8, and that alone. */
const beyondAscii = '\xe9\t"'

/** What becomes of one request, said by itself in its field X-Do. */
interface Script {
  readonly when: 'now' | 'later' | 'after the body'
  readonly status: number
  readonly reason: string | null
  readonly headers: readonly string[]
  /** Sizes of the pieces of the body. */
  readonly pieces: readonly number[]
  /** What Content-Length says of them; false: there is none. */
  readonly isCounted: boolean
  readonly trailers: readonly string[]
  readonly isInformed: boolean
}

const script: fc.Arbitrary<Script> = fc
  .record({
    when: fc.constantFrom('now', 'later', 'after the body'),
    status: fc.constantFrom(200, 200, 204, 304, 404, 500, 599, 777),
    reason: fc.constantFrom(null, 'OK', 'As you like', ''),
    headers: fc
      .array(
        fc.constantFrom(
          ...[
            ['Server', 'x'],
            ['X', ''],
            ['X', beyondAscii],
            ['Date', 'never'],
          ],
          ...[
            ['Trailer', 'X-Sum'],
            ['Keep-Alive', 'timeout=1'],
            ['transfer-encoding', 'gzip'],
          ],
          ...[
            ['Set-Cookie', 'a=b'],
            ['Set-Cookie', 'c=d'],
            ['X y', 'z'],
            ['X', 'a\r\nb'],
          ],
        ),
        { maxLength: 3 },
      )
      .map((fields) => fields.flat()),
    pieces: fc.array(fc.constantFrom(0, 1, 100, 5000, 20_000, 70_000), { maxLength: 3 }),
    isCounted: fc.boolean(),
    trailers: fc.constantFrom([], ['X-Sum', '1', 'X-Sum', '2']),
    isInformed: fc.boolean(),
  })
  .filter(({ status, headers }) => !headers.includes(beyondAscii) || ![204, 304].includes(status))

const sent = fc.constantFrom('', 'x', 'x'.repeat(3000), 'x'.repeat(70_000))

const requests = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'HEAD', 'PUT'),
    body: fc.option(fc.tuple(sent, fc.boolean())),
    fields: fc.subarray(['X: y', 'Connection: keep-alive', 'Expect: 100-continue', 'TE: trailers'], {
      maxLength: 2,
    }),
    script,
  })
  .map(({ method, body, fields, script }) => {
    const [content, isCounted] = (method !== 'HEAD' && body) || ['', true]
    const framing =
      method === 'HEAD' || !body
        ? []
        : [isCounted ? `Content-Length: ${content.length}` : 'Transfer-Encoding: chunked']
    const lines = [
      `${method} /a?b HTTP/1.1`,
      'Host: test',
      ...fields,
      ...framing,
      `X-Do: ${JSON.stringify(script)}`,
    ]
    const size = content.length.toString(16)
    const chunks = content === '' ? '0\r\n\r\n' : `${size}\r\n${content}\r\n0\r\n\r\n`
    return `${lines.map(escaped).join('\r\n')}\r\n\r\n${isCounted ? content : chunks}`
  })

/** Its last request ends the connection: had the client more to say by then, it might lose what it was told. */
const conversation = fc
  .tuple(
    fc.array(requests, { maxLength: 4 }),
    fc.constantFrom(
      'GET /last HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n',
      'GET /last HTTP/1.0\r\n\r\n',
      'GET /last HTTP/1.1\r\nHost: test\r\nHost: test\r\n\r\n',
      'GET /last HTTP/1.1\r\nHost : test\r\n\r\n',
      'nonsense\r\n\r\n',
    ),
  )
  .map(([all, last]) => [...all, last].join(''))

/** JSON in a field: what is beyond ASCII would not come back as it was. */
function escaped(line: string): string {
  return line.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

const informed = /HTTP\/1\.1 103 Early Hints\r\nLink: <\/a>\r\n\r\n/g

/** An inbound that does with each request what that says. */
class ScriptedInbound {
  readonly #numbers = new Float64Array(counterCount)
  readonly counters = new Counters(this.#numbers)
  readonly #inbound: HttpInbound
  #port = 0
  /** What came of the conversation in hand. */
  #seen: Record<string, unknown>[] = []

  constructor(lane: Lane) {
    this.#inbound = new HttpInbound({
      handler: (incoming, reply) => this.#take(incoming, reply),
      clock: systemClock,
      logger: silentLogger,
      product: 'troop/1.2.3',
      counters: this.#numbers,
      fastLane: lane === 'fast',
    })
  }

  async start(): Promise<this> {
    this.#port = (await this.#inbound.start({ host: '127.0.0.1', port: 0 })).port
    return this
  }

  stop(): Promise<void> {
    return this.#inbound.stop()
  }

  /** Says `text` in pieces; resolves with what came back, and what was made of it. */
  async tell(text: string, cuts: readonly number[]): Promise<Told> {
    this.#seen = []
    const socket = await connect(this.#port)
    const chunks: Buffer[] = []
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    socket.on('data', (chunk) => chunks.push(chunk)).on('error', () => {})
    let from = 0
    for (const cut of cuts) {
      socket.write(text.slice(from, from + cut), 'latin1')
      from += cut
      await new Promise((resolve) => setImmediate(resolve))
    }
    socket.write(text.slice(from), 'latin1')
    await closed
    const said = Buffer.concat(chunks).toString('latin1')
    // Informational heads are not waited for, and which of them find room in the system's buffers is up to that.
    const alike = said.replace(informed, '').replace(/\r\nDate: \w{3}, .*? GMT\r\n/g, '\r\nDate: now\r\n')
    return { said: alike, seen: this.#seen }
  }

  #take(incoming: Incoming, reply: Reply): void {
    const { method, target, headers, httpVersion } = incoming
    const rawHeaders = headers.raw()
    const at = rawHeaders.indexOf('X-Do')
    const script: Script = at < 0 ? plain : JSON.parse(rawHeaders[at + 1] as string)
    const seen: Record<string, unknown> = { method, target, httpVersion, rawHeaders }
    this.#seen.push(seen)
    reply.watcher = {
      drained() {},
      spoiled: (answer) => reply.head(answer.status, undefined, Headers.from(['Content-Length', '0'])),
      closed(complete) {
        seen.complete = complete
      },
    }
    const { body } = incoming
    let bytes = 0
    body?.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    body?.on('end', () => {
      seen.body = bytes
    })
    if (script.when === 'now') play(script, reply)
    else if (script.when === 'later' || !body) setImmediate(() => play(script, reply))
    else body.on('end', () => play(script, reply))
  }
}

const plain: Script = {
  ...{ when: 'now', status: 200, reason: null, headers: [], pieces: [3], isCounted: true, trailers: [] },
  isInformed: false,
}

function play(
  { status, reason, headers, pieces, isCounted, trailers, isInformed }: Script,
  reply: Reply,
): void {
  if (isInformed) reply.inform(103, Headers.from(['Link', '</a>']))
  const length = String(pieces.reduce((sum, size) => sum + size, 0))
  try {
    const fields = isCounted ? [...headers, 'Content-Length', length] : headers
    reply.head(status, reason ?? undefined, Headers.from(fields))
  } catch (error) {
    // As the proxy does it: nothing was sent, so another can be.
    reply.head(500, undefined, Headers.from(['Content-Length', '0', 'X-Error', (error as Error).name]))
    reply.end()
    return
  }
  for (const size of pieces) reply.write(Buffer.alloc(size, 'y'))
  reply.end(trailers)
}

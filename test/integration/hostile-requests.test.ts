// Each request of hostile/ over a socket of its own, to a gateway in front of an upstream that forgives nothing. Some
// at once, each at a gateway and an upstream of its own, so that what arrived is known to be of this request.
import type { Socket } from 'node:net'
import { expect } from 'chai'
import { Counters } from '../../src/proxy/counters.ts'
import { TestGateway } from '../support/gateway.ts'
import { inEachLane, type Lane } from '../support/lanes.ts'
import { connect, connectTls, exchange } from '../support/raw-http.ts'
import { type Recorded, StrictRecorder, valuesOf } from '../support/strict-recorder.ts'
import type { HostileRequest, Passed } from './hostile/hostile-request.ts'
import { hostileRequests } from './hostile/hostile-requests.ts'

class Pair {
  readonly recorder = new StrictRecorder()
  readonly gateway: TestGateway

  constructor(lane: Lane) {
    this.gateway = new TestGateway({ lane })
  }

  async start(): Promise<this> {
    await Promise.all([this.recorder.start(), this.gateway.start()])
    const { gateway } = this
    const upstream_url = this.recorder.url
    gateway.addApi({ request_host: 'test', upstream_url })
    gateway.addApi({ request_path: '/path', upstream_url })
    const keyed = gateway.addApi({ request_host: 'keyed', upstream_url })
    gateway.addPlugin(keyed, 'key-auth', { key_names: ['apikey'], hide_credentials: true })
    gateway.addKey(gateway.addConsumer('bob'), 'secret')
    return this
  }

  async stop(): Promise<void> {
    await this.gateway.stop()
    await this.recorder.stop()
  }

  /** What is wrong with what became of the request. */
  async try(request: HostileRequest, port: 'plain' | 'tls'): Promise<string[]> {
    const socket = await (port === 'tls' ? connectTls(this.gateway.tlsPort) : connect(this.gateway.port))
    const client = new RawClient(socket)
    socket.write(request.bytes, 'latin1')
    if (!request.closes) {
      await client.heard(({ statuses }) => statuses.length >= request.statuses.length)
      socket.write('GET /last HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n')
    }
    await client.heard(({ isEnded }) => isEnded)
    socket.destroy()
    return this.#judge(request, client, await this.recorder.take())
  }

  #judge(request: HostileRequest, { statuses, received }: RawClient, arrived: readonly Recorded[]): string[] {
    const more: Passed[] = request.closes ? [] : [{ line: 'GET /last' }]
    const expected = [...request.statuses, ...more.map(() => 200)]
    const faults = this.recorder.faults.splice(0)
    if (String(statuses) !== String(expected)) faults.push(`answered ${statuses} (${received.slice(0, 200)})`)
    if (/^HTTP\/1\.1 4(?!04|01)\d\d /.test(received) && !isOurPage(received))
      faults.push(`not our page: ${received}`)
    const passed = [...request.passed, ...more]
    // One that was broken off may have been so before anything arrived.
    const whole = arrived.filter((one) => one.whole)
    const wanted = passed.filter((one) => one.whole !== false)
    if (whole.length !== wanted.length) faults.push(`arrived: ${whole.map(({ line }) => line)}`)
    for (const [i, one] of wanted.entries()) faults.push(...differences(one, whole[i]))
    for (const { line } of arrived.filter((one) => !one.whole))
      if (!passed.some((one) => one.line === line && one.whole === false))
        faults.push(`arrived in part: ${line}`)
    return faults
  }
}

class RawClient {
  received = ''
  isEnded = false
  #changed = () => {}

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1')
      this.#changed()
    })
    for (const event of ['end', 'close'] as const) {
      socket.on(event, () => {
        this.isEnded = true
        this.#changed()
      })
    }
    socket.on('error', () => {})
  }

  /** Bodies of these answers hold no such line. */
  get statuses(): number[] {
    return [...this.received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
  }

  async heard(what: (client: this) => boolean): Promise<void> {
    while (!what(this) && !this.isEnded) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
  }
}

function isOurPage(received: string): boolean {
  const page = /^HTTP\/1\.1 \d+ .*\r\nServer: troop\/1\.2\.3\r\nContent-Type: application\/json/s
  return page.test(received) && /\r\n\r\n\{"message":"[^"]+"\}\n/.test(received)
}

function differences(wanted: Passed, got: Recorded | undefined): string[] {
  if (!got) return [`not arrived: ${wanted.line}`]
  const faults: string[] = []
  if (got.line !== wanted.line) faults.push(`arrived as ${got.line}`)
  if (wanted.body !== undefined && got.body !== wanted.body) faults.push(`with the body ${got.body}`)
  for (const field of wanted.has ?? []) if (!got.fields.includes(field)) faults.push(`without ${field}`)
  for (const field of wanted.lacks ?? []) {
    const [name = '', value] = field.split(': ')
    const values = valuesOf(got.fields, name).map((text) => text.toLowerCase())
    if (value === undefined ? values.length > 0 : values.includes(value)) faults.push(`with ${field}`)
  }
  return faults
}

inEachLane('hostile requests', (lane) => {
  let pairs: Pair[]

  before(async () => {
    pairs = await Promise.all(Array.from({ length: 6 }, () => new Pair(lane).start()))
  })
  after(() => Promise.all(pairs.map((pair) => pair.stop())))

  /** All of `requests`, and the faults of each by its name. */
  async function faultsOf(
    requests: readonly HostileRequest[],
    port: 'plain' | 'tls',
  ): Promise<Record<string, string[]>> {
    const faults: Record<string, string[]> = {}
    const left = [...requests]
    await Promise.all(
      pairs.map(async (pair) => {
        for (let request = left.shift(); request; request = left.shift()) {
          const found = await pair.try(request, port)
          if (found.length > 0) faults[request.name] = found
        }
      }),
    )
    return faults
  }

  for (const { title, requests } of hostileRequests) {
    it(`${title}: answered as they should be, and only what is unambiguous reaches the upstream`, async () => {
      expect(await faultsOf(requests, 'plain')).deep.equal({})
    })
  }

  it('over TLS they fare no better', async () => {
    // What is said about the connection differs.
    const others = hostileRequests.flatMap(({ requests }) => requests)
    const some = others.filter(
      ({ statuses, passed }, i) => i % 4 === 0 && statuses[0] !== 200 && passed.length === 0,
    )
    expect(some.length).greaterThan(50)
    expect(await faultsOf(some, 'tls')).deep.equal({})
  })

  it('HTTP on the port for TLS ends without a word', async () => {
    const { gateway } = pairs[0] as Pair
    expect(await exchange(gateway.tlsPort, 'GET / HTTP/1.1\r\nHost: test\r\n\r\n')).equal('')
  })

  it('requests without end behind one that takes its time cost the connection', async () => {
    const pair = pairs[0] as Pair
    const socket = await connect(pair.gateway.port)
    socket.on('error', () => {})
    const waiting = Promise.withResolvers<void>()
    const hold = pair.gateway.catalog.onLookup
    pair.gateway.catalog.onLookup = () => waiting.promise
    socket.write('GET / HTTP/1.1\r\nHost: test\r\n\r\n'.repeat(5000))
    socket.resume()
    await new Promise<void>((resolve) => socket.once('close', () => resolve()))
    pair.gateway.catalog.onLookup = hold
    waiting.resolve()
    expect(new Counters(pair.gateway.counters).refusals.pipelined).equal(1)
    expect(await pair.recorder.take()).deep.equal([])
  })

  it('each has a name of its own in its class', () => {
    for (const { title, requests } of hostileRequests)
      expect(new Set(requests.map(({ name }) => name)).size, title).equal(requests.length)
    expect(hostileRequests.reduce((sum, { requests }) => sum + requests.length, 0)).greaterThan(200)
  })
})

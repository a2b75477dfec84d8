// Upstreams that fail in every way that there is, again and again: each with its status and its reason, and nothing is
// left behind of it.
import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import { Counters } from '../../src/proxy/counters.ts'
import { Names } from '../../src/proxy/outbound/names.ts'
import { DnsServer } from '../support/dns-server.ts'
import { TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { until } from '../support/log.ts'
import { ask } from '../support/raw-http.ts'

const whole = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const half = 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf'

/** What an upstream does with a connection that brought a request. */
const manners: Readonly<Record<string, (socket: Socket) => void>> = {
  closes: (socket) => socket.end(),
  resets: (socket) => socket.resetAndDestroy(),
  'says nothing': () => {},
  'sends half a head': (socket) => socket.end(whole.slice(0, 20)),
  'speaks something else': (socket) => socket.end('220 mail.test ESMTP\r\n'),
  'sends half a body and closes': (socket) => socket.end(half),
  'sends half a body and resets': (socket) => socket.write(half, () => socket.resetAndDestroy()),
  'sends half a body and no more': (socket) => socket.write(half),
}

describe('an upstream that fails', () => {
  let gateway: TestGateway
  let server: net.Server
  let act: (socket: Socket) => void
  let requests: number
  const sockets = new Set<Socket>()

  beforeEach(async () => {
    requests = 0
    act = (socket) => socket.write(whole)
    server = net.createServer((socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket)).on('error', () => {})
      socket.on('data', () => {
        requests++
        act(socket)
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })

  afterEach(async () => {
    await gateway.stop()
    for (const socket of sockets) socket.destroy()
    server.close()
  })

  const port = () => (server.address() as AddressInfo).port
  async function start(options: TestGatewayOptions = {}, url = `http://127.0.0.1:${port()}`): Promise<void> {
    gateway = await new TestGateway(options).start()
    gateway.addApi({ request_host: 'test', upstream_url: url })
  }

  /** The status, or `cut` when the body broke off. */
  const outcome = () =>
    ask(gateway.port, '/').then(
      ({ status }) => status,
      () => 'cut' as const,
    )
  const counters = () => new Counters(gateway.counters)
  /** The reasons that were counted. */
  const reasons = () =>
    Object.fromEntries(Object.entries(counters().failures).filter(([, count]) => count > 0))
  const sentences = () => gateway.lines.map(({ sentence }) => sentence)

  const shortly = { outbound: { timeouts: { readMs: 60 } } }
  const expected: Readonly<Record<string, [outcome: number | 'cut', reason: string]>> = {
    closes: [502, 'broken'],
    resets: [502, 'broken'],
    'says nothing': [504, 'read-timeout'],
    'sends half a head': [502, 'broken'],
    'speaks something else': [502, 'protocol'],
    'sends half a body and closes': ['cut', 'broken'],
    'sends half a body and resets': ['cut', 'broken'],
    'sends half a body and no more': ['cut', 'read-timeout'],
  }
  for (const [manner, [what, reason]] of Object.entries(expected)) {
    it(`and ${manner}: ${what}, ${reason}; two lines in the log, and the next answer is the upstream's`, async () => {
      await start(shortly)
      act = manners[manner] as typeof act
      const all = await Promise.all(Array.from({ length: 5 }, outcome))
      expect(all).deep.equal(Array(5).fill(what))
      expect(reasons()).deep.equal({ [reason]: 5 })
      act = (socket) => socket.write(whole)
      expect(await outcome()).equal(200)
      expect(sentences()).deep.equal(['an upstream fails', 'an upstream answers again'])
      expect(gateway.lines[1]?.fields).include({ failures: 5 })
    })
  }

  it('and takes no connection: 502, refused; once it listens again it is asked', async () => {
    await start()
    const { port: own } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    expect(await outcome()).equal(502)
    expect(reasons()).deep.equal({ refused: 1 })
    server.listen(own, '127.0.0.1')
    await once(server, 'listening')
    expect(await outcome()).equal(200)
  })

  it('and has a name that cannot be found out: 502, unresolved; once it can it is asked, and still when DNS goes again', async () => {
    const dns = await new DnsServer().start()
    try {
      const names = new Names({
        clock: systemClock,
        servers: [dns.address],
        hostsFile: '/dev/null',
        timeoutMs: 50,
      })
      await start({ outbound: { names } }, `http://upstream.test:${port()}`)
      dns.names.set('upstream.test', 'server failure')
      expect(await outcome()).equal(502)
      expect(reasons()).deep.equal({ unresolved: 1 })
      dns.names.set('upstream.test', { addresses: ['127.0.0.1'], ttlSeconds: 0 })
      expect(await outcome()).equal(200)
      act = (socket) => socket.end()
      dns.names.set('upstream.test', 'server failure')
      expect(await outcome()).equal(502)
      act = (socket) => socket.write(whole)
      expect(await outcome()).equal(200)
      expect(reasons()).deep.equal({ unresolved: 1, broken: 1 })
    } finally {
      await dns.stop()
    }
  })

  it('leaves no connection behind, and is not asked more often than clients ask, twice at the most', async () => {
    await start(shortly)
    const ways = Object.values(manners)
    const turns = 960
    let sent = 0
    act = (socket) => {
      // Each way, and a whole answer in between: so that there is a connection that may be used again.
      const way = sent++ % 2 === 0 ? undefined : ways[(sent >> 1) % ways.length]
      if (way) way(socket)
      else socket.write(whole)
    }
    const open = process.getActiveResourcesInfo().length
    const one = async (count: number) => {
      for (let i = 0; i < count; i++) await outcome()
    }
    await Promise.all(Array.from({ length: 32 }, () => one(turns / 32)))
    act = (socket) => socket.write(whole)
    expect(await outcome()).equal(200)
    await until(() => counters().get('upstreamInUse') === 0)
    expect(counters().get('requests')).equal(turns + 1)
    expect(requests).within(turns, 2 * turns)
    // What is open is kept for the next requests.
    gateway.outbound.stop()
    await until(() => counters().get('upstreamOpen') === 0 && sockets.size === 0)
    await until(() => process.getActiveResourcesInfo().length <= open + 2)
    expect(gateway.lines.length).below(20)
  }).timeout(60_000)
})

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { expect } from 'chai'
import type { Address } from '../../src/base/address.ts'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { codeOf } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { type ClusterKeys, makeKey, parseKeys } from '../../src/cluster/transport/keys.ts'
import { connectPsk } from '../../src/cluster/transport/tls.ts'
import { TlsTransport, type TlsTransportOptions } from '../../src/cluster/transport/tls-transport.ts'
import { type Peer, sayHello, type TransportCounts } from '../../src/cluster/transport/transport.ts'
import { encodeFrame } from '../../src/rpc/wire.ts'
import { certificate, certificateKey } from '../support/certificate.ts'
import { root } from '../support/sources.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { startNode, type TestNode, type TransportWorld, transportSuite } from '../support/transport-suite.ts'

const limitMs = 15_000
const key = () => makeKey(systemRandom)
const releases: (() => unknown)[] = []

async function release(): Promise<void> {
  for (const next of releases.splice(0).reverse()) await next()
}

/** Transports on sockets of this machine. */
function sockets(differently: Partial<TlsTransportOptions> = {}): TransportWorld {
  const keys = parseKeys([key()])
  return {
    transport(cluster) {
      const transport = new TlsTransport({
        listen: { host: '127.0.0.1', port: 0 },
        cluster,
        keys,
        urgent: new Set(['probe']),
        clock: systemClock,
        logger: silentLogger,
        ...differently,
      })
      releases.push(() => transport.stop())
      return transport
    },
    // Reserved, and never bound by a service.
    nowhere: { host: '127.0.0.1', port: 1 },
    until,
    outcome: (promise) => promise,
  }
}

async function until(isTrue: () => boolean, claim: string): Promise<void> {
  const end = performance.now() + limitMs
  while (!isTrue()) {
    if (performance.now() > end) throw new Error(`not within ${limitMs} ms: ${claim}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

transportSuite('tls', () => sockets(), release)

describe('the tls transport, towards strangers,', () => {
  afterEach(release)

  const keys = parseKeys([key()])
  const thrown = (promise: Promise<unknown>) =>
    promise.then(
      () => expect.fail('nothing was thrown'),
      (error: Error) => error,
    )
  const start = (name: string, differently: Partial<TlsTransportOptions> = {}) =>
    startNode(sockets({ keys, ...differently }), name)
  const refusedBy = (node: TestNode) =>
    Object.fromEntries(Object.entries(node.transport.counts().refused).filter(([, count]) => count > 0))
  const refusal = (node: TestNode, reason: keyof TransportCounts['refused'], count = 1) =>
    until(() => node.transport.counts().refused[reason] === count, `${count} refused: ${reason}`)
  /** Other nodes still get in, and nobody who should not has a place. */
  const lives = async (node: TestNode) => {
    const friend = await start('friend')
    const peer = await friend.dial(node)
    expect(await peer.call('echo', 'well', limitMs)).to.equal('well')
    expect(node.transport.counts()).to.include({ peers: 1, strangers: 0 })
  }
  const knock = async ({ port, host }: Address): Promise<Socket> => {
    const socket = connect(port, host)
    releases.push(() => socket.destroy())
    socket.on('error', () => {})
    await once(socket, 'connect')
    return socket
  }
  const gone = (socket: Socket) =>
    new Promise<void>((resolve) => {
      if (socket.closed) resolve()
      else socket.resume().once('close', () => resolve())
    })

  it('lets nodes with two keys into one cluster at every step of a rotation', async () => {
    const [old, fresh] = [key(), key()]
    const steps: ClusterKeys[] = [[old], [old, fresh], [fresh, old], [fresh]].map(parseKeys)
    for (let step = 1; step < steps.length; step++) {
      const [before, after] = [steps[step - 1] as ClusterKeys, steps[step] as ClusterKeys]
      const a = await start('a', { keys: before })
      const b = await start('b', { keys: after })
      await a.dial(b)
      const again = await start('c', { keys: after })
      await again.dial(a)
    }
    const a = await start('a', { keys: steps[0] as ClusterKeys })
    const b = await start('b', { keys: steps[3] as ClusterKeys })
    expect(codeOf(await thrown(a.dial(b)))).to.equal('peer-untrusted')
  })

  it('refuses who has another key, and one who only knows the name of ours', async () => {
    const a = await start('a')
    const stranger = await start('b', { keys: parseKeys([key()]) })
    expect(codeOf(await thrown(stranger.dial(a)))).to.equal('peer-untrusted')
    await refusal(a, 'wrong-key')
    const liar = await start('b', { keys: [{ id: keys[0].id, secret: Buffer.alloc(32) }] })
    expect(codeOf(await thrown(liar.dial(a)))).to.equal('peer-untrusted')
    await refusal(a, 'wrong-key', 2)
    await lives(a)
  })

  it('refuses those who speak something else, or show a certificate instead of the key', async () => {
    const a = await start('a')
    const says = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.from(systemRandom.hex(5000), 'hex'),
      encodeFrame({ method: 'transport.hello', params: sayHello(a.self, 'cluster-1', 1) }, 10_000),
    ]
    for (const bytes of says) {
      const socket = await knock(a.address)
      socket.write(bytes)
      await gone(socket)
    }
    const tls = connectTls({
      ...a.address,
      cert: certificate,
      key: certificateKey,
      rejectUnauthorized: false,
    })
    tls.on('error', () => {})
    await gone(tls)
    await refusal(a, 'no-handshake', 4)
    expect(refusedBy(a)).to.deep.equal({ 'no-handshake': 4 })
    await lives(a)
  })

  it('refuses a ticket of an earlier session, which its holder shows instead of a key', async () => {
    const a = await start('a')
    const first = connectPsk(a.address, keys[0])
    releases.push(() => first.destroy())
    first.on('error', () => {}).resume()
    const [session] = (await once(first, 'session')) as [Buffer]
    const again = connectTls({ ...a.address, session, minVersion: 'TLSv1.3', rejectUnauthorized: false })
    again.on('error', () => {})
    await gone(again)
    await refusal(a, 'wrong-key')
  })

  it('does not speak to a server that shows a certificate, though the machine trusts its authority', async function () {
    this.timeout(60_000)
    const rogue = createTlsServer({ cert: certificate, key: certificateKey })
    rogue.on('tlsClientError', () => {}).on('secureConnection', (socket) => socket.on('error', () => {}))
    const { port } = await listening(rogue)
    const directory = await mkdtemp(join(tmpdir(), 'troop-rogue-'))
    releases.push(() => rm(directory, { recursive: true }))
    const authority = join(directory, 'authority.pem')
    await writeFile(authority, certificate)
    const script = `
      import { connect } from 'node:tls'
      import { connectPsk } from '${root}/src/cluster/transport/tls.ts'
      const key = { id: '${keys[0].id}', secret: Buffer.alloc(32) }
      const outcome = (socket) => new Promise((resolve) => {
        socket.once('secureConnect', () => resolve('trusted'))
        socket.once('error', (error) => resolve(error.code ?? error.message))
      })
      const address = { host: 'localhost', port: ${port} }
      const outcomes = [await outcome(connect(address)), await outcome(connectPsk(address, key))]
      console.log(JSON.stringify(outcomes))
      process.exit()`
    const output = await new Promise<string>((resolve, reject) => {
      execFile(
        process.execPath,
        ['--input-type=module', '-e', script],
        { env: { ...process.env, NODE_EXTRA_CA_CERTS: authority } },
        (error, stdout) => (error ? reject(error) : resolve(stdout)),
      )
    })
    const [ordinary, ours] = JSON.parse(output)
    expect(ordinary, 'an ordinary client of this machine').to.equal('trusted')
    expect(ours).not.to.equal('trusted')

    const a = await start('a')
    expect(codeOf(await thrown(a.transport.dial({ host: '127.0.0.1', port }, limitMs)))).to.equal(
      'peer-untrusted',
    )
  })

  it('gives up a dial that is not answered in time, or not with TLS', async () => {
    const a = await start('a')
    const mute = await listening(createServer((socket) => releases.push(() => socket.destroy())))
    expect(codeOf(await thrown(a.transport.dial({ host: '127.0.0.1', ...mute }, 50)))).to.equal(
      'peer-unreachable',
    )
    const rude = await listening(
      createServer((socket) =>
        socket
          .on('error', () => {})
          .resume()
          .end('220 welcome\r\n'),
      ),
    )
    expect(codeOf(await thrown(a.transport.dial({ host: '127.0.0.1', ...rude }, limitMs)))).to.equal(
      'peer-untrusted',
    )
    const gone = await listening(createServer((socket) => socket.destroy()))
    expect(codeOf(await thrown(a.transport.dial({ host: '127.0.0.1', ...gone }, limitMs)))).to.equal(
      'peer-unreachable',
    )
  })

  it('cuts off who is slow to show who it is, with the key or without', async () => {
    const clock = handClock()
    const a = await start('a', { clock })
    const idle = await knock(a.address)
    const half = await knock(a.address)
    half.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]))
    const withKey = connectPsk(a.address, keys[0])
    withKey.on('error', () => {})
    await once(withKey, 'secureConnect')
    await until(() => a.transport.counts().strangers === 3, 'three wait')
    clock.elapse(2999)
    await new Promise(setImmediate)
    expect(a.transport.counts().strangers).to.equal(3)
    clock.elapse(3000)
    await Promise.all([gone(idle), gone(half), gone(withKey)])
    await refusal(a, 'too-slow', 3)
    expect(refusedBy(a)).to.deep.equal({ 'too-slow': 3 })
    await lives(a)
  })

  it('makes place for a node when strangers have taken all places', async () => {
    const a = await start('a')
    const strangers: Socket[] = []
    for (let i = 0; i < 100; i++) strangers.push(await knock(a.address))
    await until(() => a.transport.counts().refused['too-many'] === 36, 'the oldest have gone')
    expect(a.transport.counts().strangers).to.equal(64)
    const friend = await start('friend')
    const peer = await friend.dial(a)
    expect(await peer.call('echo', 'well', limitMs)).to.equal('well')
    expect(strangers.slice(-60).some(({ closed }) => closed)).to.equal(false)
  })

  it('logs refusals of one reason once in a while, however many there are', async () => {
    const lines: unknown[] = []
    const logger = {
      ...silentLogger,
      warn: (sentence: string, fields: unknown) => lines.push([sentence, fields]),
    }
    const a = await start('a', { logger })
    for (let i = 1; i <= 20; i++) {
      const socket = await knock(a.address)
      socket.write('hello?')
      await gone(socket)
      await refusal(a, 'no-handshake', i)
    }
    expect(lines).to.have.length(1)
    expect(lines[0]).to.have.nested.property('[1].reason', 'no-handshake')
  })

  describe('and towards nodes that break the rules,', () => {
    /** Holds the key, and sends what the test says. */
    const intruder = async (node: TestNode): Promise<TLSSocket> => {
      const socket = connectPsk(node.address, keys[0])
      releases.push(() => socket.destroy())
      socket.on('error', () => {})
      await once(socket, 'secureConnect')
      return socket
    }
    const notice = (method: string, params: unknown) => encodeFrame({ method, params }, 2 << 20)
    const greeting = (node: TestNode, differently: object = {}) =>
      notice('transport.hello', {
        ...sayHello({ name: 'x', life: 1, address: node.address }, 'cluster-1', 1),
        ...differently,
      })

    it('closes before the hello on anything but a good one', async () => {
      const a = await start('a')
      const bad = [
        notice('n', 1),
        greeting(a, { name: 7 }),
        greeting(a, { protocol: { min: 9, max: 9 } }),
        Buffer.from([0xff, 0xff, 0xff, 0xff]),
        encodeFrame({ neither: 1 }, 1000),
      ]
      for (const bytes of bad) {
        const socket = await intruder(a)
        socket.write(bytes)
        await gone(socket)
      }
      await until(() => a.transport.counts().strangers === 0, 'all have gone')
      expect(a.peers).to.deep.equal([])
      expect(refusedBy(a)).to.deep.equal({ 'no-handshake': 4, 'no-common-protocol': 1 })
      await lives(a)
    })

    it('answers no request before the hello', async () => {
      const a = await start('a')
      const socket = await intruder(a)
      socket.write(encodeFrame({ id: 1, method: 'echo', params: 'secret' }, 1000))
      const [answer] = (await once(socket, 'data')) as [Buffer]
      expect(answer.toString())
        .to.match(/rpc-closed/)
        .and.not.to.match(/secret/)
    })

    it('closes after the hello on frames that are too long, no messages, or another hello', async () => {
      const a = await start('a')
      const bad = [
        Buffer.from([0, 0x20, 0, 0]),
        encodeFrame([], 100),
        encodeFrame({ id: -1, result: 1 }, 100),
        greeting(a),
      ]
      for (const [i, bytes] of bad.entries()) {
        const socket = await intruder(a)
        socket.write(greeting(a))
        await until(() => a.peers.length === i + 1, 'it is let in')
        socket.write(bytes)
        await gone(socket)
        expect((await (a.peers[i] as Peer).closed).reason).to.equal('protocol')
      }
      await lives(a)
    })
  })
})

describe('the tls transport, when a peer or the wire fails,', () => {
  afterEach(release)

  const thrownCode = (promise: Promise<unknown>) =>
    promise.then(
      () => undefined,
      (error: unknown) => codeOf(error),
    )

  async function through(proxyTo: TestNode): Promise<{ proxy: TcpProxy; address: Address }> {
    const proxy = await TcpProxy.to('127.0.0.1', proxyTo.address.port)
    releases.push(() => proxy.stop())
    return { proxy, address: { host: '127.0.0.1', port: proxy.port } }
  }

  it('tells both sides that the connection was lost, and rejects what waits', async () => {
    const world = sockets()
    const [a, b] = [await startNode(world, 'a'), await startNode(world, 'b')]
    const { proxy, address } = await through(b)
    const peer = await a.transport.dial(address, limitMs)
    const waiting = thrownCode(peer.call('hang', null, limitMs))
    proxy.cut()
    expect(await peer.closed).to.include({ by: 'wire', reason: 'lost' })
    expect(await waiting).to.equal('rpc-closed')
    expect(await (b.peers[0] as Peer).closed).to.include({ by: 'wire', reason: 'lost' })
    expect(a.transport.counts().peers + b.transport.counts().peers).to.equal(0)
  })

  it('refuses more for a peer that does not read, within a bound, while others get everything', async () => {
    const world = sockets()
    const [a, b, c] = [await startNode(world, 'a'), await startNode(world, 'b'), await startNode(world, 'c')]
    const { proxy, address } = await through(b)
    const stuck = await a.transport.dial(address, limitMs)
    const well = await a.dial(c)
    proxy.blackHole()
    const text = 'x'.repeat(200_000)
    let taken = 0
    // What the system buffers on both sides of the proxy goes first, in as many turns as it likes.
    for (let refusals = 0; refusals < 50; ) {
      if (stuck.notify('n', text)) {
        taken++
        refusals = 0
      } else refusals++
      expect(await well.call('echo', taken, limitMs)).to.equal(taken)
      expect(well.notify('n', taken)).to.equal(true)
      expect(taken).to.be.lessThan(400)
    }
    expect(await thrownCode(stuck.call('echo', text, limitMs))).to.equal('rpc-busy')
    // A probe is still taken, and is what finds out.
    expect(await thrownCode(stuck.call('probe', null, 20))).to.equal('rpc-timeout')
    await well.call('echo', null, limitMs)
    expect(c.heard).to.have.length.greaterThan(taken)
  })

  it('lets a probe overtake what waits', async () => {
    const world = sockets()
    const [a, b] = [await startNode(world, 'a'), await startNode(world, 'b')]
    const peer = await a.dial(b)
    const text = 'x'.repeat(500_000)
    for (let i = 0; i < 8; i++) expect(peer.notify('big', text)).to.equal(true)
    peer.notify('small', null)
    peer.notify('probe', null)
    await until(() => b.heard.length === 10, 'all arrive')
    const order = b.heard.map((line) => line.split(' ')[1])
    expect(order.indexOf('probe')).to.be.lessThan(8)
    expect(order.filter((method) => method !== 'probe')).to.deep.equal([...Array(8).fill('big'), 'small'])
  })

  it('goes over to a new connection when the one that should stay is dead without its knowing', async () => {
    const world = sockets()
    const [a, b] = [await startNode(world, 'a'), await startNode(world, 'b')]
    const { proxy, address } = await through(b)
    const peer = await a.transport.dial(address, limitMs)
    await until(() => b.peers.length === 1, 'b has met a')
    proxy.blackHole()
    // The connection that a has dialled is the one that stays of two, and neither side knows that it is dead.
    await b.dial(a)
    await until(() => [a, b].every(({ transport }) => transport.counts().connections === 1), 'one is left')
    expect(await peer.call('echo', 'well', limitMs)).to.equal('well')
    expect(await (b.peers[0] as Peer).call('echo', 'well', limitMs)).to.equal('well')
    expect([...a.ends, ...b.ends, ...a.peers.slice(1), ...b.peers.slice(1)]).to.deep.equal([])
  })
})

async function listening(server: Server): Promise<{ port: number }> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  releases.push(() => new Promise((resolve) => server.close(resolve)))
  return { port: (server.address() as AddressInfo).port }
}

/** The system's clock, except that delays end when the test says so: those of up to `ms` at once. */
function handClock(): Clock & { elapse(ms: number): void } {
  const timers = new Set<{ delayMs: number; call: () => void }>()
  return {
    ...systemClock,
    after(delayMs, call) {
      const timer = { delayMs, call }
      timers.add(timer)
      return { cancel: () => void timers.delete(timer) }
    },
    elapse(ms) {
      for (const { delayMs, call } of [...timers]) if (delayMs <= ms) call()
    },
  }
}

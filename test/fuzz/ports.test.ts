// Random bytes and half handshakes on the ports that others can reach: cut off, nothing left behind, still at work.
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect } from 'chai'
import fc from 'fast-check'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { makeKey, parseKeys } from '../../src/cluster/transport/keys.ts'
import { TlsTransport } from '../../src/cluster/transport/tls-transport.ts'
import type { ControlMethods } from '../../src/control/control.ts'
import { createControlServer } from '../../src/control/server.ts'
import { encodeFrame } from '../../src/rpc/wire.ts'
import { until } from '../support/log.ts'
import { anyJson, runs } from './runs.ts'

/** The beginning of a TLS record that says it carries a handshake, with whatever after it. */
const handshake = fc
  .uint8Array({ maxLength: 80 })
  .map((rest) => Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, ...rest]))
const chunks = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((some) => Buffer.from(some)),
    handshake,
    anyJson.map((some) => encodeFrame(some, 1 << 20)),
  ),
  { maxLength: 4 },
)
/** What the client does then: it hangs up, breaks off, or says nothing more. */
const ends = fc.constantFrom('end', 'destroy', 'wait')

/** Deadlines of seconds pass in moments, while `isHasty`. */
let isHasty = true
const hasty: Clock = {
  ...systemClock,
  after: (ms, act) => systemClock.after(isHasty ? Math.min(ms, 50) : ms, act),
}

describe('a port of a node', () => {
  beforeEach(() => {
    isHasty = true
  })

  it('of the cluster cuts off who has not the key, whatever he sends, and keeps nothing of him', async () => {
    const keys = parseKeys([makeKey(systemRandom)])
    const make = () =>
      new TlsTransport({
        listen: { host: '127.0.0.1', port: 0 },
        cluster: 'c',
        keys,
        urgent: new Set(),
        clock: hasty,
        logger: silentLogger,
      })
    const handlers = { isFenced: () => false, connected() {}, handle: () => null, receive() {} }
    const [node, other] = [make(), make()]
    try {
      const address = await node.start(handlers)
      node.introduce({ name: 'node', life: 1, address })
      await fc.assert(
        fc.asyncProperty(chunks, ends, (sent, end) => attack(address.port, sent, end)),
        runs(60),
      )
      await until(() => Promise.resolve(node.counts().strangers === 0 && node.counts().connections === 0))
      isHasty = false
      other.introduce({ name: 'other', life: 2, address: await other.start(handlers) })
      expect((await other.dial(address, 5000)).name).to.equal('node')
    } finally {
      await Promise.all([node.stop(), other.stop()])
    }
  }).timeout(600_000)

  it('of the command line cuts off who has not the token, whatever he sends', async () => {
    const never = () => {
      throw new Error('carried out without the token')
    }
    const methods = new Proxy({}, { get: () => never }) as ControlMethods
    const server = await createControlServer({
      listen: { host: '127.0.0.1', port: 0 },
      token: 'secret',
      methods,
      logger: silentLogger,
      clock: hasty,
    })
    try {
      await fc.assert(
        fc.asyncProperty(chunks, ends, (sent, end) => attack(server.address.port, sent, end)),
        runs(60),
      )
    } finally {
      // Resolves only when no connection is left.
      await server.stop()
    }
  }).timeout(600_000)
})

/** Resolves when the connection is gone, by the deadline of the node if the client does nothing. */
async function attack(port: number, sent: readonly Buffer[], end: 'end' | 'destroy' | 'wait'): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {}).resume()
  const closed = once(socket, 'close')
  for (const chunk of sent) if (!socket.destroyed) socket.write(chunk)
  if (end !== 'wait') socket[end]()
  await closed
}

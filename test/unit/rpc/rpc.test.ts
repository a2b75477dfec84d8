import { duplexPair } from 'node:stream'
import { expect } from 'chai'
import { type Clock, systemClock } from '../../../src/base/clock.ts'
import { TroopError } from '../../../src/base/errors.ts'
import { type Handler, RpcConnection, type RpcOptions } from '../../../src/rpc/rpc.ts'
import { encodeFrame } from '../../../src/rpc/wire.ts'

const refuseAll: Handler = () => {
  throw new Error('nothing is asked here')
}

/** A clock whose delays end when the test says so. */
function handClock(): Clock & { elapse(): void } {
  const calls = new Set<() => void>()
  return {
    ...systemClock,
    after(_, call) {
      calls.add(call)
      return { cancel: () => void calls.delete(call) }
    },
    elapse() {
      for (const call of [...calls]) call()
    },
  }
}

function pair(handle: Handler, options: Partial<RpcOptions> = {}) {
  const [a, b] = duplexPair()
  const clock = handClock()
  const asking = new RpcConnection(a, { clock, handle: refuseAll, ...options })
  const answering = new RpcConnection(b, { clock, handle, ...options })
  return { asking, answering, clock, raw: a }
}

const thrown = async (promise: Promise<unknown>) => {
  const outcome = await promise.then(
    () => undefined,
    (error) => error,
  )
  expect(outcome, 'an error').to.be.instanceOf(Error)
  return outcome
}

describe('an rpc connection', () => {
  it('answers each call with its own result, whatever order they finish in', async () => {
    const finish: (() => void)[] = []
    const { asking } = pair(
      (method, params) => new Promise((resolve) => finish.push(() => resolve({ method, params }))),
    )
    const calls = [1, 2, 3].map((n) => asking.call(`m${n}`, n, 1000))
    while (finish.length < 3) await new Promise(setImmediate)
    for (const end of finish.reverse()) end()
    expect(await Promise.all(calls)).to.deep.equal([
      { method: 'm1', params: 1 },
      { method: 'm2', params: 2 },
      { method: 'm3', params: 3 },
    ])
  })

  it('lets either end call the other', async () => {
    const [a, b] = duplexPair()
    const one = new RpcConnection(a, { clock: systemClock, handle: () => 'one' })
    const other: RpcConnection = new RpcConnection(b, {
      clock: systemClock,
      handle: () => other.call('back', null, 1000),
    })
    expect(await one.call('there', null, 1000)).to.equal('one')
  })

  it('carries an error by code, message and hint', async () => {
    const { asking } = pair(() => {
      throw new TroopError('too-hot', 'it burns', { hint: 'wait', cause: new Error('fire') })
    })
    const error = await thrown(asking.call('touch', null, 1000))
    expect(error).to.include({ code: 'too-hot', message: 'it burns: fire', hint: 'wait' })
  })

  it('gives up on an answer that does not come in time, and drops it when it comes', async () => {
    let answer: (value: string) => void = () => {}
    const { asking, clock } = pair((method) =>
      method === 'slow' ? new Promise((resolve) => (answer = resolve)) : 'quick',
    )
    const slow = asking.call('slow', null, 50)
    const error = thrown(slow)
    await asking.call('quick', null, 1000)
    clock.elapse()
    expect((await error).code).to.equal('rpc-timeout')
    answer('late')
    expect(await asking.call('quick', null, 1000)).to.equal('quick')
  })

  it('refuses more calls than may be under way, on either end', async () => {
    const [a, b] = duplexPair()
    const never = () => new Promise(() => {})
    const asking = new RpcConnection(a, { clock: systemClock, handle: refuseAll, inFlightMax: 2 })
    new RpcConnection(b, { clock: systemClock, handle: never, inFlightMax: 1 })
    const first = thrown(asking.call('a', null, 1000))
    expect((await thrown(asking.call('b', null, 1000))).message).to.match(/1 calls are being handled/)
    const third = thrown(asking.call('c', null, 1000))
    void third
    const fourth = await thrown(asking.call('d', null, 1000))
    expect(fourth.code).to.equal('rpc-busy')
    await asking.stop()
    expect((await first).code).to.equal('rpc-closed')
  })

  it('rejects what waits when the other end goes away', async () => {
    const { asking, raw } = pair(() => new Promise(() => {}))
    const waiting = thrown(asking.call('forever', null, 1000))
    raw.destroy(new Error('cable cut'))
    expect((await waiting).code).to.equal('rpc-closed')
    expect((await asking.closed)?.message).to.equal('cable cut')
    expect((await thrown(asking.call('again', null, 1000))).code).to.equal('rpc-closed')
  })

  it('sends the answer that is ready before it stops', async () => {
    const { asking, answering } = pair(() => {
      queueMicrotask(() => void answering.stop())
      return 'done'
    })
    expect(await asking.call('stop', null, 1000)).to.equal('done')
    await asking.closed
  })

  it('closes on what is not a frame, or not a message', async () => {
    for (const bytes of [Buffer.from('GET / HTTP/1.1\r\n\r\n'), encodeFrame({ hello: 1 }, 100)]) {
      const [a, b] = duplexPair()
      const connection = new RpcConnection(b, { clock: systemClock, handle: refuseAll })
      a.write(bytes)
      const reason = await connection.closed
      expect(reason).to.have.property('code', 'rpc-protocol')
    }
  })

  it('answers with an error where the result does not fit into a frame', async () => {
    const { asking } = pair(() => 'x'.repeat(1000), { frameBytesMax: 300 })
    expect((await thrown(asking.call('big', null, 1000))).message).to.match(/longer than the 300/)
  })

  it('gives longer answers than it takes requests, where it may', async () => {
    const [a, b] = duplexPair()
    const asking = new RpcConnection(a, { clock: systemClock, handle: refuseAll, frameBytesMax: 2000 })
    const bounds = { frameBytesMax: 300, answerBytesMax: 2000 }
    const answering = new RpcConnection(b, { clock: systemClock, handle: () => 'x'.repeat(1000), ...bounds })
    expect(await asking.call('big', null, 1000)).to.have.length(1000)
    asking.call('long', 'x'.repeat(1000), 1000).catch(() => undefined)
    expect(await answering.closed).to.have.property('code', 'rpc-protocol')
  })

  it('carries notices in their order, which have no answer', async () => {
    const [a, b] = duplexPair()
    const heard: unknown[] = []
    const telling = new RpcConnection(a, { clock: systemClock, handle: refuseAll })
    new RpcConnection(b, {
      clock: systemClock,
      handle: () => heard.length,
      receive: (method, params) => heard.push([method, params]),
    })
    for (let i = 0; i < 1000; i++) expect(telling.notify('n', i)).to.equal(true)
    expect(await telling.call('count', null, 1000)).to.equal(1000)
    expect(heard).to.deep.equal(Array.from({ length: 1000 }, (_, i) => ['n', i]))
  })

  it('closes on a notice where none is expected, and on one that its receiver throws on', async () => {
    for (const receive of [undefined, () => expect.fail('never heard of it')]) {
      const [a, b] = duplexPair()
      const telling = new RpcConnection(a, { clock: systemClock, handle: refuseAll })
      const told = new RpcConnection(b, {
        clock: systemClock,
        handle: refuseAll,
        ...(receive && { receive }),
      })
      telling.notify('hey', null)
      expect(await told.closed).to.be.instanceOf(Error)
      await telling.stop(0)
      expect(telling.notify('hey', null)).to.equal(false)
    }
  })

  it('refuses what has no room while the other end does not read', async () => {
    const [a] = duplexPair()
    const asking = new RpcConnection(a, { clock: systemClock, handle: refuseAll, unsentBytesMax: 100_000 })
    let told = 0
    while (told < 1000 && asking.notify('x', 'x'.repeat(10_000))) told++
    expect(told).to.be.within(9, 100)
    expect((await thrown(asking.call('x', 'x'.repeat(10_000), 1000))).code).to.equal('rpc-busy')
  })
})

// The carrier of datagrams by itself, with a clock that the test moves.
import { expect } from 'chai'
import { NotSent } from '../../src/plugins/record-queue.ts'
import { UdpCarrier } from '../../src/plugins/udp-carrier.ts'
import { Datagrams } from '../support/datagrams.ts'
import { ManualClock } from '../support/manual-clock.ts'

describe('a carrier of datagrams', () => {
  let receiver: Datagrams
  let clock: ManualClock
  let carrier: UdpCarrier

  beforeEach(async () => {
    receiver = await new Datagrams().start()
    clock = new ManualClock()
    carrier = new UdpCarrier({ host: 'localhost', port: receiver.port, timeoutMs: 1000, clock })
  })

  afterEach(async () => {
    carrier.close()
    await receiver.stop()
  })

  const failure = (carried: Promise<void>) => carried.then(() => undefined).catch((error) => error)

  it('keeps its socket for a minute, then looks up the name anew', async () => {
    await carrier.carry(['a'])
    clock.advance(59_000)
    await carrier.carry(['b'])
    clock.advance(1000)
    await carrier.carry(['c'])
    expect(await receiver.first(3)).deep.equal(['a', 'b', 'c'])
    const [first, second, third] = receiver.ports
    expect([second === first, third === first]).deep.equal([true, false])
  })

  it('joins what goes together by newlines', async () => {
    await carrier.carry(['a', 'é', 'c'])
    expect(await receiver.first(1)).deep.equal(['a\né\nc'])
  })

  it('gives up a name that is not found in time', async () => {
    const failed = failure(carrier.carry(['a']))
    clock.advance(1000)
    expect(await failed)
      .instanceOf(NotSent)
      .with.property('message')
      .that.match(/within 1000 ms/)
    await carrier.carry(['b'])
    expect(await receiver.first(1)).deep.equal(['b'])
  })

  it('once closed sends nothing more, and what is under way fails', async () => {
    const failed = failure(carrier.carry(['a']))
    carrier.close()
    expect(await failed).instanceOf(NotSent)
    expect(await failure(carrier.carry(['b']))).instanceOf(NotSent)
    expect(receiver.all).deep.equal([])
  })

  it('reaches receivers by IPv6', async function () {
    const other = await new Datagrams().start(0, '::1').catch(() => undefined)
    if (!other) return this.skip()
    const carrier = new UdpCarrier({ host: '::1', port: other.port, timeoutMs: 1000, clock })
    await carrier.carry(['a'])
    expect(await other.first(1)).deep.equal(['a'])
    carrier.close()
    await other.stop()
  })
})

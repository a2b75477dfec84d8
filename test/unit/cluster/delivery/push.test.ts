import { expect } from 'chai'
import { systemClock } from '../../../../src/base/clock.ts'
import { silentLogger } from '../../../../src/base/logger.ts'
import type { Recipient } from '../../../../src/cluster/delivery/acknowledgements.ts'
import { Push, type PushParts, type Target } from '../../../../src/cluster/delivery/push.ts'
import type { LogEvent } from '../../../../src/event-log/event.ts'
import { until } from '../../../support/log.ts'

const digest = 'a'.repeat(64)
const later = 'b'.repeat(64)
const event: LogEvent = { position: 7, first: 7, digest, body: '{}' }
const change = {
  stamp: { position: 7, digest },
  recipients: [
    { name: 'self', life: 1, lapsesMs: null },
    { name: 'other', life: 2, lapsesMs: null },
  ],
}

describe('a push', () => {
  /** A writer at position 7, and what `other` answers. */
  const make = (answer: Target['call'], parts: Partial<PushParts> = {}) => {
    const asked: { events: readonly LogEvent[] }[] = []
    const call: Target['call'] = (method, params, timeoutMs) => {
      asked.push(params as { events: readonly LogEvent[] })
      return answer(method, params, timeoutMs)
    }
    const push = new Push({
      applier: {
        offer: () => 'applied',
        reach: async () => {},
        digestAt: (position) =>
          new Map([
            [7, digest],
            [9, later],
          ]).get(position),
        holds: () => true,
        applied: () => ({ position: 9, digest: later }),
      },
      target: (name) => (name === 'other' ? { life: 2, call } : undefined),
      connected: () => ['other'],
      mayAnswer: () => true,
      self: () => ({ name: 'self', life: 1 }),
      clock: systemClock,
      logger: silentLogger,
      ...parts,
    })
    return { push, asked }
  }
  const acknowledging = (said: object) => async () => ({ life: 2, position: 7, digest, ...said })

  it('is complete when all have acknowledged it', async () => {
    const { push } = make(acknowledging({}))
    expect(await push.deliver(change, [event], 1000)).to.deep.equal({ applied: 2, of: 2, lagging: [] })
  })

  it('counts an acknowledgement of a later position of the same history', async () => {
    const { push } = make(acknowledging({ position: 9, digest: later }))
    expect((await push.deliver(change, [event], 1000)).applied).to.equal(2)
  })

  it('counts an acknowledgement of the change itself when this node has forgotten its digest in a load', async () => {
    const { push } = make(acknowledging({}), {
      applier: {
        offer: () => 'applied',
        reach: async () => {},
        digestAt: (position) => (position === 9 ? later : undefined),
        holds: () => true,
        applied: () => ({ position: 9, digest: later }),
      },
    })
    expect((await push.deliver(change, [event], 1000)).applied).to.equal(2)
  })

  it('counts nobody, this node itself included, once the datastore has lost it and gone on', async () => {
    const { push } = make(acknowledging({ position: 9, digest: later }), {
      applier: {
        offer: () => 'applied',
        reach: async () => {},
        digestAt: () => later,
        holds: () => false,
        applied: () => ({ position: 9, digest: later }),
      },
    })
    const delivered = await push.deliver(change, [event], 60)
    expect(delivered).to.deep.equal({ applied: 0, of: 2, lagging: ['other', 'self'] })
  })

  it('counts none of another history, nor of another life', async () => {
    for (const said of [{ digest: later }, { life: 3 }, { position: 6 }]) {
      const { push } = make(acknowledging(said))
      expect(await push.deliver(change, [event], 60)).to.deep.equal({ applied: 1, of: 2, lagging: ['other'] })
    }
  })

  it('keeps count of what was acknowledged and of what it waited for in vain', async () => {
    const { push } = make(acknowledging({}))
    await push.deliver(change, [event], 1000)
    expect(push.counts()).to.deep.equal({ acknowledged: 1, missed: 0 })
    for (const said of [{ digest: later }, { life: 3 }]) {
      const { push } = make(acknowledging(said))
      await push.deliver(change, [event], 60)
      expect(push.counts()).to.deep.equal({ acknowledged: 0, missed: 1 })
    }
    const { push: hasty } = make(() => new Promise(() => {}))
    await hasty.deliver(change, [event], 0)
    expect(hasty.counts()).to.deep.equal({ acknowledged: 0, missed: 0 })
  })

  it('counts an acknowledgement that comes late', async () => {
    const answered = Promise.withResolvers<void>()
    const { push } = make(() => answered.promise.then(acknowledging({})))
    await push.deliver(change, [event], 20)
    answered.resolve()
    await until(() => push.counts().acknowledged === 1)
    expect(push.counts().missed).to.equal(1)
  })

  it('tells again whoever could not be told', async () => {
    let calls = 0
    const { push } = make(async () => {
      if (++calls < 3) throw new Error('busy')
      return acknowledging({})()
    })
    expect((await push.deliver(change, [event], 2000)).applied).to.equal(2)
  })

  it('does not wait for a node from the moment that it is believed dead', async () => {
    let isDead = false
    const { push } = make(() => new Promise(() => {}), { mayAnswer: () => !isDead })
    const delivered = push.deliver(change, [event], 60_000)
    isDead = true
    expect((await delivered).lagging).to.deep.equal(['other'])
  })

  it('does not wait when it is told not to', async () => {
    const { push } = make(() => new Promise(() => {}))
    expect((await push.deliver(change, [event], 0)).lagging).to.deep.equal(['other'])
  })

  it('waits for one that was forced out until it serves nothing any more, and then counts it no longer', async () => {
    const { push } = make(() => new Promise(() => {}), { mayAnswer: () => false })
    const [self, other] = change.recipients as [Recipient, Recipient]
    const forcedOut = { ...change, recipients: [self, { ...other, lapsesMs: 40 }] }
    expect(await push.deliver(forcedOut, [event], 5)).to.deep.equal({ applied: 1, of: 2, lagging: ['other'] })
    expect(await push.deliver(forcedOut, [event], 5000)).to.deep.equal({ applied: 1, of: 1, lagging: [] })
  })

  it('lets the others pull what is too long for a frame, escapes and wide characters counted', async () => {
    for (const body of ['x'.repeat(600_000), '"'.repeat(300_000), '世'.repeat(200_000)]) {
      const { push, asked } = make(acknowledging({}))
      await push.deliver(change, [{ ...event, body }], 1000)
      expect(asked[0]?.events).to.deep.equal([])
    }
  })

  it('is answered with what is applied, when a load went past it', async () => {
    const { push } = make(acknowledging({}))
    const pushed = (to: number) => push.receive({ to, events: [{ ...event, position: to, first: to }] })
    expect(await pushed(7)).to.deep.equal({ life: 1, position: 7, digest })
    expect(await pushed(8)).to.deep.equal({ life: 1, position: 9, digest: later })
  })
})

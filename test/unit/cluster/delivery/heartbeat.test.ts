import { expect } from 'chai'
import { silentLogger } from '../../../../src/base/logger.ts'
import { Heartbeat } from '../../../../src/cluster/delivery/heartbeat.ts'
import type { OwnLife } from '../../../../src/cluster/membership/own-life.ts'
import type { Claim, Holding, NodeIdentity, Registry } from '../../../../src/cluster/membership/registry.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

const identity: NodeIdentity = {
  name: 'a',
  address: '10.0.0.1:7946',
  version: '0.1.0',
  ttlSeconds: 60,
  refusesAfterMs: null,
}
const head = { position: 9, digest: 'd' }

describe('a heartbeat', () => {
  const make = (
    holdings: Holding[],
    {
      restores = true,
      renewals = 1,
      renewing = undefined as undefined | (() => Promise<void>),
      applied = (): number => 9,
      fate = (_: Claim, _since: number): ReturnType<OwnLife['fate']> => 'stands',
    } = {},
  ) => {
    const clock = new ManualClock()
    const acts: string[] = []
    const leases: string[] = []
    const registry = {
      async beat(name: string, life: number, applied: number) {
        acts.push(`beat ${name} ${life} ${applied}`)
        return { head, holding: holdings.shift() ?? 'held', now: 1_000_000 }
      },
      async restore(_: NodeIdentity, life: number) {
        acts.push(`restore ${life}`)
        return restores
      },
    } as Partial<Registry> as Registry
    let left = renewals
    const heartbeat = new Heartbeat(
      {
        registry,
        log: {
          async head() {
            acts.push('read')
            return head
          },
        },
        applied,
        fate,
        clock,
        logger: silentLogger,
        async renew(claim, why) {
          acts.push(`renew ${why}`)
          if (left-- <= 0) throw new Error('away')
          await renewing?.()
          return { ...claim, life: claim.life + 1 }
        },
        held: ({ life }, { monotonic }) => void leases.push(`${life} held at ${monotonic}`),
        lost: () => void leases.push('lost'),
        told: () => {},
      },
      { identity, life: 5 },
    )
    return { clock, acts, leases, heartbeat }
  }

  it('writes every ten seconds and only reads in between', async () => {
    const { clock, acts, heartbeat } = make([])
    for (let second = 0; second < 12; second++) {
      expect(await heartbeat.head()).to.equal(head)
      clock.advance(1000)
    }
    expect(acts.filter((act) => act === 'beat a 5 9')).to.have.length(2)
    expect(acts.filter((act) => act === 'read')).to.have.length(10)
  })

  it('writes at once when it is told to hurry', async () => {
    const { acts, heartbeat } = make([])
    await heartbeat.head()
    heartbeat.hurry()
    await heartbeat.head()
    expect(acts).to.deep.equal(['beat a 5 9', 'beat a 5 9'])
  })

  it('puts back a row that is gone, and keeps its life', async () => {
    const { acts, heartbeat } = make(['gone'])
    await heartbeat.head()
    expect(acts).to.deep.equal(['beat a 5 9', 'restore 5'])
    expect(heartbeat.claim.life).to.equal(5)
  })

  it('begins a new life when somebody ended this one, or has the name', async () => {
    for (const why of ['forced-out', 'taken'] as const) {
      const { acts, heartbeat } = make([why])
      await heartbeat.head()
      expect(acts).to.deep.equal(['beat a 5 9', `renew ${why}`])
      expect(heartbeat.claim.life).to.equal(6)
    }
    const { acts, heartbeat } = make(['gone'], { restores: false })
    await heartbeat.head()
    expect(acts).to.include('renew taken')
  })

  it('puts no life back that was over before its row went, nor one of which it does not know', async () => {
    for (const fate of ['forced-out', 'taken', 'unknown'] as const) {
      const since: number[] = []
      const asked = ({ life }: Claim, from: number) => {
        since.push(life, from)
        return fate
      }
      const { acts, heartbeat } = make(['held', 'gone'], { fate: asked })
      await heartbeat.head()
      heartbeat.hurry()
      await heartbeat.head()
      expect(acts.at(-1)).to.equal(`renew ${fate === 'unknown' ? 'forced-out' : fate}`)
      expect(since, 'as of the last time that it stood').to.deep.equal([5, 9])
    }
  })

  it('puts nothing back before it has applied what the log had when the row was gone', async () => {
    let position = 8
    const { acts, heartbeat } = make(['gone', 'gone'], { applied: () => position })
    await heartbeat.head()
    expect(acts).to.deep.equal(['beat a 5 8'])
    position = 9
    await heartbeat.head()
    expect(acts.slice(1)).to.deep.equal(['beat a 5 9', 'restore 5'])
  })

  it('finds the end of its life again when it could not register anew', async () => {
    const { acts, heartbeat } = make(['forced-out', 'forced-out'], { renewals: 0 })
    for (let n = 0; n < 2; n++) await heartbeat.head().catch(() => undefined)
    expect(acts.filter((act) => act.startsWith('beat'))).to.have.length(2)
    expect(heartbeat.claim.life).to.equal(5)
  })

  it('speaks in no life from when its own is over until the next one has begun', async () => {
    const { heartbeat } = make(['held', 'held'])
    await heartbeat.head()
    expect(heartbeat.life).to.equal(5)
    heartbeat.expire()
    expect(heartbeat.life).to.equal(0)
    await heartbeat.head()
    expect(heartbeat.life).to.equal(6)
  })

  it('does not put back a life that its log does not reach: it is of a history that was lost', async () => {
    const { acts, heartbeat } = make(['gone'])
    head.position = 4
    try {
      await heartbeat.head()
    } finally {
      head.position = 9
    }
    expect(acts).to.deep.equal(['beat a 5 9', 'renew forced-out'])
  })

  it('tells since when the registration stands, by the time at which that was asked', async () => {
    const { clock, leases, heartbeat } = make(['held', 'gone', 'forced-out'])
    for (let n = 0; n < 3; n++) {
      await heartbeat.head()
      clock.advance(10_000)
    }
    expect(leases).to.deep.equal(['5 held at 0', 'lost', '5 held at 10000', 'lost', '6 held at 20000'])
    heartbeat.expire()
    expect(leases.at(-1)).to.equal('lost')
  })

  it('once stopped, claims nothing, and what was under way has ended', async () => {
    const registered = Promise.withResolvers<void>()
    const { acts, heartbeat } = make(['forced-out'], { renewing: () => registered.promise })
    const beating = heartbeat.head()
    await settled()
    expect(acts).to.include('renew forced-out')
    let isStopped = false
    const stopped = heartbeat.stop().then(() => {
      isStopped = true
    })
    await settled()
    expect(isStopped).to.equal(false)
    registered.resolve()
    await Promise.all([beating, stopped])
    expect(heartbeat.claim.life).to.equal(6)
    heartbeat.hurry()
    await heartbeat.head()
    expect(acts.at(-1)).to.equal('read')
  })
})

/** Lets everything run that waits for nothing but its turn. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

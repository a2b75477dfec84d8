import { expect } from 'chai'
import { silentLogger } from '../../../../src/base/logger.ts'
import type { Stamp } from '../../../../src/base/stamp.ts'
import { Heartbeat } from '../../../../src/cluster/delivery/heartbeat.ts'
import type { Holding, NodeIdentity, Registry } from '../../../../src/cluster/membership/registry.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

const identity: NodeIdentity = { name: 'a', address: '10.0.0.1:7946', version: '0.1.0', ttlSeconds: 60 }
const head: Stamp = { position: 9, digest: 'd' }

describe('a heartbeat', () => {
  const make = (holdings: Holding[], { restores = true, renewals = 1 } = {}) => {
    const clock = new ManualClock()
    const acts: string[] = []
    const registry = {
      async beat(name: string, life: number, applied: number) {
        acts.push(`beat ${name} ${life} ${applied}`)
        return { head, holding: holdings.shift() ?? 'held' }
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
        applied: () => 8,
        clock,
        logger: silentLogger,
        async renew(claim, why) {
          acts.push(`renew ${why}`)
          if (left-- <= 0) throw new Error('away')
          return { ...claim, life: claim.life + 1 }
        },
      },
      { identity, life: 5 },
    )
    return { clock, acts, heartbeat }
  }

  it('writes every ten seconds and only reads in between', async () => {
    const { clock, acts, heartbeat } = make([])
    for (let second = 0; second < 12; second++) {
      expect(await heartbeat.head()).to.equal(head)
      clock.advance(1000)
    }
    expect(acts.filter((act) => act === 'beat a 5 8')).to.have.length(2)
    expect(acts.filter((act) => act === 'read')).to.have.length(10)
  })

  it('writes at once when it is told to hurry', async () => {
    const { acts, heartbeat } = make([])
    await heartbeat.head()
    heartbeat.hurry()
    await heartbeat.head()
    expect(acts).to.deep.equal(['beat a 5 8', 'beat a 5 8'])
  })

  it('puts back a row that is gone, and keeps its life', async () => {
    const { acts, heartbeat } = make(['gone'])
    await heartbeat.head()
    expect(acts).to.deep.equal(['beat a 5 8', 'restore 5'])
    expect(heartbeat.claim.life).to.equal(5)
  })

  it('begins a new life when somebody ended this one, or has the name', async () => {
    for (const why of ['forced-out', 'taken'] as const) {
      const { acts, heartbeat } = make([why])
      await heartbeat.head()
      expect(acts).to.deep.equal(['beat a 5 8', `renew ${why}`])
      expect(heartbeat.claim.life).to.equal(6)
    }
    const { acts, heartbeat } = make(['gone'], { restores: false })
    await heartbeat.head()
    expect(acts).to.include('renew taken')
  })

  it('finds the end of its life again when it could not register anew', async () => {
    const { acts, heartbeat } = make(['forced-out', 'forced-out'], { renewals: 0 })
    for (let n = 0; n < 2; n++) await heartbeat.head().catch(() => undefined)
    expect(acts.filter((act) => act.startsWith('beat'))).to.have.length(2)
    expect(heartbeat.claim.life).to.equal(5)
  })
})

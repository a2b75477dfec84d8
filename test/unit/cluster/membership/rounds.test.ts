import { expect } from 'chai'
import { silentLogger } from '../../../../src/base/logger.ts'
import type { MemberStatus } from '../../../../src/cluster/membership/member.ts'
import type { NodeIdentity, RegisteredNode } from '../../../../src/cluster/membership/registry.ts'
import { Rounds } from '../../../../src/cluster/membership/rounds.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

const self: NodeIdentity = {
  name: `here_127.0.0.1:7946_${'1'.repeat(32)}`,
  address: '127.0.0.1:7946',
  version: '0.1.0',
  ttlSeconds: 60,
  refusesAfterMs: null,
}
const row = (host: string, expired: boolean): RegisteredNode => ({
  name: `${host}_10.0.0.2:7946_${'2'.repeat(32)}`,
  address: '10.0.0.2:7946',
  ...{ status: 'alive', life: 1, applied: 1, silentMs: 1, expired, version: '0.1.0' },
  ...{ refusesAfterMs: null, createdAt: 0, forced: false },
})

describe('looks at the rows of all nodes', () => {
  const make = (rows: RegisteredNode[], statuses: Record<string, MemberStatus> = {}) => {
    const clock = new ManualClock()
    const seen = { removed: [] as string[], reconciled: [] as number[], errors: 0, isAway: false }
    const rounds = new Rounds({
      registry: {
        rows: async () => rows,
        async removeExpired(names) {
          seen.removed.push(...names)
        },
      },
      log: {
        async head() {
          if (seen.isAway) throw new Error('away')
          return { position: 9, digest: 'd' }
        },
      },
      self: () => self,
      statusOf: (name) => statuses[name],
      reconcile: (_, asOf) => void seen.reconciled.push(asOf),
      clock,
      logger: {
        ...silentLogger,
        error: () => {
          seen.errors++
        },
      },
    })
    return { clock, seen, rounds }
  }

  it('take away rows that expired, of nodes that are not there', async () => {
    const [gone, silent, there] = [row('a', true), row('b', true), row('c', false)]
    const { clock, seen, rounds } = make([gone, silent, there], {
      [gone.name]: 'failed',
      [silent.name]: 'alive',
    })
    await rounds.round()
    clock.advance(60_000)
    await rounds.round()
    expect(seen.removed).to.deep.equal([gone.name])
    expect(seen.reconciled).to.deep.equal([9, 9])
  })

  it('tell who is gone: whose row was expired each time, for long enough to have been written', async () => {
    const [gone, back, silent] = [row('a', true), row('b', true), row('c', true)]
    const rows = [gone, back, silent]
    const { clock, seen, rounds } = make(rows, { [silent.name]: 'alive' })
    const told = () => rows.filter((one) => rounds.isGone(one)).map(({ name }) => name[0])
    await rounds.round()
    clock.advance(29_999)
    rows[1] = row('b', false)
    await rounds.round()
    rows[1] = back
    await rounds.round()
    expect(told()).to.deep.equal([])
    clock.advance(1)
    expect(told()).to.deep.equal(['a'])
    expect(rounds.isGone({ ...gone, life: 2 })).to.equal(false)
    // Nobody could write while the datastore was away.
    seen.isAway = true
    await rounds.round()
    seen.isAway = false
    await rounds.round()
    clock.advance(29_999)
    expect(told()).to.deep.equal([])
    clock.advance(1)
    expect(told()).to.deep.equal(['a', 'b'])
  })

  it('take none away before the datastore has answered for as long as rows live, without a break', async () => {
    const { clock, seen, rounds } = make([row('a', true)])
    await rounds.round()
    clock.advance(59_999)
    await rounds.round()
    seen.isAway = true
    await rounds.round()
    seen.isAway = false
    clock.advance(30_000)
    await rounds.round()
    clock.advance(59_999)
    await rounds.round()
    expect(seen.removed).to.deep.equal([])
    clock.advance(1)
    await rounds.round()
    expect(seen.removed).to.have.length(1)
  })

  it('say once that others can’t reach this node, when there are any on another machine', async () => {
    const rows = [row('here', false)]
    const { seen, rounds } = make(rows)
    await rounds.round()
    expect(seen.errors).to.equal(0)
    rows.push(row('there', false))
    await rounds.round()
    await rounds.round()
    expect(seen.errors).to.equal(1)
  })
})

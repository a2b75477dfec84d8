import { expect } from 'chai'
import { TroopError } from '../../../../src/base/errors.ts'
import { silentLogger } from '../../../../src/base/logger.ts'
import { PeerLog, type PeerLogParts } from '../../../../src/cluster/delivery/peer-log.ts'
import { RecentTransactions } from '../../../../src/cluster/delivery/recent-transactions.ts'
import { transactionsOf } from '../../../../src/event-log/event.ts'
import { MemoryLog } from '../../../support/log.ts'

describe('the log of the other nodes', () => {
  /** A log in the datastore, one node that has applied all of it, and another that has not. */
  const make = (parts: Partial<PeerLogParts> = {}) => {
    const log = new MemoryLog()
    for (const body of ['a', 'b', 'c']) log.append(body, body)
    const recent = new RecentTransactions()
    for (const transaction of transactionsOf(log.events.slice(1))) recent.add(transaction)
    const asked: unknown[] = []
    const common = {
      log,
      isAway: () => false,
      ahead: () => [],
      recent,
      digestAt: (position: number) => log.events[position]?.digest,
      applied: () => log.at(6),
      logger: silentLogger,
    }
    const other = new PeerLog(common)
    const target = {
      life: 1,
      async call(_: string, params: unknown) {
        asked.push(params)
        return JSON.parse(JSON.stringify(other.answer(params)))
      },
    }
    return { log, asked, target, own: new PeerLog({ ...common, ahead: () => [target], ...parts }) }
  }
  const goAway = (log: MemoryLog) => {
    log.delay = () => {
      throw new TroopError('datastore-away', 'away')
    }
  }

  it('is not asked while the datastore answers', async () => {
    const { log, asked, own } = make()
    expect(await own.read(log.at(2))).to.deep.include({ kind: 'events', more: false })
    expect(asked).to.deep.equal([])
  })

  it('stands in while the datastore is away', async () => {
    const { log, own } = make()
    goAway(log)
    const page = await own.read(log.at(2))
    expect(page).to.deep.equal({ kind: 'events', events: log.events.slice(3), more: false, path: 'peer' })
  })

  it('is asked first when the datastore is known to be away', async () => {
    const { log, own } = make({ isAway: () => true })
    goAway(log)
    expect(await own.read(log.at(2))).to.deep.include({ path: 'peer' })
    expect(log.reads).to.equal(0)
  })

  it('is worth nothing when it is of another history, or broken: away is away', async () => {
    const { log, target, own } = make()
    goAway(log)
    const there = log.at(2)
    const broken = [
      async () => ({ events: log.events.slice(4), applied: 6 }),
      async () => ({ events: [{ ...log.events[3], body: 'x' }], applied: 6 }),
      async () => ({ events: 'nonsense' }),
      async () => {
        throw new Error('gone')
      },
    ]
    for (const call of broken) {
      target.call = call
      const error = await own.read(there).catch((thrown) => thrown)
      expect(error).to.include({ code: 'datastore-away' })
    }
  })

  it('gives nothing to a node of another history', () => {
    const { own, log } = make()
    expect(own.answer({ position: 2, digest: 'f'.repeat(64) })).to.deep.equal({ events: [], applied: 6 })
    expect(own.answer(log.at(2)).events).to.have.length(4)
  })
})

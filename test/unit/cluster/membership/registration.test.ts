import { expect } from 'chai'
import type { Address } from '../../../../src/base/address.ts'
import { codeOf } from '../../../../src/base/errors.ts'
import { silentLogger } from '../../../../src/base/logger.ts'
import { HelloRefused, NothingListens, PeerUnreachable } from '../../../../src/cluster/errors.ts'
import { Registration } from '../../../../src/cluster/membership/registration.ts'
import type { NodeIdentity, RegisteredNode, Registry } from '../../../../src/cluster/membership/registry.ts'
import type { Peer } from '../../../../src/cluster/transport/transport.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

const name = `here_10.0.0.1:7946_${'1'.repeat(32)}`
const node: NodeIdentity = {
  name,
  address: '10.0.0.1:7946',
  version: '0.1.0',
  ttlSeconds: 60,
  refusesAfterMs: null,
}
const row: RegisteredNode = {
  ...{ name, address: '10.0.0.9:7946', status: 'alive', life: 7, applied: 7, silentMs: 1, expired: false },
  ...{ version: '0.1.0', refusesAfterMs: null, createdAt: 0, forced: false },
} as const

describe('a registration', () => {
  const make = (rows: RegisteredNode[], dial: () => Promise<Peer> = unexpected) => {
    const acts: string[] = []
    const table = new Map(rows.map((one) => [one.name, one]))
    const clock = new ManualClock()
    /** Lost answers of the next registrations. */
    const lost: Error[] = []
    const registry = {
      rows: async () => [...table.values()],
      find: async (wanted: string) => table.get(wanted),
      async register(identity: NodeIdentity, replaced: number | undefined) {
        if (table.get(identity.name)?.life !== replaced) return undefined
        acts.push(`register ${identity.name === name ? 'as before' : identity.name} over ${replaced}`)
        table.set(identity.name, { ...row, name: identity.name, life: 20 + acts.length })
        const error = lost.shift()
        if (error) throw error
        return 20 + acts.length
      },
      async forceLeave(wanted: string) {
        acts.push(`force-leave ${wanted === name}`)
        return true
      },
    } as unknown as Registry
    const transport = {
      introduce: () => {},
      dial: (address: Address) => {
        acts.push(`dial ${address.host}`)
        return dial()
      },
    }
    let names = 0
    const rename = async () => `another-${++names}`
    const registration = new Registration({ registry, transport, rename, clock, logger: silentLogger })
    return { acts, clock, lost, registration, table }
  }
  const failing = (error: Error) => () => Promise.reject(error)

  it('takes a name that nobody has, or whose node left or expired, without asking anybody', async () => {
    for (const before of [[], [{ ...row, status: 'left' as const }], [{ ...row, expired: true }]]) {
      const { acts, registration } = make(before)
      await registration.begin(node)
      expect(acts).to.deep.equal([`register as before over ${before[0]?.life}`])
    }
  })

  it('refuses a name under which another process answers, and says where', async () => {
    const refused = new HelloRefused('10.0.0.9:7946', 'them', { reason: 'name-conflict', message: '' })
    const { acts, registration } = make([row], failing(refused))
    const error = await registration.begin(node).catch((thrown) => thrown)
    expect(codeOf(error)).to.equal('name-taken')
    expect(error.message).to.include('10.0.0.9:7946')
    expect(acts).to.deep.equal(['dial 10.0.0.9'])
  })

  it('takes the name of one that was killed: refused by its machine, or this very port', async () => {
    const self = new HelloRefused('10.0.0.9:7946', 'them', { reason: 'self', message: '' })
    for (const error of [new NothingListens('10.0.0.9:7946'), self]) {
      const { acts, registration } = make([row], failing(error))
      await registration.begin(node)
      expect(acts).to.deep.equal(['dial 10.0.0.9', 'register as before over 7'])
    }
  })

  it('forces one out that does not answer and may serve, and waits until it serves nothing', async () => {
    const silent = failing(new PeerUnreachable('10.0.0.9:7946', undefined))
    const { acts, clock, registration } = make([{ ...row, refusesAfterMs: 500 }], silent)
    const begun = registration.begin(node)
    await settled()
    clock.advance(499)
    await settled()
    expect(acts).to.deep.equal(['dial 10.0.0.9', 'force-leave true'])
    clock.advance(1)
    await begun
    expect(acts.at(-1)).to.equal('register as before over 7')
  })

  it('waits for one that somebody has just forced out, too: it may not have heard of it', async () => {
    const silent = failing(new PeerUnreachable('10.0.0.9:7946', undefined))
    const forced = { ...row, status: 'left' as const, forced: true, refusesAfterMs: 500 }
    const { acts, clock, registration } = make([forced], silent)
    const begun = registration.begin(node)
    await settled()
    clock.advance(499)
    await settled()
    expect(acts).to.deep.equal(['dial 10.0.0.9', 'force-leave true'])
    clock.advance(1)
    await begun
    expect(acts.at(-1)).to.equal('register as before over 7')
  })

  it('looks again when another got there first', async () => {
    const { acts, registration, table } = make(
      [row],
      failing(new HelloRefused('', 'them', { reason: 'self', message: '' })),
    )
    const begun = registration.begin(node)
    table.set(name, { ...row, life: 8 })
    await begun
    expect(acts.at(-1)).to.equal('register as before over 8')
  })

  it('is refused on a loopback address as soon as a node of another machine is there, with the remedy', async () => {
    const own = { ...node, name: `here_127.0.0.1:7946_${'1'.repeat(32)}`, address: '127.0.0.1:7946' }
    const beside = { ...row, name: `here_127.0.0.1:7947_${'2'.repeat(32)}` }
    const elsewhere = { ...row, name: `there_127.0.0.1:7946_${'2'.repeat(32)}` }
    await make([beside]).registration.begin(own)
    await make([{ ...elsewhere, status: 'left' }]).registration.begin(own)
    const error = await make([elsewhere])
      .registration.begin(own)
      .catch((thrown) => thrown)
    expect(codeOf(error)).to.equal('loopback-advertised')
    expect(error.hint).to.include('cluster.advertise')
    await make([elsewhere]).registration.begin(node)
  })

  it('gives a renewal one new name, however often its outcome is unknown', async () => {
    const { acts, lost, registration } = make([row])
    lost.push(new Error('answer lost'))
    const claim = { identity: node, life: 3 }
    await registration.renew(claim, 'taken').catch(() => undefined)
    const renewed = await registration.renew(claim, 'taken')
    expect(renewed.identity.name).to.equal('another-1')
    expect(acts).to.deep.equal(['register another-1 over undefined', 'register another-1 over 21'])
    expect((await registration.renew(renewed, 'taken')).identity.name).to.equal('another-2')
  })
})

function unexpected(): Promise<Peer> {
  return Promise.reject(new Error('nobody was to be dialled'))
}

/** Lets everything run that waits for nothing but its turn. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

import { expect } from 'chai'
import { MemberNews, memberLines } from '../../../../commands/cluster/member-list.ts'
import { positionLines } from '../../../../commands/cluster/position-list.ts'
import type { MemberPosition } from '../../../../src/control/control.ts'

function member(name: string, given: Partial<MemberPosition> = {}): MemberPosition {
  return {
    ...{ name, address: '10.0.0.1:7946', status: 'alive', applied: 12, lag: 0 },
    ...{ freshnessMs: 40, silentMs: 3200, propagationMs: {} },
    ...given,
  }
}
const paint = (_: unknown, text: string) => text

describe('the list of members', () => {
  it('begins with name, address and status, as 0.8 has it, and says what is unknown', () => {
    const unknown = { applied: null, lag: null, silentMs: null, status: 'failed' }
    const lines = memberLines([member('gw-1'), member('gw-22', unknown)], { heading: false, paint })
    expect(lines).to.deep.equal([
      'gw-1   10.0.0.1:7946  alive   12  0  3 s ago',
      'gw-22  10.0.0.1:7946  failed   -  -  -',
    ])
  })

  it('has as news whoever comes, changes or is gone', () => {
    const news = new MemberNews()
    const told = (...members: MemberPosition[]) =>
      news.of(members, undefined).map(({ name, status }) => `${name} ${status}`)
    expect(told(member('a'), member('b'))).to.deep.equal(['a alive', 'b alive'])
    // A heartbeat, or another position, is no news.
    expect(told(member('a', { applied: 13, silentMs: 0 }), member('b'))).to.deep.equal([])
    expect(told(member('a'), member('b', { status: 'failed' }))).to.deep.equal(['b failed'])
    expect(told(member('a', { address: '10.0.0.9:7946' }))).to.deep.equal(['a alive', 'b gone'])
    expect(told(member('a', { address: '10.0.0.9:7946' }))).to.deep.equal([])
  })

  it('has as news of one state whoever comes to it or goes from it', () => {
    const news = new MemberNews()
    const told = (status: string) => news.of([member('a', { status })], 'failed').map((one) => one.status)
    expect(['alive', 'failed', 'alive', 'left'].map(told)).to.deep.equal([[], ['failed'], ['alive'], []])
  })
})

describe('the list of positions', () => {
  it('has the head first, then for each member how far it is and how long changes took by each way', () => {
    const members = [
      member('gw-1', { propagationMs: { write: 3.14, pull: 12 } }),
      member('gw-2', { applied: 10, lag: 2, freshnessMs: null, propagationMs: { push: 0.52 } }),
    ]
    expect(positionLines({ head: 12, digest: 'ab12', members })).to.deep.equal([
      'head 12, digest ab12',
      '',
      'name  applied  lag  up to date   write    push  notify   pull  peer',
      'gw-1       12    0         now  3.1 ms       -       -  12 ms     -',
      'gw-2       10    2           -       -  0.5 ms       -      -     -',
    ])
  })
})

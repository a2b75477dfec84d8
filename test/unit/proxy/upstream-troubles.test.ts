import { expect } from 'chai'
import type { LogFields } from '../../../src/base/logger.ts'
import { parseUpstreamUrl, type UpstreamUrl } from '../../../src/entities/upstream-url.ts'
import { UpstreamFailed, type UpstreamFailureReason } from '../../../src/proxy/errors.ts'
import { UpstreamTroubles } from '../../../src/proxy/upstream-troubles.ts'
import { collect } from '../../support/gateway.ts'
import { ManualClock } from '../../support/manual-clock.ts'

describe('what the log is told of upstreams', () => {
  let clock: ManualClock
  let troubles: UpstreamTroubles
  let lines: { sentence: string; fields: LogFields }[]
  const one = parseUpstreamUrl('http://one:81/x') as UpstreamUrl

  beforeEach(() => {
    clock = new ManualClock()
    lines = []
    troubles = new UpstreamTroubles(clock, collect(lines))
  })

  const fail = (reason: UpstreamFailureReason = 'refused', upstream = one) =>
    troubles.failed(upstream, new UpstreamFailed(reason, 'x'), 'the-api')
  const told = () =>
    lines
      .splice(0)
      .map(({ sentence, fields: { upstream, reason, failures, keptBack } }) =>
        [sentence, upstream, reason ?? failures, keptBack].join(' '),
      )
  const fails = (reason: string, keptBack: number) => `an upstream fails http://one:81 ${reason} ${keptBack}`
  const answers = (failures: number) => `an upstream answers again http://one:81 ${failures} `

  it('is that one begins to fail, and how often it had when it answers again', () => {
    for (let i = 0; i < 1000; i++) {
      fail()
      clock.advance(100)
    }
    expect(told()).to.deep.equal([fails('refused', 0)])
    troubles.answered(one)
    troubles.answered(one)
    expect(told()).to.deep.equal([answers(1000)])
    fail()
    expect(told()).to.deep.equal([fails('refused', 0)])
  })

  it('is two lines in ten seconds of one that fails every other time', () => {
    for (let i = 0; i < 25; i++) {
      fail()
      troubles.answered(one)
      clock.advance(500)
    }
    expect(told()).to.deep.equal([fails('refused', 0), answers(1), fails('refused', 19), answers(20)])
  })

  it('is another reason, too, but not at every turn', () => {
    fail('refused')
    fail('broken')
    expect(told()).to.deep.equal([fails('refused', 0)])
    clock.advance(10_000)
    fail('broken')
    expect(told()).to.deep.equal([fails('broken', 2)])
    troubles.answered(one)
    expect(told()).to.deep.equal([answers(3)])
  })

  it('keeps one apart from another, by scheme, host and port', () => {
    fail('refused')
    fail('refused', parseUpstreamUrl('https://one:81') as UpstreamUrl)
    fail('refused', parseUpstreamUrl('http://[::1]/') as UpstreamUrl)
    fail('refused', parseUpstreamUrl('http://one:81/another-path') as UpstreamUrl)
    expect(lines.map(({ fields }) => fields.upstream)).to.deep.equal([
      'http://one:81',
      'https://one:81',
      'http://[::1]:80',
    ])
  })
})

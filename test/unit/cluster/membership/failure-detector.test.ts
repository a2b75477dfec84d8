import { expect } from 'chai'
import { FailureDetector, type Finding } from '../../../../src/cluster/membership/failure-detector.ts'
import { profiles, suspicionTimeoutMs } from '../../../../src/cluster/membership/profile.ts'
import { seededRandom } from '../../../simulation/chance.ts'

const lan = profiles.lan
const { probeTimeoutMs, probeIntervalMs } = lan

describe('the failure detector', () => {
  it('probes each once in a round, so that none waits longer than two rounds', () => {
    const names = Array.from({ length: 7 }, (_, i) => `n${i}`)
    const detector = make(names)
    const order = Array.from({ length: 70 }, (_, i) => {
      const target = probed(detector.tick(1000 * (i + 1)))[0] as string
      detector.answered(i, target, 1000 * (i + 1))
      return target
    })
    for (let round = 0; round < 10; round++) {
      expect(order.slice(round * 7, round * 7 + 7).sort()).to.deep.equal(names)
    }
  })

  it('asks helpers after the timeout, and accuses after as long again if one of them denies too', () => {
    const detector = make(['a', 'b', 'c'])
    detector.probe('a', 0)
    expect(asked(detector.tick(probeTimeoutMs - 1))).to.deep.equal([])
    expect(asked(detector.tick(probeTimeoutMs)).sort()).to.deep.equal(['b', 'c'])
    detector.denied(0, 'b')
    expect(accused(detector.tick(2 * probeTimeoutMs - 1))).to.deep.equal([])
    expect(accused(detector.tick(2 * probeTimeoutMs))).to.deep.equal(['a'])
  })

  it('accuses nobody whom a helper reaches', () => {
    const detector = make(['a', 'b', 'c'])
    detector.probe('a', 0)
    detector.tick(probeTimeoutMs)
    detector.answered(0, 'b', probeTimeoutMs + 5)
    expect(accused(detector.tick(2 * probeTimeoutMs))).to.deep.equal([])
  })

  it('asks once more whom it has a connection to now: what it asked before may have been said to nobody', () => {
    const detector = make(['a', 'b'])
    const [first] = detector.probe('a', 0)
    expect(detector.probe('a', 1)).to.deep.equal([])
    expect(detector.reached('a', 2)).to.deep.equal([first])
    detector.answered(0, 'a', 3)
    expect(probed(detector.reached('a', 4))).to.deep.equal(['a'])
  })

  it('believes an answer only of the target or of a helper that was asked', () => {
    const detector = make(['a', 'b'])
    detector.probe('a', 0)
    expect(detector.answered(0, 'b', 1)).to.deep.equal([])
    detector.denied(0, 'z')
    detector.tick(probeTimeoutMs)
    detector.denied(0, 'b')
    expect(accused(detector.tick(2 * probeTimeoutMs))).to.deep.equal(['a'])
  })

  it('blames itself when no helper says a word, three times, and stretches its timeouts', () => {
    const detector = make(['b', 'c'], ['a'])
    let rounds = 0
    let now = 0
    for (; now < 60_000; now += 10) {
      const findings = detector.tick(now)
      if (asked(findings).length > 0) rounds++
      if (accused(findings).length > 0) break
    }
    expect(rounds).to.equal(lan.silentProbesMax + 1)
    expect(detector.stretch).to.equal(1 + lan.silentProbesMax)
  })

  it('accuses nobody right after it stood still, and counts no time in which it did', () => {
    const detector = make(['a', 'b', 'c'])
    detector.probe('a', 0)
    detector.tick(probeTimeoutMs)
    detector.denied(0, 'b')
    detector.suspect('c', 'b', false, 0)
    detector.noteLag(5000, 5200)
    const soon = detector.tick(5200)
    expect([...accused(soon), ...dead(soon)]).to.deep.equal([])
    expect(accused(detector.tick(5199 + probeTimeoutMs))).to.deep.equal([])
    // 5 s of its standing still do not count: of the longest of timeouts, 200 ms are over.
    expect(dead(detector.tick(5200 + 1000))).to.deep.equal([])
    expect(detector.stretch).to.be.above(1)
  })

  it('does not count one pause twice, and none that is tolerated', () => {
    const detector = make(['a'])
    detector.noteLag(lan.lagToleratedMs, 1000)
    expect(detector.stretch).to.equal(1)
    detector.noteLag(150, 2000)
    detector.noteLag(150, 2000)
    expect(detector.stretch).to.equal(2)
  })

  it('is as before once its probes are answered again', () => {
    const detector = make(['a'])
    detector.noteLag(300, 1000)
    expect(detector.stretch).to.equal(3)
    for (let i = 0; i < 2; i++) {
      detector.probe('a', 5000)
      detector.answered(i, 'a', 5001)
    }
    expect(detector.stretch).to.equal(1)
  })

  it('probes for others: passes an answer on, and denies in time when there is none', () => {
    const detector = make(['a', 'b'])
    detector.relay('a', 'b', 77, 0)
    expect(detector.answered(0, 'a', 5)).to.deep.include({
      kind: 'send',
      to: 'b',
      body: { kind: 'ack', sequence: 77 },
    })
    detector.relay('a', 'b', 78, 10)
    const denial = { kind: 'send', to: 'b', body: { kind: 'nack', sequence: 78 } }
    expect(detector.tick(10 + probeTimeoutMs * 0.7)).not.to.deep.include(denial)
    expect(detector.tick(10 + probeTimeoutMs * 0.9)).to.deep.include(denial)
  })

  it('calls a suspect dead sooner, the more accuse it', () => {
    const timeout = (accusers: readonly string[]) => {
      const detector = make(['a', 'b', 'c', 'd', 'e', 'f'], [])
      for (const by of accusers) detector.suspect('a', by, false, 0)
      let now = 0
      while (dead(detector.tick(now)).length === 0) now += 10
      return now
    }
    expect(timeout(['b'])).to.equal(lan.suspicionMs * lan.suspicionUnconfirmedFactor)
    expect(timeout(['b', 'b', 'b', 'b'])).to.equal(timeout(['b']))
    expect(timeout(['b', 'c'])).to.be.below(timeout(['b']))
    expect(timeout(['b', 'c', 'd', 'e'])).to.equal(lan.suspicionMs)
  })

  it('follows the formula for the time to refute', () => {
    expect(suspicionTimeoutMs(lan, 2, 0)).to.equal(1200)
    expect(suspicionTimeoutMs(lan, 3, 0)).to.equal(3600)
    expect(suspicionTimeoutMs(lan, 3, 1)).to.equal(1200)
    expect(suspicionTimeoutMs(lan, 30, 1)).to.be.closeTo(3600 - 2400 / 2, 1)
    expect(suspicionTimeoutMs(lan, 128 * 128, 3)).to.be.closeTo(2400, 1)
  })

  it('takes the word of a witness that it asked, about that life, and of nobody else', () => {
    const detector = make(['a', 'b'])
    const findings = detector.refused('a', 5, true, 0)
    expect(accused(findings)).to.deep.equal(['a'])
    expect(findings).to.deep.include({
      kind: 'send',
      to: 'b',
      body: { kind: 'ask-witness', target: 'a', targetLife: 5 },
    })
    detector.suspect('a', 'me', false, 0)
    expect(detector.testified('a', 5, 'z', true)).to.deep.equal([])
    expect(detector.testified('a', 4, 'b', true)).to.deep.equal([])
    expect(detector.testified('a', 5, 'b', false)).to.deep.equal([])
    expect(detector.testified('a', 5, 'b', true)).to.deep.equal([{ kind: 'dead', name: 'a' }])
  })

  it('asks other witnesses when the first are silent, a bounded number of times', () => {
    const names = Array.from({ length: 20 }, (_, i) => `n${i}`)
    const detector = make(names)
    const questions = [...detector.refused('n0', 1, true, 0)]
    for (let now = 10; now < 1000; now += 10) questions.push(...detector.tick(now))
    const asked = questions.filter((one) => one.kind === 'send' && one.body.kind === 'ask-witness')
    expect(new Set(asked.map((one) => one.kind === 'send' && one.to)).size).to.equal(
      lan.witnesses * lan.witnessRoundsMax,
    )
    expect(asked).to.have.length(lan.witnesses * lan.witnessRoundsMax)
  })

  it('bears witness at once when it was refused lately, else when it knows, else not', () => {
    const detector = make(['a', 'b', 'c'])
    detector.refused('a', 1, true, 0)
    const testimony = (refused: boolean) => ({
      kind: 'send',
      to: 'b',
      body: { kind: 'testify', target: 'a', targetLife: 1, refused },
    })
    expect(detector.askedAsWitness('a', 1, 'b', false, 10)).to.deep.equal([testimony(true)])
    const later = lan.suspicionMs + 10
    expect(detector.askedAsWitness('a', 1, 'b', false, later)).to.deep.equal([{ kind: 'dial', name: 'a' }])
    expect(detector.notRefused('a')).to.deep.equal([testimony(false)])
    detector.askedAsWitness('a', 1, 'b', true, later)
    expect(detector.tick(later + probeTimeoutMs)).to.deep.include(testimony(false))
  })

  it('wants to be called no later than its next probe', () => {
    const detector = make(['a'])
    detector.tick(1000)
    expect(detector.nextDueAt).to.be.at.most(1000 + probeIntervalMs)
  })
})

/** With `others` around who can help, of whom `watched` are probed. */
function make(others: readonly string[], watched = others): FailureDetector {
  const surroundings = { size: () => others.length + 1, watched: () => watched, helpers: () => others }
  return new FailureDetector({ profile: lan, random: seededRandom(1), surroundings, now: 0 })
}

function probed(findings: readonly Finding[]): string[] {
  return sentTo(findings, 'probe')
}

function asked(findings: readonly Finding[]): string[] {
  return sentTo(findings, 'probe-for')
}

function sentTo(findings: readonly Finding[], kind: string): string[] {
  return findings.flatMap((one) => (one.kind === 'send' && one.body.kind === kind ? [one.to] : []))
}

function accused(findings: readonly Finding[]): string[] {
  return findings.flatMap((one) => (one.kind === 'accuse' ? [one.name] : []))
}

function dead(findings: readonly Finding[]): string[] {
  return findings.flatMap((one) => (one.kind === 'dead' ? [one.name] : []))
}

// Finds out who does not answer: SWIM's probes, direct and through others, with a suspicion that can be refuted
// (Das, Gupta, Motivala: "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol",
// 2002), Lifeguard's doubt of oneself, and witnesses for a port that refuses. Decides only; sends and dials nothing.
import type { Random } from '../../base/random.ts'
import type { Position } from '../../base/stamp.ts'
import { shuffled } from './choice.ts'
import { LocalHealth } from './local-health.ts'
import type { MessageBody } from './message.ts'
import { expectedConfirmations, type Profile } from './profile.ts'
import { Suspicions } from './suspicions.ts'
import { type Letter, Witnesses } from './witnesses.ts'

/** Those around, as the view has them now; none of the lists names this node itself. */
export interface Surroundings {
  /** n: all that count as present, this node included. */
  size(): number
  /** Who is to be probed. */
  watched(): readonly string[]
  /** Who can be asked for help: connected and above suspicion. */
  helpers(): readonly string[]
}

export type Finding =
  | { readonly kind: 'send'; readonly to: string; readonly body: MessageBody }
  | { readonly kind: 'dial'; readonly name: string }
  /** It answered neither this node nor its helpers (to be told to all at once), or refused this node's dial. */
  | { readonly kind: 'accuse'; readonly name: string; readonly urgent: boolean }
  /** It did not refute in time, or a second node is refused by it too. */
  | { readonly kind: 'dead'; readonly name: string }
  | {
      readonly kind: 'answered'
      readonly name: string
      readonly sentAt: number
      readonly roundTripMs: number
    }

export interface FailureDetectorOptions {
  readonly profile: Profile
  readonly random: Random
  readonly surroundings: Surroundings
  /** When it begins, on the clock of every later `now`: milliseconds that never go back. */
  readonly now: number
}

/** One probe of this node's own; at most one a target. */
interface Probe {
  readonly target: string
  readonly sentAt: number
  /** When helpers are asked; none are while undefined has not become a set. */
  helpersAt: number
  deadlineAt: number
  helpers: ReadonlySet<string> | undefined
  nacked: boolean
}

/** One probe for somebody else. */
interface Relay {
  readonly target: string
  readonly requester: string
  readonly requesterSequence: number
  /** Infinite once it is sent. */
  nackAt: number
  readonly deadlineAt: number
}

/** A helper says that it hears nothing at this part of the timeout, so that its word is there in time. */
const nackPart = 0.8

/** Relays at once: more are not taken on, and their requester misses one helper of several. */
const relaysMax = 256

export class FailureDetector {
  readonly #profile: Profile
  readonly #random: Random
  readonly #surroundings: Surroundings
  readonly #health: LocalHealth
  readonly #suspicions: Suspicions
  readonly #witnesses: Witnesses
  /** By sequence number, as the relays: an answer names nothing else. */
  readonly #probes = new Map<number, Probe>()
  readonly #relays = new Map<number, Relay>()
  #sequence = 0
  /** The rest of this round: all are probed once, in an order of chance, before any is probed twice. */
  #round: string[] = []
  #nextProbeAt: number

  constructor({ profile, random, surroundings, now }: FailureDetectorOptions) {
    this.#profile = profile
    this.#random = random
    this.#surroundings = surroundings
    this.#health = new LocalHealth(profile)
    this.#suspicions = new Suspicions(profile)
    this.#witnesses = new Witnesses(profile)
    // Nodes that start together do not probe together.
    this.#nextProbeAt = now + profile.probeIntervalMs * random.fraction()
  }

  /** What this node's timeouts are multiplied by at present, 1 in good health. */
  get stretch(): number {
    return this.#health.stretch
  }

  /** When `tick` has something to do, at the latest. */
  get nextDueAt(): number {
    // Looked at after everything that happens: without making lists.
    let judged = this.#suspicions.nextDueAt(this.#surroundings.size(), this.#health.stretch)
    for (const { helpers, deadlineAt, helpersAt } of this.#probes.values())
      judged = Math.min(judged, helpers ? deadlineAt : helpersAt)
    let relayed = Number.POSITIVE_INFINITY
    for (const { nackAt, deadlineAt } of this.#relays.values())
      relayed = Math.min(relayed, nackAt, deadlineAt)
    return Math.min(
      Math.max(this.#health.quietUntil, judged),
      this.#nextProbeAt,
      this.#witnesses.nextDueAt(),
      relayed,
    )
  }

  tick(now: number): Finding[] {
    return [
      ...this.#startProbe(now),
      ...this.#judgeProbes(now),
      ...this.#judgeSuspicions(now),
      ...this.#expireRelays(now),
      ...sends(this.#witnesses.tick(now, () => shuffled(this.#surroundings.helpers(), this.#random))),
    ]
  }

  /** This node stood still for `lagMs` up to `now`: no deadline counts that time, and nobody is accused for a while. */
  noteLag(lagMs: number, now: number): void {
    const postponedMs = this.#health.lagged(lagMs, now)
    if (postponedMs === 0) return
    for (const probe of this.#probes.values()) {
      probe.helpersAt += postponedMs
      probe.deadlineAt += postponedMs
    }
    this.#suspicions.postpone(postponedMs)
    this.#witnesses.postpone(postponedMs)
  }

  /** Probes `target` out of turn; nothing when that is under way. */
  probe(target: string, now: number): Finding[] {
    if (this.#sequenceOf(target) !== undefined) return []
    const timeoutMs = this.#profile.probeTimeoutMs * this.#health.stretch
    const sequence = this.#sequence++
    this.#probes.set(sequence, {
      target,
      sentAt: now,
      helpersAt: now + timeoutMs,
      deadlineAt: now + 2 * timeoutMs,
      helpers: undefined,
      nacked: false,
    })
    return [send(target, { kind: 'probe', sequence })]
  }

  /** There is a connection to `target` now: probes it, once more where that is under way, as it may have been said to nobody. */
  reached(target: string, now: number): Finding[] {
    const sequence = this.#sequenceOf(target)
    return sequence === undefined ? this.probe(target, now) : [send(target, { kind: 'probe', sequence })]
  }

  /** `ack`: the target answered, or a helper whom it answered passes that on. */
  answered(sequence: number, from: string, now: number): Finding[] {
    const relay = this.#relays.get(sequence)
    if (relay?.target === from) {
      this.#relays.delete(sequence)
      return [send(relay.requester, { kind: 'ack', sequence: relay.requesterSequence })]
    }
    const probe = this.#probes.get(sequence)
    if (probe === undefined) return []
    if (from !== probe.target) {
      if (!probe.helpers?.has(from)) return []
      this.#probes.delete(sequence)
      this.#health.confirmed()
      return []
    }
    this.#probes.delete(sequence)
    this.#health.answered()
    return [{ kind: 'answered', name: from, sentAt: probe.sentAt, roundTripMs: now - probe.sentAt }]
  }

  /** `nack`: a helper is there and gets no answer either. */
  denied(sequence: number, from: string): void {
    const probe = this.#probes.get(sequence)
    if (probe?.helpers?.has(from)) probe.nacked = true
  }

  /** `probe-for`: probes `target` on behalf of `requester`. */
  relay(target: string, requester: string, requesterSequence: number, now: number): Finding[] {
    if (this.#relays.size >= relaysMax) return []
    const sequence = this.#sequence++
    this.#relays.set(sequence, {
      target,
      requester,
      requesterSequence,
      nackAt: now + this.#profile.probeTimeoutMs * nackPart,
      // A late answer is passed on still: the requester's own timeout may be stretched.
      deadlineAt: now + this.#profile.probeTimeoutMs * (1 + this.#profile.healthScoreMax),
    })
    return [send(target, { kind: 'probe', sequence })]
  }

  /**
   * A dial was refused.
   * @param present  whether it counts as present still: of others there is nothing to find out but for who asks
   */
  refused(target: string, life: Position, present: boolean, now: number): Finding[] {
    const testimonies = sends(this.#witnesses.refused(target, now))
    if (!present) return testimonies
    const others = shuffled(this.#surroundings.helpers(), this.#random)
    const questions = sends(this.#witnesses.ask(target, life, others, now))
    return [{ kind: 'accuse', name: target, urgent: false }, ...testimonies, ...questions]
  }

  /** A dial was accepted, or not answered. */
  notRefused(target: string): Finding[] {
    return sends(this.#witnesses.notRefused(target))
  }

  /** `ask-witness`. @param connected  whether this node has a connection, whose end it will then learn of */
  askedAsWitness(target: string, life: Position, by: string, connected: boolean, now: number): Finding[] {
    const answer = this.#witnesses.asked(target, life, by, now)
    if (answer) return sends([answer])
    return connected ? [] : [{ kind: 'dial', name: target }]
  }

  /** `testify`. */
  testified(target: string, life: Position, by: string, refused: boolean): Finding[] {
    const proof = refused && this.#suspicions.has(target) && this.#witnesses.isExpected(target, life, by)
    return proof ? [{ kind: 'dead', name: target }] : []
  }

  isSuspicionEnough(name: string, by: string): boolean {
    return this.#suspicions.isEnough(name, by, this.#surroundings.size())
  }

  /**
   * `name` is suspected by `by`: its time runs, or runs faster.
   * @param looks  whether this node may go and see for itself; enough of those who hear of it do, not all
   */
  suspect(name: string, by: string, looks: boolean, now: number): Finding[] {
    const isNew = !this.#suspicions.has(name)
    this.#suspicions.accuse(name, by, now)
    if (!isNew || !looks) return []
    const members = this.#surroundings.size()
    // Twice as many as are needed: some are late, and some go unheard.
    const chance = (2 * expectedConfirmations(this.#profile, members)) / Math.max(1, members - 2)
    return this.#random.fraction() < chance ? this.probe(name, now) : []
  }

  /** Nothing is held against it any more, or it is past all doubt. */
  settle(name: string): void {
    this.#suspicions.clear(name)
    this.#witnesses.settle(name)
    // It may have been too late for a probe, but it has spoken since.
    for (const [sequence, { target }] of this.#probes) if (target === name) this.#probes.delete(sequence)
  }

  /** This node itself was suspected. */
  wasSuspected(): void {
    this.#health.suspected()
  }

  /** Of the probe that is under way. */
  #sequenceOf(target: string): number | undefined {
    for (const [sequence, probe] of this.#probes) if (probe.target === target) return sequence
    return undefined
  }

  #startProbe(now: number): Finding[] {
    if (now < this.#nextProbeAt) return []
    // From now and not from when it was due: what a pause missed is not caught up with.
    this.#nextProbeAt = now + this.#profile.probeIntervalMs
    const target = this.#nextTarget()
    return target === undefined ? [] : this.probe(target, now)
  }

  #nextTarget(): string | undefined {
    const watched = new Set(this.#surroundings.watched())
    for (;;) {
      const target = this.#round.pop()
      if (target !== undefined && watched.has(target)) return target
      if (target !== undefined) continue
      if (watched.size === 0) return undefined
      this.#round = shuffled([...watched], this.#random)
    }
  }

  #judgeProbes(now: number): Finding[] {
    if (now < this.#health.quietUntil) return []
    const findings: Finding[] = []
    const watched = new Set(this.#surroundings.watched())
    for (const [sequence, probe] of this.#probes) {
      if (!watched.has(probe.target)) this.#probes.delete(sequence)
      else if (probe.helpers === undefined) {
        if (probe.helpersAt <= now) findings.push(...this.#askHelpers(sequence, probe))
      } else if (probe.deadlineAt <= now) {
        this.#probes.delete(sequence)
        if (this.#isTargetsFault(probe)) findings.push({ kind: 'accuse', name: probe.target, urgent: true })
      }
    }
    return findings
  }

  #askHelpers(sequence: number, probe: Probe): Finding[] {
    const others = this.#surroundings.helpers().filter((name) => name !== probe.target)
    const helpers = shuffled(others, this.#random).slice(0, this.#profile.indirectProbes)
    probe.helpers = new Set(helpers)
    return helpers.map((to) => send(to, { kind: 'probe-for', sequence, target: probe.target }))
  }

  /** Helpers that say nothing at all hint at this node's own trouble; without helpers nobody can tell. */
  #isTargetsFault(probe: Probe): boolean {
    if (probe.nacked) this.#health.confirmed()
    if (probe.nacked || probe.helpers?.size === 0) return true
    return !this.#health.silent()
  }

  #judgeSuspicions(now: number): Finding[] {
    if (now < this.#health.quietUntil) return []
    const due = this.#suspicions.due(now, this.#surroundings.size(), this.#health.stretch)
    return due.map((name) => ({ kind: 'dead', name }))
  }

  #expireRelays(now: number): Finding[] {
    const findings: Finding[] = []
    for (const [sequence, relay] of this.#relays) {
      if (relay.deadlineAt <= now) this.#relays.delete(sequence)
      else if (relay.nackAt <= now) {
        relay.nackAt = Number.POSITIVE_INFINITY
        findings.push(send(relay.requester, { kind: 'nack', sequence: relay.requesterSequence }))
      }
    }
    return findings
  }
}

function send(to: string, body: MessageBody): Finding {
  return { kind: 'send', to, body }
}

function sends(letters: readonly Letter[]): Finding[] {
  return letters.map(({ to, body }) => send(to, body))
}

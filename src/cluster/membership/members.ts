// Who is there: one node's view of all members, and what it does to keep it true. Decisions only: every call says
// what happened and when, and returns what is to be sent, dialled and told. The owner has the sockets and the timer:
//
//   step = members.receive(from, message, now)      a message came by a connection that proved who sent it
//   step = members.tick(now)                        members.nextDueAt is reached
//   step = members.connected(peer, now)             a connection is open, whoever dialled
//   step = members.connectionLost(name, now)        the last one to it closed; also dialRefused, dialUnanswered
//   step = members.reconcile(rows, asOf, now)       the rows of the datastore were read
//
// `now` is in milliseconds on a clock that never goes back, counts while the machine sleeps if it can, and is the
// same for all calls.
import type { Random } from '../../base/random.ts'
import type { Position } from '../../base/stamp.ts'
import { shuffled } from './choice.ts'
import { FailureDetector, type Finding } from './failure-detector.ts'
import { Gossip } from './gossip.ts'
import { isFinal, isPresent, type Member, type MemberState, type Peer, type Rumour } from './member.ts'
import type { MembershipMessage, MessageBody, Outgoing } from './message.ts'
import type { Profile } from './profile.ts'
import { Redials } from './redials.ts'
import { type Change, type Entry, memberOf, rumourOf, statusOf, View } from './view.ts'

/** What the owner is told. */
export type MemberEvent =
  /** A member that was not known, or not in this life. */
  | { readonly kind: 'joined'; readonly member: Member }
  | { readonly kind: 'failed'; readonly member: Member }
  /** One that was called failed, or left, answers in the same life. */
  | { readonly kind: 'back'; readonly member: Member }
  | { readonly kind: 'leaving'; readonly member: Member }
  /** `forced`: by somebody's word, and its life is over. Else by its own, or its row expired while it was failed. */
  | { readonly kind: 'left'; readonly member: Member; readonly forced: boolean }
  /**
   * This node's own life is over: it was forced out, or another registered under its name. It has fallen silent; the
   * owner stops serving under that life, registers anew and calls `renew`.
   */
  | { readonly kind: 'fenced'; readonly reason: 'forced' | 'superseded' }
  /** Others had called this node failed, and it has contradicted: it was away, and may have missed something. */
  | { readonly kind: 'returned'; readonly self: Member }
  /** It is said that another registered under this node's name, which its own log does not show (yet): look it up. */
  | { readonly kind: 'doubted' }

/** A probe of this node's own that was answered, in order of arrival: what was sent with the answer is as old. */
export interface Answer {
  readonly name: string
  readonly sentAt: number
  readonly roundTripMs: number
}

/** What is to be done now, in any order. */
export interface Step {
  readonly send: readonly Outgoing[]
  /** To be dialled; `connected`, `dialRefused` or `dialUnanswered` says what came of it. */
  readonly dial: readonly Peer[]
  readonly events: readonly MemberEvent[]
  readonly answers: readonly Answer[]
}

/** What a row of the datastore says of a node. */
export interface MemberRow {
  readonly name: string
  readonly address: string
  readonly life: Position
  readonly status: 'alive' | 'leaving' | 'left'
  /** Whether it outlived its time without a heartbeat. */
  readonly expired: boolean
}

export interface MembersOptions {
  /** This node. */
  readonly self: Peer
  readonly profile: Profile
  readonly random: Random
  readonly now: number
  /**
   * Up to where this node has applied the log. A life above it is either news of a moment ago or, after the log has lost
   * its tail, of another history: it yields to an earlier one of the same member.
   */
  readonly applied: () => Position
}

/** Only ever rising, for metrics. */
export interface MembersCounts {
  /** Suspicions of others that this node raised. */
  readonly accusations: number
  /** Times that this node contradicted what was said of it. */
  readonly refutations: number
  readonly syncs: number
}

export class Members {
  readonly #profile: Profile
  readonly #random: Random
  readonly #applied: () => Position
  readonly #name: string
  readonly #view = new View()
  readonly #gossip: Gossip
  readonly #detector: FailureDetector
  readonly #redials: Redials
  readonly #connected = new Set<string>()
  #counts = { accusations: 0, refutations: 0, syncs: 0 }
  /** Whether another's full view was ever seen. */
  #synced = false
  #nextSyncAt: number
  #nextSweepAt: number
  #nextDueAt: number
  #step: { send: Outgoing[]; dial: Peer[]; events: MemberEvent[]; answers: Answer[] } = emptyStep()

  constructor({ self, profile, random, now, applied }: MembersOptions) {
    this.#profile = profile
    this.#random = random
    this.#applied = applied
    this.#name = self.name
    this.#gossip = new Gossip({ repeats: profile.rumourRepeats, perMessageMax: profile.rumoursPerMessageMax })
    this.#redials = new Redials(profile, random)
    this.#detector = new FailureDetector({ profile, random, now, surroundings: this.#surroundings() })
    this.#nextSyncAt = now
    this.#nextSweepAt = now + sweepIntervalMs
    this.#nextDueAt = now
    this.#view.apply({ ...self, incarnation: 0, state: 'alive', by: self.name }, now)
  }

  /** All that are known, this node included, by name. Those that were pruned are not shown. */
  list(): Member[] {
    return [...this.#view.all()]
      .filter(({ state }) => state !== 'pruned')
      .map(memberOf)
      .sort((one, other) => (one.name < other.name ? -1 : 1))
  }

  get(name: string): Member | undefined {
    const entry = this.#view.get(name)
    return entry && memberOf(entry)
  }

  get counts(): MembersCounts {
    return { ...this.#counts }
  }

  /** What this node's timeouts are multiplied by at present: 1 in good health, more when it was late itself. */
  get stretch(): number {
    return this.#detector.stretch
  }

  /** When `tick` is to be called, unless something happens before. Later than that is taken for this node's own lag. */
  get nextDueAt(): number {
    return this.#nextDueAt
  }

  tick(now: number): Step {
    return this.#act(now, () => {
      this.#detector.noteLag(now - this.#nextDueAt, now)
      this.#follow(this.#detector.tick(now), now)
      if (now >= this.#nextSweepAt) this.#sweep(now)
    })
  }

  /** The event loop stood still for `lagMs` up to `now`: what went unanswered meanwhile is nobody else's fault. */
  noteLag(lagMs: number, now: number): Step {
    return this.#act(now, () => this.#detector.noteLag(lagMs, now))
  }

  /** @param from  whom the connection belongs to, as proved by the transport; of no other can the sender be */
  receive(from: string, message: MembershipMessage, now: number): Step {
    return this.#act(now, () => {
      if (from === this.#name || !this.#hearSender(from, message, now)) return
      for (const rumour of message.rumours ?? []) this.#hear(rumour, now)
      if (this.#takesPart) this.#answer(from, message, now)
    })
  }

  /**
   * There is a connection to `peer`, as introduced by the transport's hello.
   * A life that is over is told so, for as long as the connection lasts.
   */
  connected(peer: Peer, now: number): Step {
    // Connections come and go while this node falls silent, too.
    this.#connected.add(peer.name)
    this.#redials.drop(peer.name)
    return this.#act(now, () => {
      this.#react(this.#view.prove(peer.name, now), now)
      const known = this.#knownBeside(peer)
      if (known === undefined || known.life < peer.life) {
        this.#hear({ ...peer, incarnation: 0, state: 'alive', by: peer.name }, now)
      }
      this.#follow(this.#detector.notRefused(peer.name), now)
      // An accepted dial is a reason to probe, and the answer tells whose view is the newer one.
      if (this.#synced) this.#follow(this.#detector.reached(peer.name, now), now)
      else this.#sendView(peer.name, true, now)
    })
  }

  /** The last connection to it closed. */
  connectionLost(name: string, now: number): Step {
    this.#connected.delete(name)
    return this.#act(now, () => this.#wantConnection(name, now))
  }

  /** Its host is there and nobody listens at its port. */
  dialRefused(name: string, now: number): Step {
    return this.#act(now, () => {
      const entry = this.#missedDial(name, now)
      if (!entry) return
      const isSuspectable = isPresent(entry.state) && !this.#connected.has(name)
      this.#follow(this.#detector.refused(name, entry.life, isSuspectable, now), now)
    })
  }

  /** A dial ended without a connection in any other way: no answer, no route, no hello. */
  dialUnanswered(name: string, now: number): Step {
    return this.#act(now, () => {
      const entry = this.#missedDial(name, now)
      this.#follow(this.#detector.notRefused(name), now)
      if (entry && isPresent(entry.state)) this.#follow(this.#detector.probe(name, now), now)
    })
  }

  /**
   * Holds the view against the datastore: rows introduce members, begin their newer lives, and take away those that
   * left, and those that failed and have expired. Nodes that are kept apart on purpose do not call this.
   *
   * @param rows  all of them
   * @param asOf  a position that is certainly in them: whose life is younger may be missing
   */
  reconcile(rows: readonly MemberRow[], asOf: Position, now: number): Step {
    return this.#act(now, () => {
      for (const row of rows) {
        if (row.name === this.#name) this.#heedOwnRow(row)
        else this.#heedRow(row, now)
      }
      const registered = new Set(rows.map(({ name }) => name))
      for (const entry of [...this.#view.all()]) {
        const isGone = !registered.has(entry.name) && entry.life <= asOf
        if (isGone && entry.state === 'failed') this.#hear(this.#statement(entry, 'left'), now)
      }
    })
  }

  /**
   * Makes a member leave, whether it is there or not; one that is learns that its life is over and comes back anew.
   * @param prune  do not list it any more either
   * @returns      undefined when there is no member of that name
   */
  forceLeave(name: string, now: number, prune = false): Step | undefined {
    const entry = this.#view.get(name)
    if (entry === undefined) return undefined
    return this.#act(now, () => {
      const state = prune ? 'pruned' : 'forced'
      if (name === this.#name) this.#fence('forced')
      else if (prune || statusOf(entry) !== 'left') this.#hear(this.#statement(entry, state), now)
      else return
      this.#tellAll(name, now)
    })
  }

  /** This node is about to go. */
  leave(now: number): Step {
    return this.#act(now, () => {
      if (this.#self.state === 'alive') this.#sayOfSelf('leaving', this.#self.incarnation + 1, now)
    })
  }

  /** This node has gone: these are its last words, and no later call returns any. */
  left(now: number): Step {
    return this.#act(now, () => {
      if (isPresent(this.#self.state)) this.#sayOfSelf('left', this.#self.incarnation + 1, now)
    })
  }

  /** This node registered anew. */
  renew(life: Position, now: number): Step {
    this.#view.apply({ ...this.#statement(this.#self, 'alive'), life, incarnation: 0 }, now)
    return this.#act(now, () => {
      this.#tellAll(this.#name, now)
      for (const { name } of this.#view.all()) if (name !== this.#name) this.#wantConnection(name, now)
    })
  }

  get #self(): Entry {
    return this.#view.get(this.#name) as Entry
  }

  /** Whether this node takes part: it does not once it left or its life is over. */
  get #takesPart(): boolean {
    return isPresent(this.#self.state)
  }

  #surroundings() {
    const others = (): Entry[] =>
      [...this.#view.all()].filter(({ name, state }) => isPresent(state) && name !== this.#name)
    return {
      // That of a node that does not take part is counted as well: it is one of those who decide.
      size: () => this.#size + (this.#takesPart ? 0 : 1),
      watched: () => others().map(({ name }) => name),
      helpers: () =>
        others()
          .filter(({ name, state }) => state !== 'suspect' && this.#connected.has(name))
          .map(({ name }) => name),
    }
  }

  #act(now: number, work: () => void): Step {
    if (this.#takesPart) work()
    if (this.#takesPart) this.#step.dial.push(...this.#dueDials(now))
    const step = this.#step
    this.#step = emptyStep()
    this.#nextDueAt = this.#takesPart
      ? Math.min(this.#detector.nextDueAt, this.#redials.nextDueAt(), this.#nextSweepAt)
      : Number.POSITIVE_INFINITY
    return step
  }

  #dueDials(now: number): Peer[] {
    return this.#redials.due(now).flatMap((name) => {
      const entry = this.#view.get(name)
      return entry ? [{ name, address: entry.address, life: entry.life }] : []
    })
  }

  /** Learns of the sender what rides on every message. Returns whether the rest of it counts. */
  #hearSender(from: string, message: MembershipMessage, now: number): boolean {
    const known = this.#knownBeside({ name: from, life: message.life })
    if (known === undefined) {
      // It knows this node; how it is to be reached, its view will say.
      if (message.kind !== 'sync' && message.kind !== 'gossip') this.#sendView(from, true, now)
      return true
    }
    const isOver = message.life < known.life || (message.life === known.life && isFinal(known.state))
    if (isOver) {
      // Gossip is never answered: two that think each other's lives over would not end.
      if (message.kind !== 'gossip') this.#send(from, { kind: 'gossip' }, now)
      return false
    }
    const { life, incarnation } = message
    const state = message.leaving ? 'leaving' : 'alive'
    this.#hear({ name: from, address: known.address, life, incarnation, state, by: from }, now)
    return true
  }

  #answer(from: string, message: MembershipMessage, now: number): void {
    switch (message.kind) {
      case 'probe':
        this.#send(from, { kind: 'ack', sequence: message.sequence }, now)
        break
      case 'ack':
        this.#follow(this.#detector.answered(message.sequence, from, now), now)
        this.#compareViews(from, message.view, now)
        break
      case 'nack':
        this.#detector.denied(message.sequence, from)
        break
      case 'probe-for':
        this.#follow(this.#detector.relay(message.target, from, message.sequence, now), now)
        break
      case 'ask-witness':
        this.#bearWitness(message.target, message.targetLife, from, now)
        break
      case 'testify': {
        const { target, targetLife, refused } = message
        this.#follow(this.#detector.testified(target, targetLife, from, refused), now)
        break
      }
      case 'sync':
        this.#synced = true
        if (message.answer) this.#sendView(from, false, now)
        break
      case 'gossip':
        break
    }
  }

  #bearWitness(target: string, life: Position, by: string, now: number): void {
    const entry = this.#view.get(target)
    // Who does not know this life can't say anything about it; asked again, it may.
    if (entry?.life !== life) return
    if (entry.state === 'failed')
      this.#send(by, { kind: 'testify', target, targetLife: life, refused: true }, now)
    else this.#follow(this.#detector.askedAsWitness(target, life, by, this.#connected.has(target), now), now)
  }

  /** Two that know different things tell each other all, each at most once in a while. */
  #compareViews(from: string, theirs: string, now: number): void {
    if (theirs === this.#view.hash || now < this.#nextSyncAt) return
    this.#nextSyncAt = now + this.#profile.syncIntervalMs * (0.5 + this.#random.fraction() / 2)
    this.#sendView(from, true, now)
  }

  #hear(rumour: Rumour, now: number): void {
    if (rumour.name === this.#name) this.#hearOfSelf(rumour, now)
    else if ((rumour.ageMs ?? 0) < this.#profile.rememberMs) this.#hearOfOther(rumour, now)
  }

  #hearOfOther(rumour: Rumour, now: number): void {
    const { name, life, state, by } = rumour
    if (this.#knownBeside(rumour)?.life === life && isPresent(state) && by !== this.#name) {
      this.#react(this.#view.prove(name, now), now)
    }
    const known = this.#view.get(name)
    if (known && this.#isDoubtful(rumour, known)) {
      this.#hearOfOther({ ...rumour, state: 'suspect' }, now)
      // It is told at once, and contradicts.
      this.#send(name, { kind: 'gossip' }, now)
    } else if (state === 'suspect' && known && isSameStatement(rumour, known)) {
      if (this.#detector.isSuspicionEnough(name, by)) return
      this.#view.accuse(name, by)
      this.#gossip.spread(name)
      this.#follow(this.#detector.suspect(name, by, false, now), now)
    } else this.#react(this.#view.apply(rumour, now), now)
  }

  /**
   * Whether another's verdict is heard as an accusation only: this node is connected with the member, and judges by
   * itself. Else whoever comes back from behind a partition would make all believe what it thought of them there.
   */
  #isDoubtful({ state, by, life, incarnation, name }: Rumour, known: Entry): boolean {
    if (state !== 'failed' || by === this.#name || !this.#connected.has(name)) return false
    const isPresentHere = known.state === 'alive' || known.state === 'suspect'
    return isPresentHere && life === known.life && incarnation >= known.incarnation
  }

  /** Contradicts what is not so, and heeds what ends this life. */
  #hearOfSelf(rumour: Rumour, now: number): void {
    const { life, incarnation, state } = this.#self
    if (!this.#takesPart || rumour.life < life) return
    const isTrue = rumour.state === state && rumour.incarnation === incarnation
    if (rumour.life > life) {
      if (rumour.life > this.#applied()) this.#step.events.push({ kind: 'doubted' })
      else this.#fence('superseded')
    } else if (isFinal(rumour.state)) this.#fence('forced')
    else if (!isTrue && rumour.incarnation >= incarnation) {
      if (rumour.state === 'suspect') this.#detector.wasSuspected()
      if (rumour.state === 'failed') this.#step.events.push({ kind: 'returned', self: memberOf(this.#self) })
      this.#counts.refutations++
      this.#sayOfSelf(state, rumour.incarnation + 1, now)
    }
  }

  #sayOfSelf(state: MemberState, incarnation: number, now: number): void {
    this.#view.apply({ ...this.#statement(this.#self, state), incarnation }, now)
    this.#tellAll(this.#name, now)
  }

  /** Falls silent: whatever is said under a life that is over counts for nothing. */
  #fence(reason: 'forced' | 'superseded'): void {
    const self = this.#self
    this.#view.apply(this.#statement(self, 'forced'), self.sinceMs)
    this.#step.events.push({ kind: 'fenced', reason })
  }

  /** What is known of a member, unless it is of a later life that the log does not hold. */
  #knownBeside({ name, life }: Pick<Rumour, 'name' | 'life'>): Entry | undefined {
    const known = this.#view.get(name)
    if (known === undefined || known.life <= Math.max(life, this.#applied())) return known
    this.#forget(name)
    return undefined
  }

  #forget(name: string): void {
    this.#view.forget(name)
    this.#gossip.forget(name)
    this.#redials.drop(name)
    this.#detector.settle(name)
  }

  /** What a change of the view brings with it. */
  #react(change: Change | undefined, now: number): void {
    if (change === undefined) return
    const { before, after } = change
    const { name, state, proven } = after
    if (proven) this.#gossip.spread(name)
    if (before?.life !== after.life || state !== 'suspect') this.#detector.settle(name)
    if (state === 'suspect') {
      this.#follow(this.#detector.suspect(name, after.by, after.by !== this.#name, now), now)
    }
    this.#wantConnection(name, now)
    const event = eventOf(change)
    if (event) this.#step.events.push(event)
  }

  #wantConnection(name: string, now: number): void {
    const state = this.#view.get(name)?.state
    const isWanted = state !== undefined && (isPresent(state) || state === 'failed')
    if (isWanted && !this.#connected.has(name)) this.#redials.want(name, now)
    else this.#redials.drop(name)
  }

  #missedDial(name: string, now: number): Entry | undefined {
    const entry = this.#view.get(name)
    if (!this.#connected.has(name)) {
      if (entry) this.#redials.missed(name, now)
      this.#wantConnection(name, now)
    }
    return entry
  }

  #heedRow(row: MemberRow, now: number): void {
    const known = this.#knownBeside(row)
    if (known && known.life > row.life) return
    const { name, address, life } = row
    const incarnation = known?.life === life ? known.incarnation : 0
    const statement = { name, address, life, incarnation, by: this.#name }
    if (row.status === 'left') {
      const isNews = known && (statusOf(known) !== 'left' || known.life < life)
      // One that announced it has left by itself; its last words may be on their way.
      const state = known?.state === 'leaving' ? 'left' : 'forced'
      if (isNews) this.#hear({ ...statement, state }, now)
    } else if (row.expired) {
      if (known?.state === 'failed') this.#hear({ ...statement, state: 'left' }, now)
    } else if (!known || known.life < life) {
      this.#react(this.#view.apply({ ...statement, state: row.status }, now, false), now)
    }
  }

  #heedOwnRow({ life, status }: MemberRow): void {
    const self = this.#self
    if (!this.#takesPart || life < self.life) return
    if (life > self.life) this.#fence('superseded')
    else if (status === 'left' && self.state === 'alive') this.#fence('forced')
  }

  /** That this node says, now, that it is in `state`. */
  #statement({ name, address, life, incarnation }: Entry, state: MemberState): Rumour {
    return { name, address, life, incarnation, state, by: this.#name }
  }

  #follow(findings: readonly Finding[], now: number): void {
    for (const finding of findings) {
      if (finding.kind === 'send') this.#send(finding.to, finding.body, now)
      else if (finding.kind === 'dial') this.#redials.hurry(finding.name, now)
      else if (finding.kind === 'accuse') this.#accuse(finding.name, finding.urgent, now)
      else if (finding.kind === 'dead') this.#declareDead(finding.name, now)
      else this.#step.answers.push(finding)
    }
  }

  #accuse(name: string, urgent: boolean, now: number): void {
    const entry = this.#view.get(name)
    if (entry === undefined || !isPresent(entry.state)) return
    // It said that it would go; nobody need wait to be told that it has not.
    if (entry.state === 'leaving') this.#declareDead(name, now)
    else if (!this.#detector.isSuspicionEnough(name, this.#name)) {
      this.#counts.accusations++
      this.#hear(this.#statement(entry, 'suspect'), now)
      if (urgent && entry.proven) this.#tellAll(name, now)
    }
  }

  #declareDead(name: string, now: number): void {
    const entry = this.#view.get(name)
    if (entry === undefined || !isPresent(entry.state)) return
    this.#hear(this.#statement(entry, entry.state === 'leaving' ? 'left' : 'failed'), now)
  }

  /** Forgets those that left or failed long ago. */
  #sweep(now: number): void {
    this.#nextSweepAt = now + sweepIntervalMs
    for (const { name, state, sinceMs } of [...this.#view.all()]) {
      if (!isPresent(state) && now - sinceMs >= this.#profile.rememberMs) this.#forget(name)
    }
  }

  /** News of `name` for as many as are told at once, itself first; the others hear it from them. */
  #tellAll(name: string, now: number): void {
    this.#gossip.spread(name)
    const others = [...this.#connected].filter((other) => other !== name)
    const chosen = shuffled(others, this.#random).slice(0, this.#profile.urgentFanout)
    if (this.#connected.has(name)) chosen.unshift(name)
    const entry = this.#view.get(name) as Entry
    for (const to of chosen) this.#post(to, { kind: 'gossip' }, [rumourOf(entry, now)])
  }

  /** All that this node knows, in as many messages as it takes. */
  #sendView(to: string, answer: boolean, now: number): void {
    this.#counts.syncs++
    const rumours = [...this.#view.all()].filter(({ proven }) => proven).map((entry) => rumourOf(entry, now))
    for (let i = 0; i < rumours.length; i += this.#profile.syncMembersMax) {
      const part = rumours.slice(i, i + this.#profile.syncMembersMax)
      // Asked once: what the other has to say does not depend on the parts.
      this.#post(to, { kind: 'sync', answer: answer && i === 0 }, part)
    }
  }

  #send(to: string, body: MessageBody, now: number): void {
    const names = new Set(this.#gossip.take(this.#size))
    // Whoever is thought to be dead, suspect or gone is told so first, and can contradict.
    const accused = this.#view.get(to)
    if (accused && accused.state !== 'alive' && accused.proven) names.add(to)
    const entries = [...names].flatMap((name) => this.#view.get(name) ?? [])
    this.#post(
      to,
      body,
      entries.filter(({ proven }) => proven).map((entry) => rumourOf(entry, now)),
    )
  }

  #post(to: string, body: MessageBody, rumours: readonly Rumour[]): void {
    const { life, incarnation, state } = this.#self
    const head = { life, incarnation, view: this.#view.hash, ...(state === 'leaving' && { leaving: true }) }
    const message = { ...body, ...head, ...(rumours.length > 0 && { rumours: [...rumours] }) }
    this.#step.send.push({ to, message })
  }

  get #size(): number {
    let present = 0
    for (const { state } of this.#view.all()) if (isPresent(state)) present++
    return present
  }
}

/** How often those long gone are looked for. They are remembered for a day, so an hour's twelfth is soon enough. */
const sweepIntervalMs = 300_000

function emptyStep(): { send: Outgoing[]; dial: Peer[]; events: MemberEvent[]; answers: Answer[] } {
  return { send: [], dial: [], events: [], answers: [] }
}

function isSameStatement(one: Rumour, other: Entry): boolean {
  return one.life === other.life && one.incarnation === other.incarnation && one.state === other.state
}

/** What the owner is told of a change; nothing when it is history to somebody who has just come. */
function eventOf({ before, after }: Change): MemberEvent | undefined {
  if (!after.proven) return undefined
  const member = memberOf(after)
  const known = before?.proven ? before : undefined
  const was = known?.life === after.life ? statusOf(known) : undefined
  if (was === member.status) return undefined
  switch (member.status) {
    case 'alive':
      return { kind: was === undefined ? 'joined' : 'back', member }
    case 'left':
      return known && { kind: 'left', member, forced: isFinal(after.state) }
    default:
      return known && { kind: member.status, member }
  }
}

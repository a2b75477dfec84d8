// Knows every committed write, sees every node from outside, and says as soon as one of the claims does not hold.

import type { LogWatcher } from '../../src/admin/log-view.ts'
import type { Row } from '../../src/base/json.ts'
import type { Position } from '../../src/base/stamp.ts'
import type { Delivered } from '../../src/cluster/delivery/acknowledgements.ts'
import type { RegisteredLife } from '../../src/database/database.ts'
import type { Written } from '../../src/store/store.ts'
import type { State } from './datastore.ts'
import { keysOf } from './forms.ts'
import type { SimulatedNode } from './node.ts'
import type { Question } from './request.ts'
import type { Tables } from './tables.ts'
import { answerAt, isAtOrAfter, keysFor, valueAt } from './truth.ts'
import type { World } from './world.ts'

type PlacedChange = Parameters<LogWatcher['apply']>[0][number]

export type Claim =
  | 'C1'
  | 'C2'
  | 'C3'
  | 'C4'
  | 'C5'
  | 'C6'
  | 'C7'
  | 'C8'
  | 'C9'
  | 'refuse'
  | 'spread'
  | 'health'

export interface Violation {
  readonly claim: Claim
  readonly what: string
  readonly atMs: number
}

/** What one process has been seen to do. */
interface Record {
  /** The states that it had applied, one after the other. */
  readonly states: State[]
  /** Names and lives that it held, and from when to when. */
  readonly lives: { readonly name: string; readonly life: Position; readonly fromMs: number; toMs: number }[]
  /** The last join on whose account it must prove what it holds, and when it applied that. */
  joined: { readonly state: State; readonly atMs: number } | undefined
  /** What was true when its last read of a key, or of the table of APIs, was carried out. */
  readonly reads: Map<string, State>
  /** The same, of the history that was lost last, where the key was read again since. */
  readonly lostReads: Map<string, State>
  /** How often it began to load everything, and how often it had: what is answered in between is answered from what it drops. */
  loads: number
  /** Whether it has found that a history was lost, and has not registered since: then its life is over. */
  isOutlived: boolean
  /** Since when it hears notifications; undefined when it does not. */
  listensSinceMs: number | undefined
  /** When it last read the log. */
  pulledAtMs: number
}

/** A change is everywhere after this, where nothing is wrong: notified, pulled and applied, a page after the other. */
const spreadMs = 900
/** As soon as a node listens again, it asks for what it has not heard of. */
const catchUpMs = 200
/** A node that has learnt that its life is over has registered anew. */
const renewalMs = 900
/** Purges of joins that come together are one; then the router is read again. */
const proofMs = 1100
const reloadMs = 3000
/** Nodes that can reach each other have met after this. */
const calmMs = 3000
/** What a lookup takes at the most, when what it asks of does not answer. */
const lookupMostMs = 10_000
/** As src/proxy/resolver.ts has it: a request that meets another change each time is given up. */
const attemptsMax = 5
/** Clocks of different machines are not the same. */
const clockSlackMs = 3

export class Oracle {
  violation: Violation | undefined
  readonly #world: World
  readonly #records = new Map<SimulatedNode, Record>()
  /** The newest write that was answered complete, when all nodes refuse, and when. */
  #complete: { readonly state: State; readonly atMs: number } | undefined
  /** What each worker has answered: the last of how many states its node was at, after how many loads. */
  readonly #answerable = new WeakMap<
    object,
    Map<string, { readonly states: number; readonly loads: number; readonly atMs: number }>
  >()
  #historiesLost = 0

  constructor(world: World) {
    this.#world = world
    world.datastore.watchers.add((state) => this.#committed(state))
  }

  fail(claim: Claim, what: string): undefined {
    if (this.violation) return
    this.violation = { claim, what, atMs: this.#world.scheduler.now }
    this.#world.trace.say('ORACLE', `${claim} does not hold: ${what}`)
    this.#world.scheduler.halt()
  }

  /** The datastore has lost writes: nobody is bound by what was promised of them. */
  forgetWrites(): void {
    this.#historiesLost++
    this.#complete = undefined
  }

  watch(node: SimulatedNode): void {
    const record: Record = {
      ...{ states: [], lives: [], joined: undefined, reads: new Map(), lostReads: new Map(), loads: 0 },
      isOutlived: false,
      listensSinceMs: undefined,
      pulledAtMs: Number.NEGATIVE_INFINITY,
    }
    this.#records.set(node, record)
    // Nobody is told before the catalog is.
    const { catalog } = node.agent
    const apply = catalog.apply.bind(catalog)
    catalog.apply = (events) => {
      const state = this.#world.datastore.state(events.at(-1)?.digest ?? '')
      const newer = state ? this.#heldNewer(node, record, state) : []
      apply(events)
      for (const held of newer) this.#checkNotOlder(node, held, state as State)
    }
    node.agent.events.watch({
      apply: (changes) => this.#applied(node, record, changes),
      lapse: () => this.#jumped(node, record),
    })
  }

  /** It registered, or said that it did anew, and why. */
  registered(node: SimulatedNode, name: string, life: Position, why?: string): void {
    const { lives } = this.#recordOf(node)
    if (why === 'taken' && lives.at(-1)?.name === name) {
      this.fail('C5', `${node.label} found its name taken, and took it back`)
    }
    const now = this.#world.scheduler.now
    const last = lives.at(-1)
    if (last) last.toMs = now
    this.#recordOf(node).isOutlived = false
    lives.push({ name, life, fromMs: now, toMs: Number.POSITIVE_INFINITY })
  }

  /** It deletes all that it knows, to load it anew. */
  forgets(node: SimulatedNode, reason: unknown): void {
    const record = this.#recordOf(node)
    record.loads++
    // It may find out late, where it had heard of what was lost and had not got there.
    if (reason === 'other-history' && this.#historiesLost > 0) record.isOutlived = true
  }

  /** A read of its was carried out. */
  readBy(node: SimulatedNode, key: string, state: State): void {
    const { reads, lostReads } = this.#recordOf(node)
    const before = reads.get(key)
    if (before && !isAtOrAfter(before, state) && !isAtOrAfter(state, before)) lostReads.set(key, before)
    // A replica that is behind takes nothing back.
    if (!before || state.position > before.position || !isAtOrAfter(before, state)) reads.set(key, state)
  }

  listens(node: SimulatedNode, isListening: boolean): void {
    const { scheduler, datastore } = this.#world
    const { now } = scheduler
    this.#recordOf(node).listensSinceMs = isListening ? now : undefined
    if (!isListening) return
    this.#expect(datastore.head, catchUpMs, [node], (one) => this.#hears(one, now))
    scheduler.after(catchUpMs, () => {
      if (!this.#hears(node, now) || this.#recordOf(node).pulledAtMs >= now) return
      this.fail('spread', `${node.label} listens again, and has not asked for what it did not hear`)
    })
  }

  /** It reads the log. */
  pulls(node: SimulatedNode): void {
    this.#recordOf(node).pulledAtMs = this.#world.scheduler.now
  }

  /** It was told whether its life stands: if another does, under its name, it has to begin a new one. */
  beat(node: SimulatedNode, life: Position, standing: Position | undefined): void {
    const record = this.#recordOf(node)
    const [current, histories] = [record.lives.at(-1), this.#historiesLost]
    if (current?.life !== life || standing === undefined || standing === life) return
    this.#world.scheduler.after(renewalMs, () => {
      if (histories !== this.#historiesLost || record.lives.at(-1) !== current || !node.serves()) return
      if (node.isLeaving || this.#world.isDisturbed(node.host)) return
      this.fail('C5', `${node.label} goes on in its life ${life}, and the one under its name is ${standing}`)
    })
  }

  /** A server that nobody can listen to has taken over; `calm` is how it says that it is there. */
  failedOver(calm: () => void): void {
    const { datastore, nodes } = this.#world
    this.#expect(datastore.head, this.#foundMs, nodes, ({ host }) => !this.#world.isDisturbed(host, calm))
  }

  begunToServe(node: SimulatedNode): void {
    const { states, lives } = this.#recordOf(node)
    const position = states.at(-1)?.position ?? -1
    const { name, life } = lives.at(-1) ?? { name: '', life: 0 }
    // One whose registration was lost before it serves is as one that loses it afterwards: it registers anew, and catches up.
    const isFirst = lives.length === 1 && this.#world.datastore.nodes.get(name)?.life === life
    if (isFirst && position < life)
      this.fail('C2', `${node.label} serves at ${position}, registered at ${life}`)
  }

  /** A request is sent; tells what is to be called with its answer. */
  asked(node: SimulatedNode, worker: object, question: Question): (answer: string) => undefined {
    const record = this.#recordOf(node)
    const from = record.states.length - 1
    const { scheduler } = this.#world
    const startMs = scheduler.now
    const complete = this.#complete
    return (answer) => {
      const what = () => `${node.label} answered ${question.path} with ${question.key}: ${answer}`
      const states = record.states.slice(from)
      // Of what was asked for it can't tell any more what has become of it, where that was evicted meanwhile.
      const hasChangedTooOften = states.length > attemptsMax
      if (answer === '503')
        return hasChangedTooOften ? undefined : this.#unanswered(node, worker, question, startMs, what)
      if (states.length > 1) this.#world.marks.note('request: met several positions')
      if ((question.minPosition ?? 0) > (states[0]?.position ?? 0)) {
        this.#world.marks.note('request: waited for a position')
      }
      const fitting = states.filter((state) => answerAt(state, question) === answer)
      if (fitting.length === 0) {
        const wanted = states.map((state) => `${answerAt(state, question)} at ${state.position}`)
        return this.fail(states.length > 1 ? 'C8' : 'C2', `${what()}; right would be ${wanted.join(' or ')}`)
      }
      this.#checkMinimum(question, fitting, what)
      this.#checkRefusal(complete, startMs, fitting, what)
      this.#checkPurge(node, record, question, states, startMs, what)
      if (states.length === 1) this.#remember(worker, question, record)
    }
  }

  /** An Admin API's answer to a write. */
  answered(node: SimulatedNode, { stamp, nodes }: Written, delivered: Delivered, waitMs: number): undefined {
    const state = this.#world.datastore.state(stamp.digest)
    const { applied, of, lagging } = delivered
    const { marks } = this.#world
    marks.note(
      applied === of ? 'write: complete' : waitMs > 0 ? 'write: incomplete' : 'write: not waited for',
    )
    const what = `${node.label} said ${applied}/${of} of ${stamp.position}, lagging ${lagging.join() || 'nobody'}`
    if (!state || state.position !== stamp.position) return this.fail('C9', `${what}; there is no such write`)
    if (applied === 0 && lagging.length === 0) {
      marks.note('write: not even applied here')
      return
    }
    const leftOut = [...state.registered].find(
      ([name, life]) =>
        this.#isThere({ name, life }) && !nodes.some((due) => due.name === name && due.life === life),
    )
    if (leftOut) return this.fail('C9', `${what}; ${leftOut[0]} was registered, and need not know`)
    const names = nodes.map(({ name }) => name)
    if (lagging.some((name) => !names.includes(name)))
      return this.fail('C9', `${what}; not all of these were to know`)
    if (applied !== of - lagging.length) return this.fail('C9', `${what}; the sum is wrong`)
    const lapsed = nodes.filter(({ lapsesMs }) => lapsesMs !== null)
    const absent = nodes.filter((due) => due.expired && !this.#isThere(due)).length
    if (of > nodes.length || of < nodes.length - lapsed.length - absent) {
      return this.fail('C9', `${what}; ${nodes.length} were to know`)
    }
    if (of < nodes.length - absent) {
      marks.note('write: somebody forced out need not know any more')
      const leastMs = lapsed.map(({ lapsesMs }) => lapsesMs as number).sort((a, b) => a - b)
      const [elapsedMs, dueMs] = [
        this.#world.scheduler.now - state.at,
        leastMs[nodes.length - absent - of - 1] as number,
      ]
      if (elapsedMs < dueMs - clockSlackMs) {
        return this.fail('C9', `${what}; somebody is left out after ${elapsedMs} ms, not ${dueMs}`)
      }
    }
    // Whose directory was lost leaves a row that nobody speaks for until it expires; and nobody speaks for a life that has
    // ended since, whoever has the name by now.
    const isMissing = (one: SimulatedNode) => {
      // One that waits for an answer which got lost has not got its next one yet.
      if (this.#world.isDisturbed(one.host)) return false
      const held = this.#recordOf(one).lives.at(-1)
      const isHeld = ({ name, life }: RegisteredLife) => name === held?.name && life === held.life
      return nodes.some((due) => isHeld(due) && lagging.includes(due.name))
    }
    for (const { name, life, lapsesMs, expired } of nodes) {
      if (lagging.includes(name) || ((lapsesMs !== null || expired) && of < nodes.length)) continue
      if (!this.#has(name, life, state))
        return this.fail('C9', `${what}; ${name} in its life ${life} has not got it`)
    }
    if (applied === of) this.#completed(state)
    else if (waitMs > 1000 && this.isCalm() && !this.#isLost(state) && this.#world.nodes.some(isMissing))
      this.fail('C9', `${what}; and nothing was wrong`)
  }

  /** Whether a node serves in this life, and could say so. */
  #isThere({ name, life }: { readonly name: string; readonly life: Position }): boolean {
    return this.#world.nodes.some((node) => {
      const held = this.#recordOf(node).lives.at(-1)
      const isHeld = held?.name === name && held.life === life
      return isHeld && node.serves() && !node.isLeaving && !this.#world.isDisturbed(node.host)
    })
  }

  /** Whether nothing is wrong, and all are where they belong, for so long that all have met. */
  isCalm(): boolean {
    const { nodes, datastore, scheduler } = this.#world
    const isAtHome = (node: SimulatedNode) => {
      const { name, life, fromMs } = this.#recordOf(node).lives.at(-1) ?? { name: '', life: 0, fromMs: 0 }
      if (this.#recordOf(node).isOutlived) return false
      const row = datastore.nodes.get(name)
      // Who was made to leave has a row still, and knows of it with its next heartbeat at the latest.
      return row?.life === life && row.status !== 'left' && scheduler.now - fromMs > calmMs
    }
    return this.#world.isCalm(calmMs) && nodes.every(isAtHome)
  }

  refused(code: string): void {
    if (this.#world.isCalm(8000) && !['already-exists', 'does-not-exist'].includes(code)) {
      this.fail('C9', `a write failed (${code}), and nothing was wrong`)
    }
  }

  /** When all that was wrong has been mended, and some time has passed. */
  settled(): void {
    const { datastore, nodes, trace } = this.#world
    const { head } = datastore
    for (const node of nodes) {
      if (!node.serves()) this.fail('C4', `${node.label} does not serve`)
      const { position, digest } = node.applied
      if (digest !== head.digest)
        this.fail('C4', `${node.label} is at ${position}, the log at ${head.position}`)
      for (const key of this.#cacheKeys(head)) this.#checkEntry(node, head, key, 'C4')
    }
    trace.say('world', 'has settled', { head: head.position })
  }

  /** C5, as text: undefined when all views agree with each other and with what is. */
  disagreement(): string | undefined {
    const { nodes } = this.#world
    const names = nodes.map((node) => node.name).sort()
    const views = nodes.map((node) =>
      node.agent.cluster
        .members()
        .filter(({ status }) => status !== 'left')
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    )
    for (const [i, view] of views.entries()) {
      const alive = view.filter(({ status }) => status === 'alive').map(({ name }) => name)
      if (alive.join() !== names.join()) {
        const shown = view.map(({ name, status }) => `${name} ${status}`)
        return `to ${nodes[i]?.label}: ${shown.join(', ')}; there are ${names.join(', ')}`
      }
    }
    const texts = views.map((view) =>
      view
        .filter(({ status }) => status === 'alive')
        .map(({ name, life }) => `${name} ${life}`)
        .join(),
    )
    return texts.every((text) => text === texts[0]) ? undefined : `views differ: ${texts.join(' and ')}`
  }

  #recordOf(node: SimulatedNode): Record {
    return this.#records.get(node) as Record
  }

  #isLost(state: State): boolean {
    return !isAtOrAfter(this.#world.datastore.head, state)
  }

  #committed(state: State): void {
    const { nodes } = this.#world
    const hears = (node: SimulatedNode) => this.#hears(node, state.at)
    this.#expect(state, spreadMs, nodes.filter(hears), hears)
    const others = nodes.filter((node) => node.serves() && !hears(node))
    this.#expect(state, this.#foundMs, others, ({ host }) => !this.#world.isDisturbed(host))
  }

  /** Nobody need tell a node of a change: it looks for itself. */
  get #foundMs(): number {
    return this.#world.plan.settings.heartbeatIntervalMs + spreadMs
  }

  /** These nodes are to have a state after so long, if `can` says so then: nothing has kept them from it. */
  #expect(
    state: State,
    forMs: number,
    nodes: readonly SimulatedNode[],
    can: (node: SimulatedNode) => boolean,
  ): void {
    const histories = this.#historiesLost
    if (nodes.length === 0) return
    this.#world.scheduler.after(forMs, () => {
      if (histories !== this.#historiesLost) return
      for (const node of nodes) {
        if (!node.serves() || !can(node)) continue
        const last = this.#recordOf(node).states.at(-1)
        if (!last || isAtOrAfter(last, state)) continue
        this.fail('spread', `${node.label} is at ${last.position} ${forMs} ms after ${state.position}`)
      }
    })
  }

  /** Whether nothing keeps the node from hearing what happened at a time, and has not for a while. */
  #hears(node: SimulatedNode, atMs: number): boolean {
    const { listensSinceMs } = this.#recordOf(node)
    return (
      node.serves() &&
      listensSinceMs !== undefined &&
      listensSinceMs <= atMs &&
      !this.#world.isDisturbed(node.host)
    )
  }

  #applied(node: SimulatedNode, record: Record, changes: readonly PlacedChange[]): undefined {
    const [first, last] = [changes[0] as PlacedChange, changes.at(-1) as PlacedChange]
    const before = record.states.at(-1)
    const state = this.#world.datastore.state(last.digest)
    const what = `${node.label} applied ${first.position} to ${last.position} after ${before?.position}`
    if (!state || state.position !== last.position) return this.fail('C1', `${what}, which the log never had`)
    if (state.before !== before || first.position !== state.first)
      return this.fail('C1', `${what}: out of order`)
    record.states.push(state)
    this.#world.trace.say(node.label, `has applied ${state.position}`)
    if (changes.some((change) => this.#asksForProof(node, change))) this.#noteJoin(node, record, state)
    for (const key of this.#touched(state)) this.#checkEntry(node, state, key, 'C3')
  }

  #jumped(node: SimulatedNode, record: Record): undefined {
    const { position, digest } = node.applied
    const state = this.#world.datastore.state(digest)
    if (!state || state.position !== position) {
      return this.fail('C1', `${node.label} jumped to ${position}, which the log never had`)
    }
    record.states.push(state)
    record.loads++
    // All was deleted, and is read anew in any case.
    record.joined = undefined
    this.#world.trace.say(node.label, `has loaded everything at ${position}`)
  }

  #asksForProof(node: SimulatedNode, { entity, old, new: row }: PlacedChange): boolean {
    if (entity !== 'nodes' || row?.status !== 'alive') return false
    const isBack = old != null && old.status === 'alive' && old.life === row.life
    if (row.life !== null && !isBack) return false
    return node.settings.purgeOnJoin === 'all' || row.name === node.name
  }

  #noteJoin(node: SimulatedNode, record: Record, state: State): void {
    const { scheduler } = this.#world
    const joined = { state, atMs: scheduler.now }
    record.joined = joined
    scheduler.after(proofMs + reloadMs, () => {
      if (!node.serves() || this.#world.isDisturbed(node.host) || record.joined !== joined) return
      if (!isReadSince(record, 'apis')) this.fail('C6', `${node.label} has not read its APIs anew`)
    })
  }

  #checkPurge(
    node: SimulatedNode,
    record: Record,
    question: Question,
    states: readonly State[],
    startMs: number,
    what: () => string,
  ): undefined {
    const { joined } = record
    const [state] = states
    if (states.length > 1 || !state || !joined || startMs < joined.atMs + proofMs) return
    if (this.#world.isDisturbed(node.host)) return
    for (const key of keysFor(state, question)) {
      if (isReadSince(record, key) || wasKnownAbsent(record, key)) continue
      return this.fail(
        'C6',
        `${what()}; ${key} was not read again since the join at ${joined.state.position}`,
      )
    }
  }

  #checkMinimum({ minPosition = 0 }: Question, fitting: readonly State[], what: () => string): void {
    if (fitting.every(({ position }) => position < minPosition)) {
      this.fail('C2', `${what()}; it was to be ${minPosition} or later`)
    }
  }

  #checkRefusal(
    complete: { readonly state: State; readonly atMs: number } | undefined,
    startMs: number,
    fitting: readonly State[],
    what: () => string,
  ): void {
    if (!complete || complete !== this.#complete || startMs < complete.atMs + clockSlackMs) return
    if (fitting.some((state) => isAtOrAfter(state, complete.state))) return
    this.fail(
      'refuse',
      `${what()}; ${complete.state.position} was complete ${startMs - complete.atMs} ms before`,
    )
  }

  #completed(state: State): void {
    const { scheduler, plan } = this.#world
    // The answer may come when the datastore has lost the write.
    if (plan.settings.onStale !== 'refuse' || this.#isLost(state)) return
    if (this.#complete && this.#complete.state.position > state.position) return
    this.#complete = { state, atMs: scheduler.now }
  }

  #remember(worker: object, { text }: Question, { states, loads }: Record): void {
    let answerable = this.#answerable.get(worker)
    if (!answerable) {
      answerable = new Map()
      this.#answerable.set(worker, answerable)
    }
    answerable.set(text, { states: states.length, loads, atMs: this.#world.scheduler.now })
  }

  #unanswered(
    node: SimulatedNode,
    worker: object,
    question: Question,
    startMs: number,
    what: () => string,
  ): undefined {
    const record = this.#recordOf(node)
    const { marks, plan } = this.#world
    marks.note('request: 503')
    if (question.minPosition !== undefined || plan.settings.onStale === 'refuse') return
    if (this.#world.isCalm(12_000)) return this.fail('C7', `${what()}; and nothing was wrong`)
    const { server, scheduler } = this.#world
    // It may have died over it.
    if (!node.workers.some((one) => one === worker)) return
    if (node.hasForgotten() || scheduler.now - server.lastErrorMs < lookupMostMs) return
    const before = this.#answerable.get(worker)?.get(question.text)
    const state = record.states.at(-1)
    if (!before || !state || before.loads !== record.loads) return
    // It may have been asked of the datastore already when an event told what is there.
    if (before.atMs > startMs) return
    const touched = record.states.slice(before.states).flatMap((later) => [...this.#touched(later)])
    const keys = keysFor(state, question)
    const keysThen = keysFor(record.states[before.states - 1] as State, question)
    if (keys.join() !== keysThen.join() || keys.some((key) => touched.includes(key))) return
    // That there is no such key was told by the keys that there are, which are read again after a join.
    if (record.joined && keys.some((key) => valueAt(state, key) === null)) return
    this.fail('C7', `${what()}; it was answered before, and nothing of it has changed since`)
  }

  /** C3: what the node holds under a key is what is true at what it has applied, or, read later, after it. */
  #checkEntry(node: SimulatedNode, state: State, key: string, claim: Claim): void {
    const held = node.agent.catalog.read(key)
    if (held === undefined) return
    const text = JSON.stringify(held)
    let later: State | undefined = this.#world.datastore.head
    while (later && later.position >= state.position) {
      if (JSON.stringify(valueAt(later, key)) === text) return
      later = later.before
    }
    // It may have been read of a history, or may be of one, that is lost by now.
    const { reads, lostReads } = this.#recordOf(node)
    const candidates = [state, reads.get(key), lostReads.get(key)].filter((one) => one !== undefined)
    const fits = (one: State) => isAtOrAfter(one, state) && JSON.stringify(valueAt(one, key)) === text
    if (candidates.some(fits)) return
    this.fail(claim, `${node.label} holds ${text} under ${key} at ${state.position}`)
  }

  /** What a read has brought that is newer than a state which is about to be applied, and other than what was true then. */
  #heldNewer(node: SimulatedNode, { reads }: Record, state: State): { key: string; text: string }[] {
    return [...this.#touched(state)].flatMap((key) => {
      const read = reads.get(key)
      if (!read || read === state || !isAtOrAfter(read, state)) return []
      const text = JSON.stringify(node.agent.catalog.read(key))
      const isNewer =
        text === JSON.stringify(valueAt(read, key)) && text !== JSON.stringify(valueAt(state, key))
      return isNewer ? [{ key, text }] : []
    })
  }

  /** C3: an event that is older than what is held leaves it alone, or takes it away. */
  #checkNotOlder(node: SimulatedNode, { key, text }: { key: string; text: string }, state: State): void {
    const held = node.agent.catalog.read(key)
    if (held === undefined || JSON.stringify(held) === text) return
    this.fail(
      'C3',
      `${node.label} held ${text} under ${key}, and ${state.position}, which is older, made it ${held}`,
    )
  }

  #touched({ changes, tables }: State): Set<string> {
    const touched = new Set<string>()
    for (const { entity, old, new: row } of changes) {
      for (const image of [old, row]) {
        if (image === null) continue
        if (entity === 'plugins') for (const key of pluginKeys(image, tables)) touched.add(key)
        if (entity === 'consumers') touched.add(`consumers:${image.id}`)
        if (entity === 'keyauth_credentials') touched.add(`keyauth_credentials:${image.key}`)
      }
    }
    return touched
  }

  #cacheKeys({ tables }: State): string[] {
    const ids = (entity: string) => [...(tables.get(entity)?.keys() ?? [])]
    const credentials = [...(tables.get('keyauth_credentials')?.values() ?? [])]
    return [
      ...ids('apis').map((id) => `plugins:${id}`),
      ...ids('consumers').flatMap((id) => [`consumers:${id}`, `consumer_plugins:${id}`]),
      ...credentials.map(({ key }) => `keyauth_credentials:${key}`),
    ]
  }

  /** Whether a process that held this life when the write was there, or after that, has applied it. */
  #has(name: string, life: Position, state: State): boolean {
    for (const { lives, states } of this.#records.values()) {
      if (!lives.some((one) => one.name === name && one.life === life && one.toMs >= state.at)) continue
      if (states.some((applied) => applied === state || isAtOrAfter(applied, state))) return true
    }
    return false
  }
}

/** The lists that a plugin is in. */
function pluginKeys({ api_id, consumer_id }: Row, tables: Tables): string[] {
  if (consumer_id !== null) return [`consumer_plugins:${consumer_id}`]
  const apis = api_id === null ? [...(tables.get('apis')?.keys() ?? [])] : [api_id]
  return apis.map((id) => `plugins:${id}`)
}

/** By the keys that there are, all of which were read since the join; what has become of the key since, the log says. */
function wasKnownAbsent(record: Record, key: string): boolean {
  const [family = ''] = key.split(':')
  const { states, joined } = record
  if (!joined || !isReadSince(record, keysOf(family))) return false
  return states.slice(states.indexOf(joined.state)).some((state) => valueAt(state, key) === null)
}

function isReadSince({ reads, joined }: Record, key: string): boolean {
  const read = reads.get(key)
  return joined === undefined || (read !== undefined && isAtOrAfter(read, joined.state))
}

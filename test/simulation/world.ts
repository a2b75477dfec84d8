// A whole cluster in one process: its machines and their network, its datastore, what people do with it, what goes wrong,
// and the oracle that looks on. One plan, one history.
import type { LogFields, Logger } from '../../src/base/logger.ts'
import { chanceFor } from './chance.ts'
import { Datastore, type State } from './datastore.ts'
import { faultSpecs } from './faults.ts'
import { Marks } from './marks.ts'
import { Network } from './network.ts'
import { type Directory, SimulatedNode } from './node.ts'
import { Oracle, type Violation } from './oracle.ts'
import { type Fault, hostOf, type Plan } from './plan.ts'
import type { Question } from './request.ts'
import { Scheduler } from './scheduler.ts'
import { Server } from './session.ts'
import { type Kept, Trace } from './trace.ts'
import { Workload } from './workload.ts'

export interface Outcome {
  readonly violation: Violation | undefined
  readonly hash: string
  readonly lines: readonly string[]
  readonly marks: ReadonlyMap<string, number>
  /** Happenings, and simulated ms. */
  readonly turns: number
  readonly spanMs: number
}

/** Between two requests that nobody has a reason for, in ms. */
const requestGapMs = 30
/** After a question was put off by a fault, for so long what comes of it may be due to it. */
const aftermathMs = 8000
/** From its start to a node's registration, about. */
const joinMs = 40
/** A node that could not start is started again. */
const restartMs = 700
/** All have been at home for a while by then, whoever had to move. */
const calmLimitMs = 15_000
/** After everything was mended: the slowest of what was under way has ended by then, and all have met again. */
const settleMs = 45_000

export class World {
  readonly plan: Plan
  readonly scheduler = new Scheduler()
  readonly trace: Trace
  readonly marks = new Marks()
  readonly network: Network
  readonly datastore: Datastore
  readonly server: Server
  readonly oracle: Oracle
  readonly workload: Workload
  readonly chance: { readonly requests: ReturnType<typeof chanceFor> }
  /** Those that run, or stand still. */
  nodes: SimulatedNode[] = []
  readonly #seats: string[]
  readonly #incarnations = new Map<string, number>()
  /** By the calls that end them. */
  readonly #disturbances = new Map<() => void, { readonly hosts: readonly string[]; untilMs: number }>()
  /** How to end the faults that last. */
  readonly #ends = new Set<() => void>()
  #lastFaultMs = Number.NEGATIVE_INFINITY
  #isOver = false

  constructor(plan: Plan, kept: Kept = 'nothing') {
    const { seed } = plan
    this.plan = plan
    this.trace = new Trace(this.scheduler, kept)
    this.network = new Network(this.scheduler, chanceFor(seed, 'network'))
    this.datastore = new Datastore(this.scheduler, chanceFor(seed, 'datastore'))
    this.datastore.replicaLagMs = plan.replicaLagMs
    this.server = new Server(this.datastore, this.network, chanceFor(seed, 'server'))
    this.chance = { requests: chanceFor(seed, 'requests') }
    this.oracle = new Oracle(this)
    this.workload = new Workload(this)
    this.#seats = Array.from({ length: plan.nodes }, (_, i) => hostOf(i))
  }

  /** Everything, from the first start to the last check. In a turn of its own: see scheduler.ts. */
  run(): Outcome {
    this.begin()
    this.scheduler.run(this.plan.warmUpMs + this.plan.unrestMs)
    return this.end()
  }

  /** Nodes are started, and what the plan has takes its course as time passes. */
  begin(): void {
    const { scheduler, plan } = this
    this.workload.populate()
    for (const [i, host] of this.#seats.entries()) {
      scheduler.at(i * 20, () => this.start(host, { name: undefined }))
    }
    for (const operation of plan.operations) {
      scheduler.at(operation.atMs, () => this.workload.run(operation))
    }
    for (const fault of plan.faults) scheduler.at(fault.atMs, () => this.strike(fault))
    this.#askOnAndOn()
  }

  /** Everything is mended, comes together and is held against what is right. */
  end(): Outcome {
    const { scheduler, oracle } = this
    this.#isOver = true
    this.workload.rest(Number.POSITIVE_INFINITY)
    for (const end of [...this.#ends]) end()
    if (!oracle.violation) this.#settle()
    for (const node of this.nodes) this.#gather(node)
    const { hash, lines } = this.trace
    const { violation } = oracle
    return { violation, hash, lines, marks: this.marks.counts, turns: scheduler.turns, spanMs: scheduler.now }
  }

  /** Machines that nodes run on. */
  hosts(): readonly string[] {
    return this.#seats
  }

  newHost(): string {
    const host = hostOf(this.#seats.length)
    this.#seats.push(host)
    return host
  }

  /** One of those that run, by a draw. */
  running(draw: number): SimulatedNode | undefined {
    const running = this.nodes.filter(({ process }) => process.state === 'running')
    return running[Math.floor(draw * running.length)]
  }

  start(host: string, directory: Directory): void {
    if (!this.#seats.includes(host) || this.nodes.some((node) => node.host === host && node.isRunning()))
      return
    const { plan, server, trace } = this
    const time = (this.#incarnations.get(host) ?? 0) + 1
    this.#incarnations.set(host, time)
    const index = this.#seats.indexOf(host)
    const label = `n${index + 1}${time > 1 ? `.${time}` : ''}`
    const node: SimulatedNode = new SimulatedNode({
      ...{ label, host, directory, server, settings: plan.settings },
      random: chanceFor(plan.seed, label),
      clockRate: plan.clockRates[index] ?? 1,
      logger: this.#loggerOf(label, () => node),
      watcher: {
        read: (key, state) => this.oracle.readBy(node, key, state),
        listens: (isListening) => this.oracle.listens(node, isListening),
        pulls: () => this.oracle.pulls(node),
        beat: (life, standing) => this.oracle.beat(node, life, standing),
      },
    })
    trace.say(label, 'starts')
    // It registers soon: what is read until then is to be read again.
    this.workload.lookMeanwhile(joinMs)
    this.nodes.push(node)
    this.oracle.watch(node)
    node.process.onDeath(() => {
      trace.say(label, 'is gone')
      this.#gather(node)
      this.nodes = this.nodes.filter((other) => other !== node)
    })
    node.start().then(
      () => {
        trace.say(label, 'serves', { name: node.name, life: node.life })
        this.oracle.begunToServe(node)
      },
      (error) => {
        trace.say(label, 'could not start', { error: String(error) })
        this.marks.note(`start: ${(error as { code?: string }).code ?? error}`)
        node.process.kill()
        this.scheduler.after(restartMs, () => this.start(host, directory))
      },
    )
  }

  /** Nobody runs on that machine any more. */
  retire(host: string): void {
    this.#seats.splice(this.#seats.indexOf(host), 1, `${host} (gone)`)
    for (const node of this.nodes) if (node.host === host) node.process.kill()
  }

  ask(node: SimulatedNode, worker: number, question: Question): void {
    const found = node.workers[worker % node.workers.length]
    if (!found || node.process.state !== 'running') return
    node.ask(worker, question, this.oracle.asked(node, found, question))
  }

  /** What these nodes ask of the datastore may come late or not at all, until the call that is returned. */
  disturb(hosts: readonly string[] = [...this.#seats]): () => void {
    const disturbance = { hosts, untilMs: Number.POSITIVE_INFINITY }
    const calm = () => {
      disturbance.untilMs = Math.min(disturbance.untilMs, this.scheduler.now + aftermathMs)
    }
    this.#disturbances.set(calm, disturbance)
    return calm
  }

  /** @param but  what `disturb` returned, of a disturbance that is not meant */
  isDisturbed(host: string, but?: () => void): boolean {
    for (const [calm, { hosts, untilMs }] of this.#disturbances) {
      if (untilMs <= this.scheduler.now) this.#disturbances.delete(calm)
      else if (calm !== but && hosts.includes(host)) return true
    }
    return false
  }

  /** Whether nothing was wrong anywhere for so long, and all have met before that. */
  isCalm(forMs: number): boolean {
    const sinceMs = Math.max(this.#lastFaultMs, this.plan.warmUpMs)
    return this.#ends.size === 0 && this.scheduler.now - sinceMs > (this.#lastFaultMs > 0 ? forMs : 0)
  }

  /** Begins a fault, now. Returns the call that ends it before its time. */
  strike({ kind, id, forMs, draws }: Omit<Fault, 'atMs'>): () => void {
    const end = faultSpecs[kind].begin(this, draws)
    if (!end) return () => undefined
    this.trace.say('fault', `${kind} begins`, { id, forMs: Math.round(forMs) })
    this.marks.note(`fault: ${kind}`)
    this.#lastFaultMs = this.scheduler.now
    const stop = () => {
      if (!this.#ends.delete(stop)) return
      this.#lastFaultMs = this.scheduler.now
      this.trace.say('fault', `${kind} ends`, { id })
      end()
    }
    this.#ends.add(stop)
    this.scheduler.after(forMs, stop)
    return stop
  }

  #askOnAndOn(): void {
    const { requests } = this.chance
    this.scheduler.after(2 * requestGapMs * requests.fraction(), () => {
      const [who, which, least] = [
        requests.fraction(),
        Math.floor(2 * requests.fraction()),
        requests.fraction(),
      ]
      const question = this.workload.question()
      const node = this.running(who)
      const isDemanding = least < 0.1 && !this.workload.isResting
      const minPosition = isDemanding ? this.datastore.head.position : undefined
      if (node?.serves() && !this.workload.isSilent) this.ask(node, which, { ...question, minPosition })
      if (!this.#isOver) this.#askOnAndOn()
    })
  }

  /** C4 and C5: mended, everything comes together by itself. */
  #settle(): void {
    const { scheduler, oracle, datastore, trace } = this
    trace.say('world', 'nothing is wrong any more')
    const isSettled = () => this.#unsettled() === undefined
    const untilMs = scheduler.now + settleMs
    // A write that has waited for a lock until now is not everywhere at once.
    for (let head: State | undefined; head !== datastore.head; ) {
      const leftMs = untilMs - scheduler.now
      if (leftMs < 0 || scheduler.runUntil(isSettled, leftMs, 50) === undefined) {
        const text = this.#unsettled() ?? 'C4: the log goes on'
        oracle.fail(text.startsWith('C5') ? 'C5' : 'C4', `after ${settleMs} ms: ${text.slice(4)}`)
        return
      }
      head = datastore.head
      scheduler.run(2 * this.plan.settings.heartbeatIntervalMs + 200)
    }
    oracle.settled()
    for (const node of this.nodes) {
      for (let worker = 0; worker < node.workers.length; worker++) {
        for (const question of this.workload.everything()) this.ask(node, worker, question)
      }
    }
    scheduler.run(1000)
    this.#writeByAll()
  }

  /** Whoever has come together reaches everybody: a write by any node is complete. */
  #writeByAll(): void {
    const { scheduler, plan, oracle } = this
    if (scheduler.runUntil(() => oracle.isCalm(), calmLimitMs, 50) === undefined) {
      oracle.fail('C5', `after ${calmLimitMs} ms: not all are registered as what they are`)
      return
    }
    for (const node of this.nodes) this.workload.changeBy(node)
    scheduler.run(plan.settings.ackTimeoutMs + 200)
  }

  #unsettled(): string | undefined {
    const { head } = this.datastore
    const behind = this.nodes.find((node) => !node.serves() || node.applied.digest !== head.digest)
    if (this.nodes.length < this.#seats.filter((host) => !host.endsWith(')')).length) return 'C4: not all run'
    if (behind) return `C4: ${behind.label} is at ${behind.applied.position}, the log at ${head.position}`
    const disagreement = this.oracle.disagreement()
    return disagreement && `C5: ${disagreement}`
  }

  /** What its own counts say that it has been through. */
  #gather({ agent }: SimulatedNode): void {
    for (const [reason, times] of Object.entries(agent.followed.loads))
      this.marks.note(`load: ${reason}`, times)
    for (const [path, histogram] of Object.entries(agent.cluster.propagation.histograms)) {
      this.marks.note(`came by: ${path}`, histogram.count)
    }
    const { membership, push, renewals } = agent.cluster.counts()
    this.marks.note('push: missed', push.missed)
    this.marks.note('member: accused', membership?.accusations)
    this.marks.note('member: refuted', membership?.refutations)
    for (const [why, times] of Object.entries(renewals)) this.marks.note(`renewed: ${why}`, times)
    const { refusedByFloor, evictions } = agent.catalog.counters
    this.marks.note('fill: refused by its floor', refusedByFloor)
    this.marks.note('entry: evicted', evictions)
  }

  #loggerOf(label: string, node: () => SimulatedNode): Logger {
    const line = (level: 'info' | 'warn' | 'error') => (sentence: string, fields?: LogFields) => {
      const { error, ...rest } = fields ?? {}
      this.trace.say(label, sentence, error === undefined ? rest : { ...rest, error: String(error) })
      this.marks.note(`said: ${sentence}`)
      if (sentence === 'registered' || sentence.includes('has registered anew')) {
        this.oracle.registered(node(), String(rest.name), Number(rest.life), String(rest.why))
      }
      if (sentence === 'catalog loads') this.oracle.forgets(node(), rest.reason)
      if (level === 'error' && !this.#mayFail(sentence)) {
        this.oracle.fail('health', `${label}: ${sentence} ${String(error ?? '')}`)
      }
    }
    const logger: Logger = {
      scope: () => logger,
      debug() {},
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
    }
    return logger
  }

  /** A server that answers with errors of its own is reported as one. */
  #mayFail(sentence: string): boolean {
    return /^could not (pull the log|load anew)/.test(sentence) && this.plan.faults.length > 0
  }
}

// A cluster of pure members in one process, on simulated time: a queue of timed deliveries over a network that is
// late, loses, repeats, reorders and parts, with processes that pause, die and come back. One seed, one history.
import type { Random } from '../../../../src/base/random.ts'
import {
  type MemberEvent,
  type MemberRow,
  Members,
  type Step,
} from '../../../../src/cluster/membership/members.ts'
import { membershipMessage } from '../../../../src/cluster/membership/message.ts'
import { type Profile, profiles } from '../../../../src/cluster/membership/profile.ts'
import { seededRandom } from '../../../simulation/chance.ts'
import { Queue } from '../../../simulation/queue.ts'

export interface WorldOptions {
  readonly seed: number
  readonly profile?: Profile
  /** One way, in milliseconds: at least, and at most but for one message in a hundred, which takes ten times as long. */
  readonly latencyMs?: readonly [number, number]
  /** Part of the messages that are lost, and that arrive twice. */
  readonly loss?: number
  readonly repeats?: number
  /** Whether nodes read the rows every second, as with a datastore that is there. */
  readonly datastore?: boolean
}

export interface Seen {
  readonly at: number
  /** Who saw it. */
  readonly by: string
  readonly event: MemberEvent
}

interface Process {
  readonly name: string
  readonly address: string
  members: Members
  life: number
  isUp: boolean
  pausedUntil: number
  /** What it has applied of the log, while that is not all that there is. */
  applied: number | undefined
  /** What arrived while it stood still. */
  readonly inbox: Call[]
  readonly connections: Set<string>
  /** Counts the wake-ups that were planned: only the last one holds. */
  alarm: number
}

type Call = (members: Members, now: number) => Step | undefined

const dialTimeoutMs = 1000

export class World {
  now = 0
  readonly seen: Seen[] = []
  /** Messages sent, and their bytes as JSON. */
  messages = 0
  bytes = 0
  loss: number
  readonly #options: WorldOptions
  readonly #profile: Profile
  readonly random: Random
  readonly #queue = new Queue()
  readonly #processes = new Map<string, Process>()
  readonly #rows = new Map<string, MemberRow>()
  readonly #parted = new Set<string>()
  #position = 0

  constructor(options: WorldOptions) {
    this.#options = options
    this.#profile = options.profile ?? profiles.lan
    this.random = seededRandom(options.seed)
    this.loss = options.loss ?? 0
  }

  get names(): string[] {
    return [...this.#processes.keys()]
  }

  /** Those that run, paused ones too. */
  get upNames(): string[] {
    return [...this.#processes.values()].filter(({ isUp }) => isUp).map(({ name }) => name)
  }

  members(name: string): Members {
    return this.#process(name).members
  }

  /** Registers and starts a node, again if there was one; it joins whom the rows name, or `through` alone. */
  start(name: string, through?: readonly string[]): void {
    const life = ++this.#position
    const address = `10.0.0.1:${9000 + this.#processes.size}`
    const self = { name, address: this.#processes.get(name)?.address ?? address, life }
    const process: Process = {
      ...self,
      members: this.#makeMembers(self),
      applied: undefined,
      isUp: true,
      pausedUntil: 0,
      inbox: [],
      connections: new Set(),
      alarm: 0,
    }
    this.#processes.set(name, process)
    this.#rows.set(name, { ...self, status: 'alive', expired: false })
    const rows = [...this.#rows.values()].filter((row) => through?.includes(row.name) ?? true)
    this.#call(process, (one, now) => one.reconcile(rows, 0, now))
    if (this.#options.datastore) this.#heartbeat(process)
  }

  /** Its connections break one after the other, as the process dies, and its port refuses. */
  kill(name: string): void {
    const process = this.#process(name)
    process.isUp = false
    for (const peer of process.connections) this.#breakLater(peer, name, 0.5 + 15 * this.random.fraction())
    process.connections.clear()
  }

  /** Stands still; the kernel goes on receiving. */
  pause(name: string, forMs: number): void {
    const process = this.#process(name)
    process.pausedUntil = Math.max(process.pausedUntil, this.now + forMs)
    this.at(forMs, () => this.#resume(process))
  }

  /** Nothing passes between those of `some` and the others, until `heal`. */
  part(some: readonly string[], others = this.names.filter((name) => !some.includes(name))): void {
    for (const one of some) for (const other of others) this.#parted.add(pair(one, other))
  }

  heal(): void {
    this.#parted.clear()
  }

  /** Leaves as `stop` does: says so, is gone a moment later, and its process ends. */
  leave(name: string): void {
    const process = this.#process(name)
    this.#call(process, (members, now) => members.leave(now))
    this.at(50, () => {
      this.#setRow(name, { status: 'left' })
      this.#call(process, (members, now) => members.left(now))
      this.at(5, () => this.kill(name))
    })
  }

  forceLeave(name: string, by: string): void {
    this.#setRow(name, { status: 'left' })
    this.#call(this.#process(by), (members, now) => members.forceLeave(name, now))
  }

  /**
   * The datastore comes back as it was at `position`. Each node finds out within a second, and registers anew if it had
   * registered after that.
   */
  loseTail(position: number): void {
    const before = this.#position
    this.#position = position
    for (const [name, { life }] of this.#rows) if (life > position) this.#rows.delete(name)
    for (const process of this.#processes.values()) {
      process.applied = before
      this.at(1000 * this.random.fraction(), () => this.#loadAnew(process))
    }
  }

  #loadAnew(process: Process): void {
    process.applied = undefined
    if (process.life <= this.#position) return
    const { name, address } = process
    process.life = ++this.#position
    this.#rows.set(name, { name, address, life: process.life, status: 'alive', expired: false })
    for (const peer of process.connections) this.#breakLater(peer, name, this.#latency())
    process.connections.clear()
    process.members = this.#makeMembers({ name, address, life: process.life })
    this.#setAlarm(process)
  }

  #makeMembers(self: { readonly name: string; readonly address: string; readonly life: number }): Members {
    return new Members({
      self,
      profile: this.#profile,
      random: this.random,
      now: this.now,
      applied: () => this.#processes.get(self.name)?.applied ?? this.#position,
    })
  }

  expire(name: string): void {
    this.#rows.delete(name)
  }

  /** Calls one node's members directly. */
  call(name: string, call: Call): void {
    this.#call(this.#process(name), call)
  }

  at(delayMs: number, act: () => void): void {
    this.#queue.add(this.now + delayMs, act)
  }

  run(forMs: number): void {
    const until = this.now + forMs
    for (let next = this.#queue.takeBefore(until); next; next = this.#queue.takeBefore(until)) {
      this.now = next.at
      next.act()
    }
    this.now = until
  }

  /** Runs until `isDone`, looked at every 10 ms; throws when it takes longer than `limitMs`. Returns how long. */
  runUntil(isDone: () => boolean, limitMs: number, what: () => string): number {
    const from = this.now
    while (!isDone()) {
      if (this.now - from >= limitMs) throw new Error(`after ${limitMs} ms: ${what()}`)
      this.run(10)
    }
    return this.now - from
  }

  /** What one node shows, `name status` each. */
  shown(by: string): string[] {
    return this.members(by)
      .list()
      .map(({ name, status }) => `${name} ${status}`)
  }

  /** Undefined when all that are up show those that are up as alive, all others not, and agree in everything. */
  disagreement(): string | undefined {
    const up = this.upNames
    const views = up.map((by) => ({
      by,
      list: this.members(by)
        .list()
        .filter(({ status }) => status !== 'left'),
    }))
    for (const { by, list } of views) {
      const alive = list.filter(({ status }) => status === 'alive').map(({ name }) => name)
      const wrong = [
        ...up.filter((name) => !alive.includes(name)).map((name) => `${name} is up and not alive`),
        ...alive.filter((name) => !up.includes(name)).map((name) => `${name} is dead and alive`),
      ]
      if (wrong.length > 0) return `to ${by}: ${wrong.slice(0, 5).join(', ')}`
    }
    const texts = views.map(({ list }) =>
      list
        .map(({ name, status, life, incarnation }) => `${name} ${status} ${life}.${incarnation}`)
        .join('; '),
    )
    const other = texts.findIndex((text) => text !== texts[0])
    return other === -1 ? undefined : `${up[0]}: ${texts[0]} but ${up[other]}: ${texts[other]}`
  }

  /** Runs until all agree. */
  settle(limitMs = 30_000): number {
    return this.runUntil(
      () => this.disagreement() === undefined,
      limitMs,
      () => String(this.disagreement()),
    )
  }

  #process(name: string): Process {
    const process = this.#processes.get(name)
    if (!process) throw new Error(`no node ${name} in this world`)
    return process
  }

  #call(process: Process, call: Call): void {
    if (!process.isUp) return
    if (process.pausedUntil > this.now) process.inbox.push(call)
    else this.#follow(process, call(process.members, this.now))
  }

  /** Timers first and then what was received, as an event loop does it. */
  #resume(process: Process): void {
    if (!process.isUp || process.pausedUntil > this.now) return
    this.#call(process, (members, now) => members.tick(now))
    for (const call of process.inbox.splice(0)) this.#call(process, call)
  }

  #follow(process: Process, step: Step | undefined): void {
    for (const { to, message } of step?.send ?? []) {
      this.messages++
      const text = JSON.stringify(message)
      this.bytes += text.length
      if (!process.connections.has(to) || this.#isParted(process.name, to)) continue
      const times = this.random.fraction() < (this.#options.repeats ?? 0) ? 2 : 1
      for (let i = 0; i < times; i++) {
        if (this.random.fraction() >= this.loss) this.#deliver(process, to, text)
      }
    }
    for (const { name } of step?.dial ?? []) this.#dial(process, name)
    for (const event of step?.events ?? []) this.#witness(process, event)
    this.#setAlarm(process)
  }

  #deliver(from: Process, to: string, text: string): void {
    this.at(this.#latency(), () => {
      const target = this.#processes.get(to)
      // What was sent by a process that died since came by another connection.
      if (!target || this.#processes.get(from.name) !== from) return
      if (!target.connections.has(from.name)) return this.#breakLater(from.name, to, this.#latency())
      const message = membershipMessage.parse(JSON.parse(text))
      this.#call(target, (members, now) => members.receive(from.name, message, now))
    })
  }

  #dial(from: Process, to: string): void {
    const roundTripMs = this.#latency() + this.#latency()
    const tried = this.now
    this.at(roundTripMs, () => {
      const target = this.#processes.get(to)
      const isSilent = this.#isParted(from.name, to) || (target?.pausedUntil ?? 0) > tried
      if (isSilent) {
        this.at(dialTimeoutMs, () => this.#call(from, (members, now) => members.dialUnanswered(to, now)))
      } else if (!target?.isUp) this.#call(from, (members, now) => members.dialRefused(to, now))
      else this.#connect(from, target)
    })
  }

  #connect(one: Process, other: Process): void {
    if (!one.isUp) return
    const peers = [one, other].map(({ name, address, life }) => ({ name, address, life }))
    for (const [process, peer] of [
      [one, peers[1]],
      [other, peers[0]],
    ] as const) {
      if (!peer) continue
      process.connections.add(peer.name)
      this.#call(process, (members, now) => members.connected(peer, now))
    }
  }

  /** What the owner of members does about events: hangs up on the dead, and registers anew when fenced. */
  #witness(process: Process, event: MemberEvent): void {
    this.seen.push({ at: this.now, by: process.name, event })
    if (event.kind === 'failed' || event.kind === 'left') this.#hangUp(process, event.member.name)
    if (event.kind !== 'fenced') return
    this.at(5, () => {
      const life = ++this.#position
      process.life = life
      this.#setRow(process.name, { life, status: 'alive' })
      this.#call(process, (members, now) => members.renew(life, now))
    })
  }

  #hangUp(process: Process, peer: string): void {
    if (!process.connections.delete(peer)) return
    this.at(0, () => this.#call(process, (members, now) => members.connectionLost(peer, now)))
    // Behind a partition the other end stays open, until it sends something.
    if (!this.#isParted(process.name, peer)) this.#breakLater(peer, process.name, this.#latency())
  }

  #breakLater(name: string, peer: string, delayMs: number): void {
    const process = this.#processes.get(name)
    if (!process?.connections.has(peer)) return
    const life = this.#processes.get(peer)?.life
    this.at(delayMs, () => {
      const isReplaced = this.#processes.get(peer)?.life !== life
      if (isReplaced || !process.connections.delete(peer)) return
      this.#call(process, (members, now) => members.connectionLost(peer, now))
    })
  }

  #heartbeat(process: Process): void {
    this.at(1000 * (0.9 + this.random.fraction() / 5), () => {
      if (!process.isUp || this.#processes.get(process.name) !== process) return
      const rows = [...this.#rows.values()]
      const position = this.#position
      this.#call(process, (members, now) => members.reconcile(rows, position, now))
      this.#heartbeat(process)
    })
  }

  #setAlarm(process: Process): void {
    const alarm = ++process.alarm
    const dueAt = Math.max(this.now, process.members.nextDueAt)
    if (!Number.isFinite(dueAt)) return
    this.#queue.add(dueAt + 2 * this.random.fraction(), () => {
      if (process.alarm === alarm && process.pausedUntil <= this.now) {
        this.#call(process, (members, now) => members.tick(now))
      }
    })
  }

  #setRow(name: string, change: Partial<MemberRow>): void {
    const row = this.#rows.get(name)
    if (row) this.#rows.set(name, { ...row, ...change })
  }

  #isParted(one: string, other: string): boolean {
    return this.#parted.has(pair(one, other))
  }

  #latency(): number {
    const [least, most] = this.#options.latencyMs ?? [0.1, 2]
    const usual = least + (most - least) * this.random.fraction()
    return this.random.fraction() < 0.01 ? usual * 10 : usual
  }
}

function pair(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`
}

/** n nodes that joined one after the other, and agree. */
export function cluster(size: number, options: WorldOptions): World {
  const world = new World(options)
  for (let i = 0; i < size; i++) {
    world.start(`n${i}`)
    world.run(20)
  }
  world.settle()
  world.run(1000)
  world.seen.length = 0
  return world
}

/** Runs `scenario` for seeds 1 to `count`; SEED=7 runs that one alone. A failure names its seed. */
export function forSeeds(count: number, scenario: (seed: number) => void): void {
  const only = Number(process.env.SEED)
  const seeds = only ? [only] : Array.from({ length: count }, (_, i) => i + 1)
  for (const seed of seeds) {
    try {
      scenario(seed)
    } catch (error) {
      if (error instanceof Error) error.message = `seed ${seed}: ${error.message}`
      throw error
    }
  }
}

/** The value that `part` of `values` do not exceed. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] as number
}

// Machines, and TCP between them: late, stalled, cut in one direction or both, broken off. What is sent on one connection
// arrives in order or not at all; connections overtake each other.
import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { type Address, formatAddress } from '../../src/base/address.ts'
import type { Random } from '../../src/base/random.ts'
import type { Process } from './process.ts'
import type { Appointment } from './queue.ts'
import type { Scheduler } from './scheduler.ts'

/** One way, in ms; one message in a hundred takes ten times as long. */
const latencyMs = { least: 0.1, most: 2 } as const

/** A connection of which nothing arrives for so long is given up by the system that sends. */
const giveUpMs = 20_000

/** The longest wait until a system sends again what got lost, once it could arrive. */
const resendMostMs = 2500

/** What a stream takes before it asks to wait. */
const highWaterBytes = 64 << 10

/** From one machine to another. */
interface Way {
  /** How many faults say that nothing passes. */
  cuts: number
  /** What everything takes longer, at the most. */
  slowMs: number
}

interface Listening {
  readonly process: Process
  readonly accept: (stream: Duplex, from: string) => void
}

export class Network {
  readonly scheduler: Scheduler
  readonly #random: Random
  /** By where from and where to. */
  readonly #ways = new Map<string, Map<string, Way>>()
  /** Where messages wait to be sent again. */
  readonly #stalled = new Set<Pipe>()
  readonly #streams = new Set<SimulatedStream>()
  readonly #ports = new Map<string, Listening>()
  #lastPort = 40_000

  constructor(scheduler: Scheduler, random: Random) {
    this.scheduler = scheduler
    this.#random = random
  }

  /** Nothing passes from one machine to another until the call that is returned. */
  cut(from: string, to: string): () => void {
    const way = this.#way(from, to)
    way.cuts++
    return () => {
      way.cuts--
      if (way.cuts === 0) for (const pipe of [...this.#stalled]) if (pipe.way === way) pipe.resend()
    }
  }

  /** Everything from one machine to another takes up to `byMs` longer. */
  slow(from: string, to: string, byMs: number): () => void {
    const way = this.#way(from, to)
    way.slowMs += byMs
    return () => {
      way.slowMs -= byMs
    }
  }

  /** Breaks the connections between two machines; each end learns it by itself. */
  reset(one: string, other: string): void {
    for (const stream of [...this.#streams]) {
      const ends = [stream.host, stream.peerHost]
      if (ends.includes(one) && ends.includes(other)) stream.break('ECONNRESET')
    }
  }

  latency({ slowMs }: Way): number {
    const usual = latencyMs.least + (latencyMs.most - latencyMs.least) * this.#random.fraction()
    const once = this.#random.fraction() < 0.01 ? usual * 10 : usual
    return slowMs > 0 ? once + slowMs * this.#random.fraction() : once
  }

  resendDelay(stalledMs: number): number {
    return Math.min(resendMostMs, stalledMs) * this.#random.fraction()
  }

  /** One direction of a connection. */
  pipe(from: string, to: string, broken: () => void = () => undefined): Pipe {
    return new Pipe(this, this.#way(from, to), broken)
  }

  noteStalled(pipe: Pipe, isStalled: boolean): void {
    if (isStalled) this.#stalled.add(pipe)
    else this.#stalled.delete(pipe)
  }

  noteStream(stream: SimulatedStream, isOpen: boolean): void {
    if (isOpen) this.#streams.add(stream)
    else this.#streams.delete(stream)
  }

  listen(address: Address, listening: Listening): () => void {
    const where = formatAddress(address)
    if (this.#ports.has(where)) throw Object.assign(new Error(`${where} is taken`), { code: 'EADDRINUSE' })
    this.#ports.set(where, listening)
    const close = () => {
      if (this.#ports.get(where) === listening) this.#ports.delete(where)
    }
    listening.process.onDeath(close)
    return close
  }

  connect(
    process: Process,
    host: string,
    address: Address,
    outcome: { opened(stream: Duplex): void; failed(error: Error): void },
  ): { abort(): void } {
    let isOver = false
    const fail = (code: string) => {
      if (!isOver) process.hand(() => outcome.failed(Object.assign(new Error(code), { code })))
      isOver = true
    }
    const there = this.pipe(host, address.host, () => fail('ETIMEDOUT'))
    const back = this.pipe(address.host, host, () => fail('ETIMEDOUT'))
    const from = `${host}:${++this.#lastPort}`
    let stream: SimulatedStream | undefined
    there.send(() => {
      const listening = this.#ports.get(formatAddress(address))
      if (!listening) return back.send(() => fail('ECONNREFUSED'))
      const ours = new SimulatedStream(this, { process, host, peerHost: address.host, pipe: there })
      const theirs = new SimulatedStream(this, {
        process: listening.process,
        ...{ host: address.host, peerHost: host, pipe: back },
      })
      ours.join(theirs)
      // Until it is opened nobody hears what becomes of it.
      const unheard = () => undefined
      ours.on('error', unheard)
      listening.process.hand(() => listening.accept(theirs as unknown as Duplex, from))
      back.send(() => {
        if (ours.destroyed) return fail('ECONNRESET')
        ours.off('error', unheard)
        stream = ours
        if (isOver) ours.destroy()
        else if (ours.destroyed) fail('ECONNRESET')
        else process.hand(() => outcome.opened(ours as unknown as Duplex))
      })
    })
    return {
      abort() {
        isOver = true
        stream?.destroy()
      },
    }
  }

  #way(from: string, to: string): Way {
    const ways = this.#ways.get(from) ?? new Map<string, Way>()
    this.#ways.set(from, ways)
    const way = ways.get(to) ?? { cuts: 0, slowMs: 0 }
    ways.set(to, way)
    return way
  }
}

/** Messages in one direction of one connection: in order, and held back while nothing passes. */
export class Pipe {
  readonly way: Way
  readonly #network: Network
  #broken: () => void
  #lastArrival = 0
  #held: (() => void)[] = []
  #heldSince = 0
  #giveUp: Appointment | undefined

  constructor(network: Network, way: Way, broken: () => void) {
    this.#network = network
    this.way = way
    this.#broken = broken
  }

  onBroken(broken: () => void): void {
    this.#broken = broken
  }

  /** @param delayMs  for which the sender takes its time; nothing that is sent meanwhile overtakes it */
  send(arrive: () => void, delayMs = 0): void {
    if (this.#held.length > 0 || this.way.cuts > 0) {
      this.#hold(arrive)
      return
    }
    const { scheduler } = this.#network
    this.#lastArrival = Math.max(this.#lastArrival, scheduler.now + delayMs + this.#network.latency(this.way))
    scheduler.at(this.#lastArrival, () => {
      if (this.#held.length > 0 || this.way.cuts > 0) this.#hold(arrive)
      else arrive()
    })
  }

  /** Something passes again: what was held arrives after a while. */
  resend(): void {
    const { scheduler } = this.#network
    scheduler.after(this.#network.resendDelay(scheduler.now - this.#heldSince), () => {
      if (this.#held.length === 0 || this.way.cuts > 0) return
      const held = this.#held
      this.#release()
      for (const arrive of held) this.send(arrive)
    })
  }

  /** Nothing that is held arrives any more. */
  drop(): void {
    this.#release()
  }

  #hold(arrive: () => void): void {
    const { scheduler } = this.#network
    if (this.#held.push(arrive) > 1) return
    this.#heldSince = scheduler.now
    this.#network.noteStalled(this, true)
    this.#giveUp = scheduler.after(giveUpMs, () => {
      this.#release()
      this.#broken()
    })
  }

  #release(): void {
    this.#held = []
    this.#network.noteStalled(this, false)
    this.#giveUp?.cancel()
  }
}

interface StreamOptions {
  readonly process: Process
  readonly host: string
  readonly peerHost: string
  /** To the other end. */
  readonly pipe: Pipe
}

/** One end of a connection, as far as rpc.ts and outbox.ts use a Duplex. */
class SimulatedStream extends EventEmitter {
  destroyed = false
  writable = true
  writableNeedDrain = false
  readonly host: string
  readonly peerHost: string
  readonly #network: Network
  readonly #process: Process
  readonly #pipe: Pipe
  #peer: SimulatedStream | undefined
  #unread = 0
  #hasHeardEnd = false
  readonly #forgetDeath: () => void

  constructor(network: Network, { process, host, peerHost, pipe }: StreamOptions) {
    super()
    this.host = host
    this.peerHost = peerHost
    this.#network = network
    this.#process = process
    this.#pipe = pipe
    pipe.onBroken(() => this.break('ETIMEDOUT'))
    network.noteStream(this, true)
    // The system of a machine whose process has died closes what it had open.
    this.#forgetDeath = process.onDeath(() => this.destroy())
  }

  join(peer: SimulatedStream): void {
    this.#peer = peer
    peer.#peer = this
  }

  write(chunk: Buffer): boolean {
    if (!this.writable) return false
    this.#unread += chunk.length
    if (this.#unread > highWaterBytes) this.writableNeedDrain = true
    const peer = this.#peer as SimulatedStream
    this.#pipe.send(() => peer.#arrive(chunk, this))
    return !this.writableNeedDrain
  }

  end(): void {
    if (!this.writable) return
    this.writable = false
    const peer = this.#peer as SimulatedStream
    this.#pipe.send(() => peer.#hearEnd())
    if (this.#hasHeardEnd) this.#close()
  }

  destroy(): this {
    if (this.destroyed) return this
    this.#pipe.send(() => this.#peer?.break('ECONNRESET'))
    this.#close()
    return this
  }

  /** The system says that there is no connection any more. */
  break(code: string): void {
    if (this.destroyed) return
    this.#close(Object.assign(new Error(code), { code }))
  }

  #arrive(chunk: Buffer, from: SimulatedStream): void {
    // Of a connection that this system knows nothing of any more.
    if (this.destroyed) return void this.#pipe.send(() => from.break('ECONNRESET'))
    this.#process.hand(() => {
      from.#taken(chunk.length)
      if (!this.destroyed) this.emit('data', chunk)
    })
  }

  #taken(bytes: number): void {
    this.#unread -= bytes
    if (!this.writableNeedDrain || this.#unread > highWaterBytes / 2) return
    this.writableNeedDrain = false
    this.#process.handLater(() => this.emit('drain'))
  }

  #hearEnd(): void {
    if (this.destroyed) return
    this.#hasHeardEnd = true
    this.#process.hand(() => {
      if (this.destroyed) return
      this.emit('end')
      if (!this.writable) this.#close()
    })
  }

  #close(error?: Error): void {
    if (this.destroyed) return
    this.destroyed = true
    this.writable = false
    this.#network.noteStream(this, false)
    this.#forgetDeath()
    this.#process.handLater(() => {
      // One that broke before anybody had it is told of as a connection that could not be made.
      if (error && this.listenerCount('error') > 0) this.emit('error', error)
      this.emit('close')
    })
  }
}

// One process's way to the simulated datastore: questions that may come late, twice as late, or not at all, and answers
// that get lost after what they answer has happened.
import { within } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import type { Position } from '../../src/base/stamp.ts'
import { DatastoreAway, DatastoreError, OutcomeUnknown } from '../../src/database/errors.ts'
import type { Subscribe, Subscription } from '../../src/event-log/listener.ts'
import type { Datastore, State } from './datastore.ts'
import type { Network } from './network.ts'
import type { Process } from './process.ts'
import type { Scheduler } from './scheduler.ts'

/** The datastore's machine. */
export const datastoreHost = '10.0.0.200'

/** As src/database/database.ts has them by default, with the grace for the server's own time-out. */
const queryTimeoutMs = 6000
/** What a statement takes the server. */
const serviceMs = { least: 0.05, most: 1.5 } as const
const slowAnswerMs = 40
const lockTimeoutMs = 4000
/** A server ends a transaction whose client says nothing for so long. */
const idleTimeoutMs = 5000
/** As src/event-log/postgres-subscription.ts checks its connection. */
const checkMs = 3500

/** The server and its connections: what is up, what is open, who has which lock. */
export class Server {
  readonly datastore: Datastore
  readonly network: Network
  readonly scheduler: Scheduler
  /** `down` refuses; `read-only` answers questions and refuses changes. */
  mode: 'up' | 'down' | 'read-only' = 'up'
  /** Part of the statements that fail with an error of the server's own. */
  errorPart = 0
  /** When one last did. */
  lastErrorMs = Number.NEGATIVE_INFINITY
  /** Machines that get no connection to listen by, each as often as somebody says so. */
  readonly deaf: string[] = []
  readonly random: Random
  readonly #open = new Set<() => void>()
  readonly #subscriptions = new Map<() => void, string>()
  readonly #locks = new Map<string, { holder: object; waiting: (() => void)[] }>()

  constructor(datastore: Datastore, network: Network, random: Random) {
    this.datastore = datastore
    this.network = network
    this.scheduler = network.scheduler
    this.random = random
  }

  /** Everybody's connection breaks. */
  breakAll(): void {
    for (const end of [...this.#open]) end()
  }

  track(end: () => void): () => void {
    this.#open.add(end)
    return () => this.#open.delete(end)
  }

  /** The connection by which that machine's node listens breaks. */
  breakSubscriptions(host: string): void {
    for (const [end, whose] of [...this.#subscriptions]) if (whose === host) end()
  }

  trackSubscription(host: string, end: () => void): () => void {
    const untrack = this.track(end)
    this.#subscriptions.set(end, host)
    return () => {
      untrack()
      this.#subscriptions.delete(end)
    }
  }

  /** From what a statement sees to its answer's leaving: mostly nothing, now and then long enough for a change to overtake. */
  answerMs(): number {
    return this.random.fraction() < 0.15 ? slowAnswerMs * this.random.fraction() : 0
  }

  serviceMs(): number {
    return serviceMs.least + (serviceMs.most - serviceMs.least) * this.random.fraction()
  }

  /** Takes the lock for `holder`. @returns false when another has it: `again` is called once it is given back */
  lock(key: string, holder: object, again: () => void): boolean {
    const lock = this.#locks.get(key)
    if (lock) lock.waiting.push(again)
    else this.#locks.set(key, { holder, waiting: [] })
    return lock === undefined
  }

  /** Hands the lock on, if `holder` has it still. */
  unlock(key: string, holder: object): void {
    const lock = this.#locks.get(key)
    if (!lock || lock.holder !== holder) return
    this.#locks.delete(key)
    const { waiting } = lock
    for (const again of waiting) again()
  }
}

type Kind = 'read' | 'commit'
interface Reply<T> {
  resolve(value: T): void
  reject(error: Error): void
}

/** Is told what of a process's questions was carried out. */
export interface SessionWatcher {
  /** A cache key, or the name of a table that was read whole, and what was true then. */
  read(key: string, state: State): void
  listens(isListening: boolean): void
  /** The log. */
  pulls(): void
  /** It has an answer to its heartbeat in this life; `standing` was the life under its name then, undefined if none. */
  beat(life: Position, standing: Position | undefined): void
}

export class Session {
  readonly server: Server
  readonly watcher: SessionWatcher
  readonly #process: Process
  readonly #host: string

  constructor(server: Server, process: Process, host: string, watcher: SessionWatcher) {
    this.server = server
    this.watcher = watcher
    this.#process = process
    this.#host = host
  }

  /** One statement that writes nothing that is logged, or a transaction of one message. */
  ask<T>(execute: (datastore: Datastore) => T, kind: Kind = 'read'): Promise<T> {
    return this.#send<T>((reply) => reply.resolve(execute(this.server.datastore)), kind)
  }

  /** A transaction on a row: locks it, lets the client say what to do, and does that with the commit. */
  async change<L, T>(
    key: string,
    look: (datastore: Datastore) => L,
    decide: (found: L) => ((datastore: Datastore) => T) | null,
  ): Promise<T | null> {
    const holder = {}
    const release = () => this.server.unlock(key, holder)
    const forget = this.#process.onDeath(release)
    // A client that stands still or is cut off does not keep the lock.
    const idle = { isOver: false }
    try {
      const found = await this.#send<L>((reply) => {
        const { scheduler } = this.server
        let isWaiting = true
        const tooLong = scheduler.after(lockTimeoutMs, () => {
          isWaiting = false
          reply.reject(new DatastoreError('canceling statement due to lock timeout', undefined, '55P03'))
        })
        const grab = () => {
          if (!isWaiting || !this.server.lock(key, holder, grab)) return
          isWaiting = false
          tooLong.cancel()
          scheduler.after(idleTimeoutMs, () => {
            idle.isOver = true
            release()
          })
          reply.resolve(look(this.server.datastore))
        }
        grab()
      }, 'read')
      const work = decide(found)
      if (!work) return null
      return await this.#send<T>((reply) => {
        if (idle.isOver) reply.reject(new DatastoreAway(new Error('terminated: idle in transaction')))
        else reply.resolve(work(this.server.datastore))
        release()
      }, 'commit')
    } finally {
      forget()
      // The rollback, or that the connection is gone, arrives like everything else.
      this.server.network.pipe(this.#host, datastoreHost).send(release)
    }
  }

  /** As PostgresSubscription: told while it lasts, and nothing of what was told before. */
  readonly subscribe: Subscribe = (hear) => new SimulatedSubscription(this, this.#process, this.#host, hear)

  #send<T>(execute: (reply: Reply<T>) => void, kind: Kind): Promise<T> {
    const { network, scheduler } = this.server
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const process = this.#process
    let isOver = false
    const finish = (settle: () => void) =>
      process.hand(() => {
        if (isOver) return
        isOver = true
        untrack()
        timer.cancel()
        settle()
      })
    const lost = (cause: string) => {
      const error = new Error(cause)
      return kind === 'commit' ? new OutcomeUnknown(new DatastoreAway(error)) : new DatastoreAway(error)
    }
    const back = network.pipe(datastoreHost, this.#host)
    const timer = process.clock.after(queryTimeoutMs, () => finish(() => reject(lost('Query read timeout'))))
    const untrack = this.server.track(() => back.send(() => finish(() => reject(lost('ECONNRESET')))))
    const answer = (settle: () => void) => back.send(() => finish(settle), this.server.answerMs())
    network.pipe(this.#host, datastoreHost).send(() => {
      if (this.server.mode === 'down') {
        return answer(() => reject(new DatastoreAway(new Error('ECONNREFUSED'))))
      }
      scheduler.after(this.server.serviceMs(), () => {
        if (this.server.mode === 'down') return
        const refusal = this.#refusal(kind)
        if (refusal) return answer(() => reject(refusal))
        try {
          execute({
            resolve: (value) => answer(() => resolve(value)),
            reject: (error) => answer(() => reject(error)),
          })
        } catch (error) {
          answer(() => reject(error))
        }
      })
    })
    return promise
  }

  #refusal(kind: Kind): Error | undefined {
    const { mode, errorPart, random } = this.server
    if (kind === 'commit' && mode === 'read-only') {
      return new DatastoreError('cannot execute in a read-only transaction', undefined, '25006')
    }
    if (errorPart > 0 && random.fraction() < errorPart) {
      this.server.lastErrorMs = this.server.scheduler.now
      return new DatastoreError('out of memory', undefined, '53200')
    }
    return undefined
  }
}

class SimulatedSubscription implements Subscription {
  readonly listening: Promise<void>
  readonly ended: Promise<never>
  readonly #end: (error: Error) => void
  #stopHearing = () => {}
  #isClosed = false

  constructor(
    { server, watcher }: Session,
    process: Process,
    host: string,
    hear: (payload: unknown) => void,
  ) {
    const { network, datastore } = server
    const { promise: ended, reject } = Promise.withResolvers<never>()
    this.ended = ended
    this.#end = (error) => {
      watcher.listens(false)
      this.#stopHearing()
      reject(error)
    }
    const listening = Promise.withResolvers<void>()
    this.listening = listening.promise
    this.ended.catch(() => undefined)
    this.listening.catch(() => undefined)

    const back = network.pipe(datastoreHost, host)
    const fail = (cause: string) => process.hand(() => this.#end(new Error(cause)))
    network.pipe(host, datastoreHost).send(() => {
      if (server.mode === 'down' || server.deaf.includes(host)) return back.send(() => fail('ECONNREFUSED'))
      const tell = (first: number) =>
        back.send(() => process.hand(() => this.#isClosed || hear(String(first))))
      datastore.listeners.add(tell)
      const untrack = server.trackSubscription(host, () => {
        watcher.listens(false)
        this.#stopHearing()
        back.send(() => fail('ECONNRESET'))
      })
      this.#stopHearing = () => {
        datastore.listeners.delete(tell)
        untrack()
      }
      process.onDeath(() => this.#stopHearing())
      if (this.#isClosed) return this.#stopHearing()
      back.send(() =>
        process.hand(() => {
          watcher.listens(true)
          listening.resolve()
        }),
      )
    })
    this.#check(server, process, host)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#stopHearing()
  }

  /** Asks now and then whether the connection is there. */
  #check(server: Server, process: Process, host: string): void {
    process.clock.after(checkMs / 2, () => {
      if (this.#isClosed) return
      let isAnswered = false
      const { network } = server
      const { promise, resolve } = Promise.withResolvers<void>()
      network.pipe(host, datastoreHost).send(() =>
        network.pipe(datastoreHost, host).send(() =>
          process.hand(() => {
            isAnswered = true
            resolve()
          }),
        ),
      )
      within(process.clock, checkMs / 2, promise, () => new Error('Query read timeout')).then(
        () => this.#check(server, process, host),
        (error: Error) => isAnswered || this.#end(error),
      )
    })
  }
}

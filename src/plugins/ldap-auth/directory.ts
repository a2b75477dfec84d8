// A directory as one worker thread asks it: over connections that are kept for a while, and so many at most.
import { formatAddress } from '../../base/address.ts'
import type { Timer } from '../../base/clock.ts'
import { Turns } from '../../base/turns.ts'
import { type ConnectionOptions, DirectoryConnection } from './directory-connection.ts'
import { DirectoryAway } from './errors.ts'
import type { Answer } from './message.ts'

/**
 * Connections of a thread to one directory. A bind takes a directory a millisecond, or a hundred where it hashes; it is
 * asked by every worker of every node.
 */
const connectionsMax = 16

/** Requests of a thread that wait for one of them. More are told to come again. */
const waitersMax = 1000

export interface DirectoryOptions extends ConnectionOptions {
  /** For so long an idle connection is kept. */
  readonly keepaliveMs: number
}

interface Idle {
  readonly connection: DirectoryConnection
  readonly timer: Timer
}

/** Result codes that say no, and not that something else is the matter (RFC 4511, appendix A). */
const refusals: ReadonlySet<number> = new Set([
  19, // constraintViolation: a rule about passwords, e.g. too many wrong ones
  32, // noSuchObject
  34, // invalidDNSyntax: it can't be anybody's name
  48, // inappropriateAuthentication: the entry has no password
  49, // invalidCredentials
  50, // insufficientAccessRights
  53, // unwillingToPerform: the account is locked, in some directories
])

export class Directory {
  readonly #options: DirectoryOptions
  readonly #name: string
  readonly #turns = new Turns(connectionsMax)
  /** The one that was used last is at the end: it is used next, and the others come to their end. */
  #idle: Idle[] = []
  readonly #busy = new Set<DirectoryConnection>()
  #stopped = false

  constructor(options: DirectoryOptions) {
    this.#options = options
    this.#name = formatAddress(options)
  }

  /** Whether nothing is kept for it. */
  get isUnused(): boolean {
    return this.#idle.length === 0 && this.#busy.size === 0 && this.#turns.waiting === 0
  }

  /** More would have to wait for too long. */
  get isCrowded(): boolean {
    return this.#turns.waiting >= waitersMax
  }

  /**
   * Whether the entry `dn` has this password, which is not empty: with an empty one most directories let anybody pass
   * as nobody (RFC 4513, 5.1.2).
   *
   * @throws {DirectoryAway} when that can't be told
   */
  async isRight(dn: string, password: string): Promise<boolean> {
    try {
      const { code, diagnostic } = await this.#turns.take(() => this.#bind(dn, password))
      if (code === 0) return true
      if (refusals.has(code)) return false
      throw new Error(`it answers with code ${code}: ${diagnostic}`)
    } catch (cause) {
      throw new DirectoryAway(this.#name, cause)
    }
  }

  stop(): void {
    this.#stopped = true
    for (const { connection, timer } of this.#idle.splice(0)) {
      timer.cancel()
      connection.close()
    }
    for (const connection of this.#busy) connection.close()
  }

  async #bind(dn: string, password: string): Promise<Answer> {
    const kept = this.#takeIdle()
    if (kept) {
      try {
        return await this.#use(kept, () => kept.bind(dn, password))
      } catch (error) {
        // A directory may close an idle connection in the moment in which it is used again. One that is slow does not.
        if (!kept.hasBeenClosed) throw error
      }
    }
    if (this.#stopped) throw new Error('nothing is asked any more')
    const connection = new DirectoryConnection(this.#options)
    return this.#use(connection, async () => {
      await connection.open()
      return connection.bind(dn, password)
    })
  }

  async #use<T>(connection: DirectoryConnection, work: () => Promise<T>): Promise<T> {
    this.#busy.add(connection)
    try {
      return await work()
    } finally {
      this.#busy.delete(connection)
      this.#keep(connection)
    }
  }

  #takeIdle(): DirectoryConnection | undefined {
    for (let last = this.#idle.pop(); last; last = this.#idle.pop()) {
      last.timer.cancel()
      if (last.connection.isOpen) return last.connection
    }
    return undefined
  }

  #keep(connection: DirectoryConnection): void {
    const { keepaliveMs, clock } = this.#options
    if (this.#stopped || keepaliveMs === 0) connection.close()
    if (!connection.isOpen) return
    const timer = clock.after(keepaliveMs, () => {
      this.#idle = this.#idle.filter((idle) => idle.connection !== connection)
      connection.close()
    })
    this.#idle.push({ connection, timer })
  }
}

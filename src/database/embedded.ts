// The Postgres that nobody had to install: real server programs on a directory of ours. All nodes on the machine
// that name the same directory share one server; the first starts it, the last that leaves stops it.
import { access } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { backoffMs } from '../base/backoff.ts'
import { codeOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { barrier, serverAccount } from './embedded-account.ts'
import { EmbeddedServer, type ServerAddress, type ServerOptions } from './embedded-server.ts'
import { EmbeddedPostgresFailed, WaitInterrupted } from './errors.ts'
import { Lease } from './lease.ts'
import { withLockFile } from './lock-file.ts'

export interface EmbeddedPostgresOptions extends ServerOptions {
  readonly logger: Logger
}

/** Somebody who stops the server, or one that still replays its log, is waited for. */
const enterLimitMs = 120_000
const enterPollMs = 100
/** Between attempts to bring a crashed server back, which go on for as long as the node runs. */
const recovery = { firstMs: 100, mostMs: 10_000 }

/**
 * `~/.troop/postgres`; for root, whose home the server's account usually may not enter, `/var/lib/troop/postgres`. Once
 * there is data in the latter it stays the one: a home that was opened since must not make a datastore seem empty.
 */
export async function defaultEmbeddedDir(
  home = homedir(),
  shared = '/var/lib/troop/postgres',
): Promise<string> {
  const own = join(home, '.troop', 'postgres')
  const account = await serverAccount()
  if (!account) return own
  const isInUse = await access(join(shared, 'data')).then(
    () => true,
    () => false,
  )
  return isInUse || (await barrier(own, account)) ? shared : own
}

export class EmbeddedPostgres {
  readonly #options: EmbeddedPostgresOptions
  readonly #logger: Logger
  readonly #stopping = new AbortController()
  #server: EmbeddedServer | undefined
  #lease: Lease | undefined
  /** Settles when the start, or a recovery, has ended or was given up. */
  #entering: Promise<unknown> | undefined

  /** @param options  `dir` is shared by all who name it, and belongs to one machine */
  constructor(options: EmbeddedPostgresOptions) {
    this.#options = options
    this.#logger = options.logger.scope('database')
  }

  /**
   * Initialises the directory on first use, starts the server if it does not run, and holds it until `stop`. A
   * server that dies meanwhile is started again on the same port: pooled connections heal by themselves.
   *
   * @throws {NoEmbeddedPostgres} when it can't run on this platform or in this directory
   * @throws {EmbeddedPostgresFailed} when it did not start; the message has the server's own last words
   * @throws {WaitInterrupted} when the signal aborts, or `stop` is called, before it is held; nothing is held then
   */
  async start(signal?: AbortSignal): Promise<ServerAddress> {
    const either = AbortSignal.any([this.#stopping.signal, ...(signal ? [signal] : [])])
    const starting = this.#start(either)
    this.#entering = starting.catch(() => undefined)
    return starting
  }

  async #start(signal: AbortSignal): Promise<ServerAddress> {
    const server = await EmbeddedServer.open(this.#options)
    this.#server = server
    return this.#enter(server, signal)
  }

  /**
   * Leaves the server to its other users, or stops it when there are none. A start or a recovery that is under way
   * is given up. Never throws for a server that is gone.
   */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#entering
    await this.#leave()
  }

  async #leave(): Promise<void> {
    const lease = this.#lease
    this.#lease = undefined
    if (!lease || !this.#server) return
    try {
      if (await lease.leave()) {
        await this.#server.stop()
        this.#logger.info('embedded postgres stopped', { dir: this.#server.dir })
      }
    } catch (error) {
      this.#logger.warn('embedded postgres could not be left in order', { error })
    } finally {
      await lease.end()
    }
  }

  /**
   * Starts the server unless it runs, and takes a lease on it.
   * @param port  the only port that will do, once others have been told it
   */
  async #enter(server: EmbeddedServer, signal: AbortSignal, port?: number): Promise<ServerAddress> {
    const { clock, random } = this.#options
    const deadline = clock.monotonic() + enterLimitMs
    const lock = { path: join(server.dir, 'lock'), clock, random, signal }
    while (!signal.aborted) {
      const found = await server.port()
      const running =
        found ??
        (await withLockFile(lock, async () => {
          await server.initialise(signal)
          return server.start(port, signal)
        }))
      const address = await server.address(running)
      // One that we may have started is entered even now, since only who is in can stop it.
      if (await this.#tryLease(server, address, deadline, found === undefined ? undefined : signal)) {
        if (!signal.aborted) return address
        await this.#leave()
      }
      await clock.sleep(enterPollMs, signal)
    }
    throw new WaitInterrupted(`the embedded Postgres in ${server.dir}`)
  }

  /** False when the server is being stopped, or is gone again: it is to be started anew. */
  async #tryLease(
    server: EmbeddedServer,
    address: ServerAddress,
    deadline: number,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    let cause: unknown
    try {
      const lost = () => {
        this.#entering = this.#recover(server, address.port)
      }
      this.#lease = await Lease.take(address, lost, signal)
      if (this.#lease) return true
    } catch (error) {
      cause = error
    }
    // 28P01 invalid_password: trying again won't help.
    if (signal?.aborted || (codeOf(cause) !== '28P01' && this.#options.clock.monotonic() < deadline))
      return false
    throw new EmbeddedPostgresFailed(
      `the embedded Postgres in ${server.dir} runs on port ${address.port} and can't be used`,
      { cause, hint: await server.remedy() },
    )
  }

  async #recover(server: EmbeddedServer, port: number): Promise<void> {
    const { clock, random } = this.#options
    const { signal } = this.#stopping
    this.#lease = undefined
    this.#logger.warn('embedded postgres is gone, starting it again', { dir: server.dir })
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const address = await this.#enter(server, signal, port)
        if (address.port === port) return this.#logger.info('embedded postgres is back', { port })
        // Another node started it while our port was taken.
        return this.#logger.error('embedded postgres is back on another port: restart this node', {
          port: address.port,
          was: port,
        })
      } catch (error) {
        if (signal.aborted) return
        this.#logger.error('embedded postgres could not be started again', { error, attempt })
        await clock.sleep(backoffMs(attempt, recovery, random), signal)
      }
    }
  }
}

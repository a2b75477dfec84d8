// One Postgres server on one directory: made, started and stopped with Postgres' own programs. Who shares it, and
// when it may be stopped, is decided in embedded.ts.
import { spawn } from 'node:child_process'
import {
  access,
  chmod,
  chown,
  constants,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { codeOf } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { type Account, barrier, serverAccount } from './embedded-account.ts'
import { type Binaries, binariesFor, program } from './embedded-binaries.ts'
import { EmbeddedPostgresFailed, NoEmbeddedPostgres, WaitInterrupted } from './errors.ts'
import { pidFileIn, readPostmaster, removeForeignPid } from './postmaster.ts'

export interface ServerOptions {
  /** Holds everything of the server's; made if missing. */
  readonly dir: string
  readonly clock: Clock
  readonly random: Random
  /** Server settings by name, their values without blanks, over the ones below. */
  readonly settings?: Readonly<Record<string, string>>
  /** Whether to wait until a new data directory is on disk. Default true; tests do without. */
  readonly durable?: boolean
}

export interface ServerAddress {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
}

const host = '127.0.0.1'
/** The server's only account, its superuser. */
const user = 'troop'
const database = 'troop'

const defaultSettings = {
  listen_addresses: host,
  // A socket's path has a limit of about 100 bytes that a home directory can exceed.
  unix_socket_directories: '',
  // Ten nodes and their tools on one machine.
  max_connections: '200',
}

/** initdb takes 1 to 5 s; much longer only on a disk that is stuck. */
const initialiseLimitMs = 120_000
/** A start after a crash replays up to a gigabyte of log. */
const startLimitMs = 120_000
/** What `pg_ctl` itself waits for; a start that takes longer is waited for here. */
const startWaitSeconds = 60
/** A fast stop ends all sessions and writes a checkpoint. */
const stopLimitMs = 60_000
/** After a crash, the orphans of the old server hold its shared memory for a moment, and ports get taken. */
const startAttempts = 6
const pollMs = 50
const portAttempts = 50
/** Started with every start, so a log that is larger is the work of months, or of a fault. */
const logBytesMax = 16 * 2 ** 20
/** Enough to see the cause of a failure. */
const outputCharsMax = 4_000

export class EmbeddedServer {
  /** Where it really is: the same for all, whatever links they come by. */
  readonly dir: string
  readonly #clock: Clock
  readonly #random: Random
  readonly #settings: Readonly<Record<string, string>>
  readonly #durable: boolean
  readonly #account: Account | undefined
  readonly #binaries: Binaries

  /**
   * Finds programs and account for a server in `options.dir`; starts nothing.
   * @throws {NoEmbeddedPostgres} when there are no programs, or the account can't reach the directory
   */
  static async open(options: ServerOptions): Promise<EmbeddedServer> {
    const account = await serverAccount()
    const dir = await makeDirectory(resolve(options.dir), account)
    const blocked = account && (await barrier(dir, account))
    if (account && blocked) {
      throw new NoEmbeddedPostgres(
        `the embedded Postgres in ${dir} runs as ${account.name}, since postgres refuses to run as root, and ${account.name} may not enter ${blocked}`,
        `set postgres.embedded_dir to another directory, e.g. /var/lib/troop/postgres, or chmod o+x ${blocked}`,
      )
    }
    return new EmbeddedServer(dir, options, account, await binariesFor(account, dir, options.random))
  }

  private constructor(dir: string, options: ServerOptions, account: Account | undefined, binaries: Binaries) {
    this.dir = dir
    this.#clock = options.clock
    this.#random = options.random
    this.#settings = { ...defaultSettings, ...options.settings }
    this.#durable = options.durable ?? true
    this.#account = account
    this.#binaries = binaries
  }

  get data(): string {
    return join(this.dir, 'data')
  }

  get #log(): string {
    return join(this.dir, 'log')
  }

  /**
   * Makes the data directory unless it is there. It is made under another name and renamed when complete, so
   * whatever else is found is left from an attempt that was cut short, and goes.
   * @throws {EmbeddedPostgresFailed} when it belongs to another major version of Postgres
   * @throws {WaitInterrupted} when the signal aborts before it is made; nothing of it is left
   */
  async initialise(signal?: AbortSignal): Promise<void> {
    await this.#checkOwner()
    const found = await readText(join(this.data, 'PG_VERSION'))
    if (found !== undefined) return this.#checkVersion(found.trim())
    await this.#removeHalfMade()
    const half = join(this.dir, `initialising-${this.#random.hex(4)}`)
    await mkdir(half, { mode: 0o700 })
    try {
      await this.#makeData(half, signal)
    } finally {
      // Those who are killed may be writing their last file.
      await rm(half, { recursive: true, force: true, maxRetries: 5 })
    }
  }

  async #makeData(half: string, signal: AbortSignal | undefined): Promise<void> {
    await this.#giveAway(half)
    // initdb reads the password from a file, as the server's account, which may not read ours.
    const passwordFile = join(half, 'password')
    await writeFile(passwordFile, await this.#makePassword(), { mode: 0o600 })
    await this.#giveAway(passwordFile)
    const args = [
      ...['--pgdata', join(half, 'data'), '--username', user, '--pwfile', passwordFile],
      ...['--encoding', 'UTF8', '--locale', 'C', '--auth', 'scram-sha-256'],
      ...(this.#durable ? [] : ['--no-sync']),
    ]
    await this.#run('initdb', initialiseLimitMs, args, signal)
    await rename(join(half, 'data'), this.data)
  }

  /** The port of the server if it runs and takes connections. */
  async port(): Promise<number | undefined> {
    const postmaster = await readPostmaster(this.data)
    return postmaster?.state === 'ready' ? postmaster.port : undefined
  }

  /** How to connect to the server on `port`, its own database included: whoever connects first creates that. */
  async address(port: number): Promise<ServerAddress> {
    const password = await readText(this.#passwordFile)
    if (password) return { host, port, user, password, database }
    throw new EmbeddedPostgresFailed(`${this.#passwordFile} is missing: nobody can log in to the server`, {
      hint: `restore the file, or remove ${this.dir} to begin with an empty datastore`,
    })
  }

  get #passwordFile(): string {
    return join(this.dir, 'password')
  }

  /**
   * Starts the server, or waits for one that is starting; resolves with its port. The server outlives us.
   * @param port  the only port that will do; without it, the last one, or another if that is taken
   * @throws {WaitInterrupted} when the signal aborts before it is ready; what this call has started is gone then
   */
  async start(port?: number, signal?: AbortSignal): Promise<number> {
    const deadline = this.#clock.monotonic() + startLimitMs
    for (let attempt = 1; ; attempt++) {
      const running = await this.#settled(deadline, signal)
      if (running !== undefined) return running
      try {
        await this.#tryStart(port ?? (await this.#choosePort()), signal)
      } catch (error) {
        if (signal?.aborted || attempt === startAttempts || this.#clock.monotonic() > deadline) throw error
        await this.#clock.sleep(pollMs * 2 ** attempt, signal)
      }
    }
  }

  /** The port of the running server, once it neither starts nor stops; undefined when none runs. */
  async #settled(deadline: number, signal: AbortSignal | undefined): Promise<number | undefined> {
    for (;;) {
      const postmaster = await readPostmaster(this.data)
      if (postmaster?.state === 'ready') return postmaster.port
      if (signal?.aborted) throw this.#interrupted()
      if (!postmaster) return undefined
      if (this.#clock.monotonic() > deadline) {
        throw new EmbeddedPostgresFailed(
          `the Postgres server ${postmaster.pid} in ${this.dir} is ${postmaster.state} for more than ${startLimitMs / 1000} s`,
          { hint: await this.remedy() },
        )
      }
      await this.#clock.sleep(pollMs, signal)
    }
  }

  #interrupted(): WaitInterrupted {
    return new WaitInterrupted(`the embedded Postgres in ${this.dir}`)
  }

  /** What a person can do about a server that is there and does not answer. */
  async remedy(): Promise<string> {
    const postmaster = await readPostmaster(this.data)
    if (!postmaster) return `read ${this.#log}`
    return `read ${this.#log}; if the process ${postmaster.pid} is not the Postgres server of this directory, remove ${pidFileIn(this.data)}`
  }

  async #tryStart(port: number, signal: AbortSignal | undefined): Promise<void> {
    await removeForeignPid(this.data)
    await this.#prepareLog()
    const settings = Object.entries(this.#settings).map(([name, value]) => `-c ${name}=${value}`)
    const seconds = String(startWaitSeconds)
    const started = this.#run('pg_ctl', startLimitMs, [
      ...['start', '--pgdata', this.data, '--log', this.#log, '--wait', '--timeout', seconds],
      ...['--options', [...settings, `-p ${port}`].join(' ')],
    ])
    try {
      await this.#unlessAborted(started, signal)
    } catch (cause) {
      if (signal?.aborted) throw this.#interrupted()
      const tail = ((await readText(this.#log)) ?? '').slice(-outputCharsMax).trim()
      throw new EmbeddedPostgresFailed(
        `the Postgres server in ${this.dir} did not start: ${lastFault(tail)}`,
        { cause, hint: `read ${this.#log}` },
      )
    }
    await writeFile(this.#portFile, `${port}\n`)
  }

  /**
   * Waits for pg_ctl, whose server is killed when the signal aborts before it is ready: nobody can be using it, and
   * what it was replaying it replays again. pg_ctl itself is left to see that: killed, it could leave a server
   * behind that has no pid file yet and can't be found.
   */
  async #unlessAborted(started: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    const ended = new AbortController()
    const kill = async () => {
      while (!ended.signal.aborted) {
        const postmaster = await readPostmaster(this.data)
        if (postmaster?.state === 'ready') return
        // An immediate shutdown: no checkpoint.
        if (postmaster) send('SIGQUIT', postmaster.pid)
        await this.#clock.sleep(pollMs, ended.signal)
      }
    }
    const killed = whenAborted(AbortSignal.any([ended.signal, ...(signal ? [signal] : [])])).then(kill)
    try {
      await started
    } finally {
      ended.abort()
      await killed
    }
  }

  /** Stops the server, ending the sessions of all its clients; resolves once it is gone. */
  async stop(): Promise<void> {
    const postmaster = await readPostmaster(this.data)
    if (!postmaster) return
    await this.#run('pg_ctl', stopLimitMs, [
      ...['stop', '--pgdata', this.data, '--mode', 'fast', '--no-wait'],
    ])
    // Not left to pg_ctl, which waits for the directory to have no server: somebody may start the next one at once.
    const deadline = this.#clock.monotonic() + stopLimitMs
    while ((await readPostmaster(this.data))?.pid === postmaster.pid) {
      if (this.#clock.monotonic() > deadline) {
        throw new EmbeddedPostgresFailed(
          `the Postgres server ${postmaster.pid} in ${this.dir} did not stop within ${stopLimitMs / 1000} s`,
          { hint: `read ${this.#log}` },
        )
      }
      await this.#clock.sleep(pollMs)
    }
  }

  /** The port is kept from start to start, so that other programs can be told it once. */
  get #portFile(): string {
    return join(this.dir, 'port')
  }

  async #choosePort(): Promise<number> {
    let port = Number(await readText(this.#portFile)) || this.#randomPort()
    for (let attempt = 0; attempt < portAttempts; attempt++) {
      if (await isFree(port)) return port
      port = this.#randomPort()
    }
    throw new EmbeddedPostgresFailed(`no free port for the embedded Postgres: tried ${portAttempts}`)
  }

  /** Below the ports that systems give to outgoing connections: those may be taken just when we restart. */
  #randomPort(): number {
    return 20_000 + Math.floor(this.#random.fraction() * 10_000)
  }

  async #checkOwner(): Promise<void> {
    const owner = await ownerOf(this.data)
    const own = process.getuid?.()
    if (owner === undefined || owner === own || owner === this.#account?.uid) return
    throw new EmbeddedPostgresFailed(
      `${this.data} belongs to the user ${owner}, and its server would run as ${this.#account?.name ?? own}`,
      { hint: 'start troop as that user, or set postgres.embedded_dir to another directory' },
    )
  }

  #checkVersion(found: string): void {
    const major = this.#binaries.version.split('.')[0]
    if (found === major) return
    throw new EmbeddedPostgresFailed(
      `the data in ${this.dir} was made by Postgres ${found}, and this is Postgres ${major}`,
      {
        hint: `carry the data over with pg_upgrade, set postgres.embedded_dir to a new directory, or install the troop that made it`,
      },
    )
  }

  async #removeHalfMade(): Promise<void> {
    for (const name of await readdir(this.dir)) {
      if (name.startsWith('initialising-')) await rm(join(this.dir, name), { recursive: true })
      // Not ours to throw away: it never was a complete data directory, but somebody put something there.
      if (name === 'data') await rename(this.data, join(this.dir, `data-incomplete-${this.#random.hex(4)}`))
    }
  }

  async #makePassword(): Promise<string> {
    const found = await readText(this.#passwordFile)
    if (found) return found
    const password = this.#random.hex(24)
    await writeFile(this.#passwordFile, password, { mode: 0o600 })
    return password
  }

  async #prepareLog(): Promise<void> {
    const file = await open(this.#log, 'a', 0o600)
    const { size } = await file.stat()
    await file.close()
    if (size > logBytesMax) {
      await rename(this.#log, `${this.#log}.old`)
      return this.#prepareLog()
    }
    await this.#giveAway(this.#log)
  }

  /** Lets the server's account own `path`. */
  async #giveAway(path: string): Promise<void> {
    if (this.#account) await chown(path, this.#account.uid, this.#account.gid)
  }

  /** Runs one of Postgres' programs to its end, or until the signal aborts, as the server's account. */
  #run(
    name: 'initdb' | 'pg_ctl',
    limitMs: number,
    args: readonly string[],
    signal?: AbortSignal,
  ): Promise<void> {
    if (signal?.aborted) return Promise.reject(this.#interrupted())
    return new Promise((done, failed) => {
      const child = spawn(program(this.#binaries, name), args, {
        cwd: this.dir,
        env: cleanEnvironment(process.env),
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: limitMs,
        killSignal: 'SIGKILL',
        windowsHide: true,
        // A process group of its own, to end what the program has started together with it.
        detached: true,
        ...(this.#account ? { uid: this.#account.uid, gid: this.#account.gid } : {}),
      })
      const kill = () => child.pid && send('SIGKILL', -child.pid)
      signal?.addEventListener('abort', kill, { once: true })
      let output = ''
      const collect = (text: string) => {
        output = (output + text).slice(-outputCharsMax)
      }
      child.stdout.setEncoding('utf8').on('data', collect)
      child.stderr.setEncoding('utf8').on('data', collect)
      child.once('error', (cause) => {
        signal?.removeEventListener('abort', kill)
        failed(
          new EmbeddedPostgresFailed(`could not run ${name} in ${dirname(program(this.#binaries, name))}`, {
            cause,
          }),
        )
      })
      // Not `close`: the server inherits the pipes on some systems and keeps them open.
      child.once('exit', (code, ending) => {
        signal?.removeEventListener('abort', kill)
        child.stdout.destroy()
        child.stderr.destroy()
        if (code === 0) return done()
        if (signal?.aborted) return failed(this.#interrupted())
        const how = ending ? `was ended by ${ending} after at most ${limitMs / 1000} s` : `ended with ${code}`
        failed(new EmbeddedPostgresFailed(`${name} ${how}: ${lastFault(output)}`))
      })
    })
  }
}

/**
 * Makes `dir`, and what is missing on the way to it. With an account of its own for the server they are made
 * open to it, whatever the umask says; else they are ours alone.
 * @returns  where it really is
 */
async function makeDirectory(dir: string, account: Account | undefined): Promise<string> {
  try {
    const made = await mkdir(dir, { recursive: true, mode: account ? 0o755 : 0o700 })
    if (account && made)
      for (let part = dir; part.startsWith(made); part = dirname(part)) await chmod(part, 0o755)
    await access(dir, constants.W_OK)
    return await realpath(dir)
  } catch (cause) {
    throw new NoEmbeddedPostgres(
      `the embedded Postgres can't have its data in ${dir}`,
      'set postgres.embedded_dir to a directory that this user may write to',
      cause,
    )
  }
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Signals a process, or a process group by its negative id, that may have ended by itself meanwhile. */
function send(ending: 'SIGQUIT' | 'SIGKILL', pid: number): void {
  try {
    process.kill(pid, ending)
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error
  }
}

async function ownerOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).uid
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Without what would lead Postgres' programs elsewhere (`PGDATA`, `PGPORT` …) or translate their messages. */
function cleanEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(environment).filter(([name]) => !/^(PG|LC_|LANG)/.test(name))
  return { ...Object.fromEntries(kept), LC_ALL: 'C' }
}

/** The last line that tells a cause, else the last line. */
function lastFault(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '')
  return lines.findLast((line) => /FATAL|PANIC|ERROR|error:/.test(line)) ?? lines.at(-1) ?? 'it said nothing'
}

function isFree(port: number): Promise<boolean> {
  return new Promise((answer) => {
    const server = createServer()
    server.once('error', () => answer(false))
    server.listen({ host, port, exclusive: true }, () => server.close(() => answer(true)))
  })
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

// The Postgres of the tests: one real server for each process of a run, started when the first test asks for it. Every
// test file gets databases of its own, copied from one that has all migrations. Servers are copies, too: of one that
// was prepared for the whole run (suite.ts), if there is one.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { EmbeddedServer } from '../../src/database/embedded-server.ts'
import { coreModule, migrateUp } from '../../src/database/migrate.ts'
import { shippedPlugins } from '../../src/plugins/plugins.ts'

export interface TestDatabase {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  /** The rows of one statement, as `pg` reads them. */
  // biome-ignore lint/suspicious/noExplicitAny: a test knows its columns, or names their types
  query<T extends pg.QueryResultRow = any>(text: string, values?: unknown[]): Promise<T[]>
  /** Closes what `query` uses and drops the database, whoever is still connected. */
  drop(): Promise<void>
}

export interface TestServer {
  readonly host: string
  /** Stays the same over stop and start. */
  readonly port: number
  readonly user: string
  readonly password: string
  /** `data/`, `log` and so on. */
  readonly dir: string
  /** A fresh database with all migrations, on this server. */
  database(): Promise<TestDatabase>
  /** Stops it as an operator would; it can be started again. Its connections end. */
  stop(): Promise<void>
  start(): Promise<void>
  /** Ends the postmaster with SIGKILL, as a crash would, and waits until the port refuses. */
  kill(): Promise<void>
  /** Stops it for good and removes its directory. */
  remove(): Promise<void>
}

/** Speed over safety: what these servers hold is thrown away. */
const careless = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  shared_buffers: '32MB',
  max_connections: '200',
}

/** What a write waits for in production; for those who measure what it costs. */
export const durable = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' }

const host = '127.0.0.1'
const template = 'troop_template'
const run: { shared?: Promise<TestServer>; readonly servers: Set<TestServer> } = { servers: new Set() }

/** A fresh database with all migrations applied, on the server that the whole run shares. */
export async function testDatabase(): Promise<TestDatabase> {
  run.shared ??= testServer()
  return (await run.shared).database()
}

/**
 * A server of the caller's own, for those who stop or kill it, or want other settings. Removed at the end of the run at
 * the latest.
 * @param settings  over those of the tests, which no statement can change: they come by the command line
 */
export async function testServer(settings: Readonly<Record<string, string>> = {}): Promise<TestServer> {
  const place = await serverPlace()
  const dir = join(place.root, 'server')
  const original = process.env[preparedVariable]
  if (original) {
    await copyServer(original, dir)
    // Each has a port of its own, which nobody else tries to get while it is stopped.
    await rm(join(dir, 'port'))
  }
  const server = await openServer(dir, settings)
  await server.initialise()
  const port = await server.start()
  const { database: _, ...address } = await server.address(port)
  const prepared: { template?: Promise<void> } = original ? { template: Promise.resolve() } : {}

  const testServer: TestServer = {
    ...address,
    dir,
    async database() {
      prepared.template ??= makeTemplate(address)
      await prepared.template
      return copyTemplate(address)
    },
    stop: () => server.stop(),
    async start() {
      await server.start(port)
    },
    kill: () => killPostmaster(dir),
    async remove() {
      run.servers.delete(testServer)
      await place.remove()
    },
  }
  run.servers.add(testServer)
  return testServer
}

/**
 * Makes a server with a template in it that all processes of a run copy theirs from, by what is returned in their
 * environment. Removed when this process ends.
 */
export async function prepareServer(): Promise<Record<string, string>> {
  const { root } = await serverPlace()
  const dir = join(root, 'server')
  const server = await openServer(dir, {})
  await server.initialise()
  const { database: _, ...address } = await server.address(await server.start())
  await makeTemplate(address)
  await server.stop()
  return { [preparedVariable]: dir }
}

const preparedVariable = 'PREPARED_SERVER'

function openServer(dir: string, settings: Readonly<Record<string, string>>): Promise<EmbeddedServer> {
  return EmbeddedServer.open({
    ...{ dir, clock: systemClock, random: systemRandom, durable: false },
    settings: { ...careless, ...settings },
  })
}

/** Copies the directory of a server that does not run, owners and modes too: it has an account of its own. */
export async function copyServer(from: string, to: string): Promise<void> {
  const copied = spawn('cp', ['-a', from, to], { stdio: ['ignore', 'inherit', 'inherit'] })
  const [code] = await once(copied, 'exit')
  if (code !== 0) throw new Error(`cp -a ${from} ${to} ended with ${code}`)
}

/** Ends all servers of the run; called once by setup.ts. */
export async function removeServers(): Promise<void> {
  await Promise.all([...run.servers].map((server) => server.remove()))
}

/**
 * Kills the postmaster under `dir` as a crash would. Its children notice and follow; until the last has gone the
 * port may still accept, so this waits for the refusal.
 */
export async function killPostmaster(dir: string): Promise<void> {
  const [pid, , , port] = (await readFile(join(dir, 'data', 'postmaster.pid'), 'utf8')).split('\n')
  process.kill(Number(pid), 'SIGKILL')
  while (await accepts(Number(port))) await systemClock.sleep(20)
}

async function accepts(port: number): Promise<boolean> {
  const client = new pg.Client({ host, port, user: 'nobody', password: '', database: 'postgres' })
  const refused = await client.connect().then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
  )
  await client.end().catch(() => {})
  return !refused
}

interface ServerAddress {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
}

async function makeTemplate(address: ServerAddress): Promise<void> {
  await asAdministrator(address, `create database ${template}`)
  const pool = new pg.Pool({ ...address, database: template, max: 2 })
  pool.on('error', () => {})
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    await migrateUp(db, [coreModule, ...shippedPlugins], systemClock)
  } finally {
    await db.destroy()
    await sessionsEnd(address, template)
  }
}

async function copyTemplate(address: ServerAddress): Promise<TestDatabase> {
  const database = `test_${systemRandom.hex(6)}`
  // Postgres 15 and newer copy by log by default; without fsync a copy of the files is quicker.
  await asAdministrator(address, `create database ${database} template ${template} strategy file_copy`)
  const pool = new pg.Pool({ ...address, database, max: 4, allowExitOnIdle: true })
  // A test may kill the server: the pool replaces the connection, nobody else needs to know.
  pool.on('error', () => {})
  return {
    ...address,
    database,
    query: async (text, values) => (await pool.query(text, values)).rows,
    async drop() {
      await pool.end()
      await sessionsEnd(address, database)
      await asAdministrator(address, `drop database if exists ${database} with (force)`)
    },
  }
}

/** What a test leaves open is cut off after this. */
const sessionsEndMs = 1_000

/**
 * Waits for the sessions on `database` to end. A pool's `end` does not wait for that, and a session that is cut
 * off on its way out raises an error on a client that nobody listens to any more.
 */
async function sessionsEnd(address: ServerAddress, database: string): Promise<void> {
  const deadline = systemClock.monotonic() + sessionsEndMs
  const sessions = `select from pg_stat_activity where datname = '${database}'`
  while ((await asAdministrator(address, sessions)) > 0 && systemClock.monotonic() < deadline) {
    await systemClock.sleep(10)
  }
}

/** Returns how many rows the statement found. */
async function asAdministrator(address: ServerAddress, statement: string): Promise<number> {
  const client = new pg.Client({ ...address, database: 'postgres' })
  await client.connect()
  try {
    return (await client.query(statement)).rowCount ?? 0
  } finally {
    await client.end()
  }
}

export interface ServerPlace {
  /** A new directory, open to whatever account servers run under. */
  readonly root: string
  /** Stops the servers under `root`, without asking their users, and removes it. */
  remove(): Promise<void>
}

/** As much has to be free of the directory in memory: what all processes of a run have there at once is a fraction. */
const memoryBytesLeast = 4 * 2 ** 30

/** A directory in memory, where servers cost a fraction of what they cost on a disk; undefined where there is none that is fit. */
async function memoryDir(): Promise<string | undefined> {
  const dir = '/dev/shm'
  const room = await statfs(dir).catch(() => undefined)
  if (!room || room.bavail * room.bsize < memoryBytesLeast) return undefined
  const mounts = await readFile('/proc/mounts', 'utf8').catch(() => '')
  const options = mounts
    .split('\n')
    .find((line) => line.split(' ')[1] === dir)
    ?.split(' ')[3]
  // Servers may have their programs copied to where they are.
  return options && !options.split(',').includes('noexec') ? dir : undefined
}

/** A directory for servers that is cleaned up even if this process is killed. */
export async function serverPlace(): Promise<ServerPlace> {
  const root = await mkdtemp(join((await memoryDir()) ?? tmpdir(), 'troop-postgres-'))
  await chmod(root, 0o755)
  const reaper = startReaper(root)
  return {
    root,
    async remove() {
      // Awaited alone, an unreferenced child does not keep the process alive: it would end here, with exit code 0.
      reaper.ref()
      reaper.stdin?.end()
      if (reaper.exitCode === null) await once(reaper, 'exit')
    },
  }
}

/**
 * A process that outlives us and cleans up when we are gone, however we went: it waits for the end of its input,
 * stops the servers under `root` and removes the directory.
 */
function startReaper(root: string): ChildProcess {
  const script = `
    trap '' INT TERM HUP
    cat > /dev/null
    find "$0" -name postmaster.pid | while read -r file; do
      while pid=$(head -n 1 "$file" 2> /dev/null) && kill -QUIT "$pid" 2> /dev/null; do sleep 0.05; done
    done
    rm -rf "$0"`
  const reaper = spawn('sh', ['-c', script, root], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  reaper.unref()
  return reaper
}

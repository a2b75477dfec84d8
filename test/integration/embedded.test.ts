import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFile,
  chmod,
  cp,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'chai'
import pg from 'pg'
import { ClaimFile } from '../../src/base/claim-file.ts'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { codeOf } from '../../src/base/errors.ts'
import { type LogFields, type Logger, silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { defaultEmbeddedDir, EmbeddedPostgres } from '../../src/database/embedded.ts'
import { serverAccount } from '../../src/database/embedded-account.ts'
import { makeLinks, shippedBinaries } from '../../src/database/embedded-binaries.ts'
import { EmbeddedServer, type ServerAddress } from '../../src/database/embedded-server.ts'
import { readPostmaster, removeForeignPid } from '../../src/database/postmaster.ts'
import { copyServer, killPostmaster, type ServerPlace, serverPlace } from '../support/postgres.ts'

const speed = { settings: { fsync: 'off', shared_buffers: '16MB' }, durable: false }
const asRoot = process.getuid?.() === 0

describe('the embedded postgres', () => {
  let place: ServerPlace
  let root: string
  let dir: string
  let users: EmbeddedPostgres[]
  let usedBefore: ServerPlace

  before(async () => {
    usedBefore = await serverPlace()
    users = []
    await user(silentLogger, join(usedBefore.root, 'postgres')).start()
    await users[0]?.stop()
  })

  after(() => usedBefore.remove())

  /** With a directory that has been used before: to make one takes longer than most of what is done with it. */
  beforeEach(async () => {
    place = await serverPlace()
    root = place.root
    dir = join(root, 'postgres')
    await copyServer(join(usedBefore.root, 'postgres'), dir)
    users = []
  })

  /** Nobody has used the directory before. */
  async function unused(): Promise<void> {
    await rm(dir, { recursive: true })
  }

  afterEach(async () => {
    await Promise.all(users.map((user) => user.stop()))
    await place.remove()
  })

  function user(logger: Logger = silentLogger, path = dir, clock = systemClock): EmbeddedPostgres {
    const made = new EmbeddedPostgres({ dir: path, clock, random: systemRandom, logger, ...speed })
    users.push(made)
    return made
  }

  function openServer(): Promise<EmbeddedServer> {
    return EmbeddedServer.open({ dir, clock: systemClock, random: systemRandom, ...speed })
  }

  const postmaster = () => readPostmaster(join(dir, 'data'))

  it('is initialised on first use, with UTF8, the locale C and a database of its own', async () => {
    await unused()
    const address = await user().start()
    const [row] = await query(
      address,
      `select current_database() as name, pg_encoding_to_char(encoding) as encoding, datcollate as collate,
        current_setting('server_version_num')::int >= 150000 as recent
      from pg_database where datname = current_database()`,
    )
    expect(row).to.deep.equal({ name: 'troop', encoding: 'UTF8', collate: 'C', recent: true })
  })

  it('lets in nobody without the password, which only its owner can read', async () => {
    const address = await user().start()
    expect((await stat(join(dir, 'password'))).mode & 0o777).to.equal(0o600)
    expect(await failure(query({ ...address, password: 'guess' }, 'select 1'))).to.have.property(
      'code',
      '28P01',
    )
  })

  it('listens on the loopback address only', async () => {
    const address = await user().start()
    const [row] = await query(address, `select current_setting('listen_addresses') as hosts`)
    expect(row).to.deep.equal({ hosts: '127.0.0.1' })
  })

  it('keeps fsync on unless told otherwise', async () => {
    await unused()
    const server = await EmbeddedServer.open({
      dir,
      clock: systemClock,
      random: systemRandom,
      durable: false,
    })
    await server.initialise()
    const [row] = await query(
      { ...(await server.address(await server.start())), database: 'postgres' },
      `select current_setting('fsync') as fsync, current_setting('full_page_writes') as pages`,
    )
    expect(row).to.deep.equal({ fsync: 'on', pages: 'on' })
  })

  it('is shared by all who name the directory, and stopped by the last that leaves', async () => {
    await unused()
    const [first, second] = [user(), user()]
    const [mine, yours] = await Promise.all([first.start(), second.start()])
    expect(yours).to.deep.equal(mine)
    const before = await postmaster()
    await first.stop()
    expect(await postmaster()).to.deep.equal(before)
    expect(await query(yours, 'select 1 as one')).to.deep.equal([{ one: 1 }])
    await second.stop()
    expect(await postmaster()).to.equal(undefined)
  })

  it('is shared by those who come by another path, and does not go down for it', async () => {
    const [first, second] = [user(), user(silentLogger, join(root, 'link'))]
    const mine = await first.start()
    const before = await postmaster()
    await symlink(dir, join(root, 'link'))
    expect(await second.start()).to.deep.equal(mine)
    await second.stop()
    expect(await postmaster()).to.deep.equal(before)
    expect(await query(mine, 'select 1 as one')).to.deep.equal([{ one: 1 }])
  })

  it('keeps the mark of a living server, by whatever path its directory is named', async () => {
    await user().start()
    await symlink(dir, join(root, 'link'))
    const data = join(root, 'link', 'data')
    expect(await readPostmaster(data)).to.deep.equal(await postmaster())
    await removeForeignPid(data)
    expect((await postmaster())?.state).to.equal('ready')
  })

  it('does not take the server of another directory for its own', async () => {
    await user().start()
    const copy = join(root, 'copy')
    await mkdir(copy)
    await cp(join(dir, 'data', 'postmaster.pid'), join(copy, 'postmaster.pid'))
    expect(await readPostmaster(copy)).to.equal(undefined)
    await removeForeignPid(copy)
    expect(await readdir(copy)).to.deep.equal([])
  })

  it('is there for a user who comes while the last one stops it', async () => {
    let leaving = user()
    await leaving.start()
    for (let round = 0; round < 3; round++) {
      const coming = user()
      const [address] = await Promise.all([coming.start(), leaving.stop()])
      expect(await query(address, 'select 1 as one')).to.deep.equal([{ one: 1 }])
      leaving = coming
    }
  })

  it('keeps its data, its password and its port from stop to start', async () => {
    const first = user()
    const before = await first.start()
    await query(before, 'create table kept (); insert into kept default values')
    await first.stop()
    const after = await user().start()
    expect(after).to.deep.equal(before)
    expect(await query(after, 'select count(*)::int as rows from kept')).to.deep.equal([{ rows: 1 }])
  })

  it('takes another port when its own was taken while it was stopped', async () => {
    const first = user()
    const before = await first.start()
    await first.stop()
    const thief = createServer().listen(before.port, '127.0.0.1')
    await once(thief, 'listening')
    const after = await user().start()
    thief.close()
    expect(after.port).to.not.equal(before.port)
    expect(await query(after, 'select 1 as one')).to.deep.equal([{ one: 1 }])
  })

  it('mends a directory whose initialisation was cut short', async () => {
    await unused()
    await mkdir(join(dir, 'initialising-0badcafe', 'data', 'base'), { recursive: true })
    await mkdir(join(dir, 'data', 'base'), { recursive: true })
    await writeFile(join(dir, 'data', 'base', 'something'), 'left')
    const address = await user().start()
    expect(await query(address, 'select 1 as one')).to.deep.equal([{ one: 1 }])
    const left = await readdir(dir)
    expect(left).to.not.include('initialising-0badcafe')
    expect(left.filter((name) => name.startsWith('data-incomplete-'))).to.have.length(1)
  })

  it('refuses data of another major version of postgres, naming both', async () => {
    const server = await openServer()
    await server.initialise()
    await writeFile(join(dir, 'data', 'PG_VERSION'), '9\n')
    expect(String(await failure(user().start()))).to.match(/made by Postgres 9, and this is Postgres 18/)
  })

  it('starts over a pid file whose process is gone', async () => {
    await user()
      .start()
      .then(() => users.pop()?.stop())
    await writeFile(join(dir, 'data', 'postmaster.pid'), pidFile(await deadPid(), dir))
    expect(await query(await user().start(), 'select 1 as one')).to.deep.equal([{ one: 1 }])
  })

  it('starts over a pid file whose process id went to another program', async () => {
    await user()
      .start()
      .then(() => users.pop()?.stop())
    // Of the server's own account: processes of others, Postgres does not take for a server.
    const stranger = spawn('sleep', ['60'], { ...(await serverAccount()), stdio: 'ignore' })
    await once(stranger, 'spawn')
    await writeFile(join(dir, 'data', 'postmaster.pid'), pidFile(stranger.pid as number, dir))
    const address = await user().start()
    stranger.kill()
    expect(await query(address, 'select 1 as one')).to.deep.equal([{ one: 1 }])
  })

  it('is not held up by the lock file of a starter that died', async () => {
    await writeFile(join(dir, 'lock'), `${await deadPid()}\n`)
    expect(await query(await user().start(), 'select 1 as one')).to.deep.equal([{ one: 1 }])
  })

  it('comes back on its port after a crash, and a pool of connections with it', async () => {
    const heard = listeningLogger()
    const address = await user(heard.logger).start()
    const pool = new pg.Pool({ ...address, max: 1 })
    pool.on('error', () => {})
    await pool.query('create table kept as select 1 as one')
    const before = await postmaster()
    await killPostmaster(dir)
    await heard.sentence('embedded postgres is back')
    expect((await pool.query('select one from kept')).rows).to.deep.equal([{ one: 1 }])
    await pool.end()
    expect((await postmaster())?.pid).to.not.equal(before?.pid)
  })

  it('is held again after a crash: the first of two who leaves does not stop it', async () => {
    const [first, second] = [listeningLogger(), listeningLogger()]
    const [one, other] = [user(first.logger), user(second.logger)]
    await Promise.all([one.start(), other.start()])
    await killPostmaster(dir)
    await Promise.all([first, second].map((heard) => heard.sentence('embedded postgres is back')))
    await one.stop()
    expect(await postmaster()).to.have.property('state', 'ready')
    await other.stop()
    expect(await postmaster()).to.equal(undefined)
  })

  it('can be left while it comes back from a crash', async () => {
    const heard = listeningLogger()
    const leaving = user(heard.logger)
    await leaving.start()
    await killPostmaster(dir)
    await heard.sentence('embedded postgres is gone, starting it again')
    await leaving.stop()
    expect(await postmaster()).to.equal(undefined)
  })

  describe('when told to stop while it is waited for', () => {
    /** Leaves the directory so that the next server recovers for longer than any test. */
    async function recoverForever(): Promise<void> {
      await writeFile(join(dir, 'data', 'recovery.signal'), '')
      await appendFile(join(dir, 'data', 'postgresql.auto.conf'), `restore_command = 'sleep 300; false'\n`)
    }

    async function until(condition: () => Promise<boolean>): Promise<void> {
      while (!(await condition())) await systemClock.sleep(10)
    }

    const isStarting = async () => (await postmaster())?.state === 'starting'

    it('leaves nothing of an initialisation', async () => {
      await unused()
      const stopping = new AbortController()
      const starting = failure(user().start(stopping.signal))
      const left = () => readdir(dir).catch(() => [])
      await until(async () => (await left()).some((name) => name.startsWith('initialising-')))
      stopping.abort()
      expect(await starting).to.have.property('code', 'wait-interrupted')
      expect(await left()).to.deep.equal(['password'])
      await user().start()
    })

    it('leaves no server that was still recovering, and no lock', async () => {
      await (await openServer()).initialise()
      await recoverForever()
      const stopping = new AbortController()
      const starting = failure(user().start(stopping.signal))
      await until(isStarting)
      stopping.abort()
      expect(await starting).to.have.property('code', 'wait-interrupted')
      expect(await postmaster()).to.equal(undefined)
      expect(await readdir(dir)).to.not.include('lock')
    })

    it('does not wait for another who is starting it, and does not disturb him', async () => {
      await unused()
      await mkdir(dir)
      const lock = await ClaimFile.claim(join(dir, 'lock'), systemRandom)
      const stopping = new AbortController()
      const waits = Promise.withResolvers<void>()
      const sleep: Clock['sleep'] = (delayMs, signal) => {
        waits.resolve()
        return systemClock.sleep(delayMs, signal)
      }
      const starting = failure(user(silentLogger, dir, { ...systemClock, sleep }).start(stopping.signal))
      await waits.promise
      stopping.abort()
      expect(await starting).to.have.property('code', 'wait-interrupted')
      expect(await readdir(dir)).to.deep.equal(['lock'])
      await lock?.release()
    })

    it('leaves one that got ready meanwhile, which nobody else uses', async () => {
      const stopping = new AbortController()
      const mine = user()
      const starting = mine.start(stopping.signal).catch(codeOf)
      await until(async () => (await postmaster())?.state === 'ready')
      stopping.abort()
      // Too late, if the lease was there already.
      if ((await starting) !== 'wait-interrupted') await mine.stop()
      expect(await postmaster()).to.equal(undefined)
    })

    it('by its stop, gives up a start that is under way', async () => {
      const mine = user()
      const starting = failure(mine.start())
      await mine.stop()
      expect(await starting).to.have.property('code', 'wait-interrupted')
      expect(await postmaster()).to.equal(undefined)
    })

    it('gives up bringing it back after a crash', async () => {
      const mine = user()
      await mine.start()
      await recoverForever()
      await killPostmaster(dir)
      await until(isStarting)
      await mine.stop()
      expect(await postmaster()).to.equal(undefined)
    })
  })

  it('does not count a user whose process was killed', async () => {
    const child = await startUserProcess(dir)
    const mine = user()
    const address = await mine.start()
    await leasesOf(address, 2)
    child.kill('SIGKILL')
    // The server learns of the death from the connection's end, which may reach it after us.
    await leasesOf(address, 1)
    await mine.stop()
    expect(await postmaster()).to.equal(undefined)
  })

  it('outlives the process that started it', async () => {
    const child = await startUserProcess(dir)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await postmaster()).to.have.property('state', 'ready')
    await user().start()
  })

  it('says what the server said when it does not start', async () => {
    const server = await openServer()
    await server.initialise()
    await writeFile(join(dir, 'data', 'postgresql.conf'), 'no_such_setting = 1\n')
    const error = await failure(server.start())
    expect(codeOf(error)).to.equal('embedded-postgres-failed')
    expect(String(error)).to.match(/did not start: .*FATAL|no_such_setting/)
  })

  describe('as root', () => {
    before(function () {
      if (!asRoot) this.skip()
    })

    it('keeps to the directory that has the data, although the home may be entered by now', async () => {
      const [home, shared] = [join(root, 'home'), join(root, 'shared')]
      await mkdir(home, { mode: 0o700 })
      expect(await defaultEmbeddedDir(home, shared)).to.equal(shared)
      await chmod(home, 0o755)
      expect(await defaultEmbeddedDir(home, shared)).to.equal(join(home, '.troop', 'postgres'))
      await mkdir(join(shared, 'data'), { recursive: true })
      expect(await defaultEmbeddedDir(home, shared)).to.equal(shared)
    })

    it('runs under an account without privileges', async () => {
      await user().start()
      const { pid } = (await postmaster()) ?? expect.fail('no server')
      const status = await readFile(`/proc/${pid}/status`, 'utf8')
      const ids = /^Uid:\s+(\d+)\s+(\d+)/m.exec(status)
      expect(Number(ids?.[1])).to.not.equal(0)
      expect(Number(ids?.[2])).to.not.equal(0)
    })

    it('refuses a directory that the account can not reach, naming what blocks and the remedy', async () => {
      await unused()
      await chmod(root, 0o700)
      const error = await failure(user().start())
      await chmod(root, 0o755)
      expect(error).to.have.property('code', 'no-embedded-postgres')
      expect(String(error)).to.include(dir).and.include(`may not enter ${root}`)
      expect(error).to.have.property('hint').that.includes(`chmod o+x ${root}`)
    })

    it('makes its directory reachable under any umask', async () => {
      const umask = process.umask(0o077)
      try {
        dir = join(root, 'deep', 'postgres')
        expect(await query(await user().start(), 'select 1 as one')).to.deep.equal([{ one: 1 }])
      } finally {
        process.umask(umask)
      }
    })
  })

  it('makes the links between its libraries that an install script would have made', async () => {
    const shipped = await shippedBinaries(process.platform, process.arch)
    const native = join(root, 'native')
    await cp(join(shipped.native, 'pg-symlinks.json'), join(native, 'pg-symlinks.json'))
    await cp(join(shipped.native, 'lib'), join(native, 'lib'), { recursive: true, verbatimSymlinks: true })
    const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8'))
    const paths: string[] = links.map(({ target }: { target: string }) => join(root, target))
    expect(paths).to.not.be.empty
    await Promise.all(paths.map((path) => unlink(path)))
    expect(await makeLinks(native)).to.equal(true)
    for (const path of paths) expect((await stat(path)).isFile(), path).to.equal(true)
  })

  it('names the package that a platform lacks, and the remedy', async () => {
    const error = await failure(shippedBinaries('plan9', 'mips'))
    expect(error).to.have.property('code', 'no-embedded-postgres')
    expect(String(error)).to.include('@embedded-postgres/plan9-mips')
    expect(error).to.have.property('hint').that.includes('postgres.host')
  })
})

async function query(address: ServerAddress, text: string): Promise<unknown[]> {
  const client = new pg.Client(address)
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  return expect.fail('it did not fail')
}

/** The process id of a process that has ended. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' })
  await once(child, 'exit')
  return child.pid as number
}

function pidFile(pid: number, dir: string): string {
  return [pid, join(dir, 'data'), 1_700_000_000, 5432, '', '127.0.0.1', '  123456  0', 'ready   ', ''].join(
    '\n',
  )
}

/** Resolves once `count` leases are held. */
async function leasesOf(address: ServerAddress, count: number): Promise<void> {
  const leases = `select count(*)::int as leases from pg_stat_activity where application_name = 'troop lease'`
  for (;;) {
    const [row] = (await query(address, leases)) as { leases: number }[]
    if (row?.leases === count) return
    await systemClock.sleep(20)
  }
}

/** A logger that can be waited on. */
function listeningLogger(): { logger: Logger; sentence(text: string): Promise<LogFields | undefined> } {
  const heard: { text: string; fields: LogFields | undefined }[] = []
  const waiting = new Set<() => void>()
  const hear = (text: string, fields?: LogFields) => {
    heard.push({ text, fields })
    for (const wake of waiting) wake()
  }
  const logger: Logger = { scope: () => logger, debug: hear, info: hear, warn: hear, error: hear }
  return {
    logger,
    sentence(text) {
      return new Promise((resolve) => {
        const look = () => {
          const found = heard.find((line) => line.text === text)
          if (!found) return
          waiting.delete(look)
          resolve(found.fields)
        }
        waiting.add(look)
        look()
      })
    },
  }
}

/** Another process that holds the server in `dir`; resolves once it does. */
async function startUserProcess(dir: string) {
  const program = `
    import { systemClock } from './src/base/clock.ts'
    import { silentLogger as logger } from './src/base/logger.ts'
    import { systemRandom } from './src/base/random.ts'
    import { defaultEmbeddedDir, EmbeddedPostgres } from './src/database/embedded.ts'
    const options = { dir: process.argv[1], clock: systemClock, random: systemRandom, logger, ...${JSON.stringify(speed)} }
    await new EmbeddedPostgres(options).start()
    console.log('holds it')
    process.stdin.resume()`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', program, dir], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  for await (const line of createInterface(child.stdout)) if (line === 'holds it') return child
  return expect.fail('the other process did not get hold of the server')
}

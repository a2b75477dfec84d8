// Disks that are full: the one of the working directory and the one of the datastore, both small file systems in memory.
import { execFileSync } from 'node:child_process'
import { chown, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { serverAccount } from '../../src/database/embedded-account.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { until } from '../support/log.ts'
import { NodeProcess } from '../support/node-process.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

describe('a full disk', function () {
  this.timeout(60_000)
  let database: TestDatabase
  let upstream: Upstream
  let node: NodeProcess | undefined
  /** What was mounted, last first. */
  const mounted: string[] = []

  before(async function () {
    const dir = await mountSmall(512)
    if (dir === undefined) {
      console.warn('      this user may not mount a file system')
      this.skip()
    }
    database = await testDatabase()
    upstream = await new Upstream().start()
  })
  afterEach(async () => {
    await node?.remove()
    node = undefined
  })
  after(async () => {
    await upstream?.stop()
    await database?.drop()
    for (const dir of mounted) {
      execFileSync('umount', [dir])
      await rm(dir, { recursive: true })
    }
  })

  /** A file system of so many KB; undefined where this user may not mount one. */
  async function mountSmall(kb: number): Promise<string | undefined> {
    const dir = await mkdtemp(join(tmpdir(), 'troop-disk-'))
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kb}k`, 'tmpfs', dir], { stdio: 'ignore' })
      mounted.unshift(dir)
      return dir
    } catch {
      await rm(dir, { recursive: true })
      return undefined
    }
  }

  /** Writes until there is no room. */
  const fill = (dir: string) =>
    writeFile(join(dir, 'filler'), Buffer.alloc(2 ** 23)).catch(({ code }) => expect(code).to.equal('ENOSPC'))
  const makeRoom = (dir: string) => rm(join(dir, 'filler'))

  it('under the working directory: no start, with path and remedy; a node that runs goes on, reloads and stops', async () => {
    const [dir = ''] = mounted
    node = await NodeProcess.prepare(database, { working_dir: dir })
    await fill(dir)
    const refused = await node.launch().catch(({ message }) => message)
    expect(refused).to.match(new RegExp(`ended with 1:[\\s\\S]*working directory ${dir} has no room left`))
    expect(refused).to.match(/make room on its disk/)
    expect(await readdir(dir)).to.have.members(['filler', 'logs'])
    await makeRoom(dir)
    await node.launch()
    await fill(dir)
    await node.ask('POST', '/apis', { name: 'a', request_path: '/', upstream_url: upstream.url })
    expect((await node.call('/')).status).to.equal(200)
    node.signal('SIGHUP')
    await node.logged(/"msg":"reloaded"/)
    expect((await node.call('/')).status).to.equal(200)
    node.signal('SIGTERM')
    expect(await node.ended()).to.equal(0)
    expect(await readdir(dir)).to.not.include('troop.pid')
    await makeRoom(dir)
  })

  it('under the datastore: writes are 503 by name, all else goes on; writes do again once there is room', async () => {
    const dir = (await mountSmall(4096)) as string
    const account = await serverAccount()
    if (account) await chown(dir, account.uid, account.gid)
    const tablespace = `small_${database.database}`
    await database.query(`create tablespace ${tablespace} location '${dir}'`)
    for (const table of ['apis', 'events'])
      await database.query(`alter table ${table} set tablespace ${tablespace}`)
    node = await NodeProcess.start(database)
    const running = node
    const write = (i: number) =>
      running.ask('POST', '/apis', {
        name: `b${i}`,
        request_path: `/b${i}`,
        upstream_url: `${upstream.url}/${'x'.repeat(2000)}`,
      })
    expect((await write(0)).status).to.equal(201)
    await database.query('create table filler (text text) tablespace '.concat(tablespace))
    const filled = database.query(
      `insert into filler select repeat(md5(i::text), 50) from generate_series(1, 10000) i`,
    )
    expect(await filled.catch(({ code }) => code)).to.equal('53100')
    let i = 1
    await until(async () => (await write(i++)).status === 503)
    const refused = await write(i)
    expect([refused.status, refused.body.message]).to.deep.equal([
      503,
      'The datastore has no room left on its disk; nothing was changed',
    ])
    expect((await node.ask('GET', '/apis/b0')).status).to.equal(200)
    expect((await node.call('/b0')).status).to.equal(200)
    expect((await node.ask('GET', '/ready')).status).to.equal(200)
    await database.query('drop table filler')
    expect((await write(i)).status).to.equal(201)
    expect((await node.call(`/b${i}`)).status).to.equal(200)
    await node.remove()
    for (const table of ['apis', 'events'])
      await database.query(`alter table ${table} set tablespace pg_default`)
    await database.query(`drop tablespace ${tablespace}`)
  })
})

import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import type { LogFields } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { fileLog } from '../../src/plugins/file-log/file-log.ts'
import type { Phases } from '../../src/plugins/plugin.ts'
import { noWriter } from '../../src/testing/data-plane.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { testCounters } from '../support/counters.ts'
import { collect, TestGateway } from '../support/gateway.ts'
import { ask } from '../support/raw-http.ts'

describe('file-log', () => {
  let directory: string
  let path: string

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'troop-file-log-'))
    path = join(directory, 'requests.log')
  })

  afterEach(() => rm(directory, { recursive: true, force: true }))

  const linesOf = async (file: string) =>
    (await readFile(file, 'utf8'))
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))

  it('writes a record for every request, refused ones too, with client_ip and request headers [contract 455]', async () => {
    const upstream = await new Upstream().start()
    const gateway = await new TestGateway().start()
    const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    gateway.addPlugin(api, 'file-log', { path })
    gateway.addPlugin(api, 'recorder')
    await ask(gateway.port, '/?a=1', { headers: ['Host', 'test', 'X-Mine', 'mine'] })
    gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
    await ask(gateway.port, '/')
    await gateway.record(2)
    await gateway.stop()
    await upstream.stop()

    const records = await linesOf(path)
    expect(records.map(({ response }) => response.status)).deep.equal([200, 401])
    expect(records[0]).deep.include({ client_ip: '127.0.0.1' })
    expect(records[0].request.headers).include({ 'x-mine': 'mine' })
    expect((await stat(path)).mode & 0o777).equal(0o644 & ~process.umask())
  })

  describe('on its own', () => {
    /** Monotonic time is set by the test, so that a second passes when it says so. */
    let now = 0
    let lines: { sentence: string; fields: LogFields }[]
    let phases: Phases

    beforeEach(() => {
      lines = []
      now = 0
      const clock = { ...systemClock, monotonic: () => now }
      phases = fileLog.open({
        ...{ logger: collect(lines), clock, random: systemRandom },
        ...{ counters: testCounters(), writer: noWriter },
      })
    })

    const log = (n: number, file = path) => phases.log?.({ n }, { path: file })
    const numbers = async (file = path) => (await linesOf(file)).map(({ n }) => n)

    /** Resolves when `file` has `count` lines. */
    async function written(count: number, file = path): Promise<void> {
      while ((await linesOf(file).catch(() => [])).length < count)
        await new Promise((resolve) => setTimeout(resolve, 5))
    }

    it('stop writes what is still queued, in order', async () => {
      for (let n = 0; n < 1000; n++) log(n)
      await phases.stop?.()
      expect(await numbers()).deep.equal(Array.from({ length: 1000 }, (_, n) => n))
    })

    it('lines that come one after the other are gathered, and the first is not kept waiting', async () => {
      let sizes = 0
      let before = 0
      log(0)
      await written(1)
      for (let n = 1; n < 200; n++) {
        log(n)
        await new Promise((resolve) => setImmediate(resolve))
        const { size } = await stat(path)
        if (size !== before) sizes++
        before = size
      }
      await phases.stop?.()
      expect((await numbers()).length).equal(200)
      // Each alone would be seen each time, but for a few.
      expect(sizes).below(100)
    })

    it('appends to a file that is there, and several files do not mix', async () => {
      await writeFile(path, '{"n":"before"}\n')
      log(1)
      log(2, `${path}-2`)
      await phases.stop?.()
      expect(await numbers()).deep.equal(['before', 1])
      expect(await numbers(`${path}-2`)).deep.equal([2])
    })

    it('a file that was moved away is begun anew, and nothing is lost', async () => {
      log(1)
      await written(1)
      await rename(path, `${path}.old`)
      log(2)
      await written(2, `${path}.old`)
      now += 1000
      log(3)
      await phases.stop?.()
      expect(await numbers(`${path}.old`)).deep.equal([1, 2])
      expect(await numbers()).deep.equal([3])
    })

    it('a file that can’t be opened costs records, is said, and is tried again', async () => {
      const later = join(directory, 'later', 'requests.log')
      log(1, later)
      while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      expect(lines[0]?.fields).include({ path: later, dropped: 1 })
      // Left alone for a while: these are dropped without asking the disk.
      for (let n = 2; n < 10; n++) log(n, later)
      await mkdir(join(directory, 'later'))
      now += 10_000
      log(10, later)
      await phases.stop?.()
      expect(await numbers(later)).deep.equal([10])
      // All of them are told in the end.
      expect(lines.map(({ fields }) => fields.dropped)).deep.equal([1, 8])
    })

    it('a full disk costs records, is said, and takes them again once there is room', async function () {
      if (!existsSync('/dev/full')) this.skip()
      await symlink('/dev/full', path)
      log(1)
      while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      expect(lines[0]?.fields).include({ path, dropped: 1 })
      expect(lines[0]?.fields.error).include({ code: 'ENOSPC' })
      await rm(path)
      now += 10_000
      log(2)
      await phases.stop?.()
      expect(await numbers()).deep.equal([2])
    })

    it('what exceeds the queue is dropped and counted, not kept', async () => {
      const big = 'x'.repeat(1024 * 1024)
      for (let n = 0; n < 40; n++) phases.log?.({ n, big }, { path })
      await phases.stop?.()
      expect(await numbers()).deep.equal(Array.from({ length: 15 }, (_, n) => n))
      expect(lines[0]?.sentence).match(/dropped/)
    })

    it('a directory in the place of the file harms nothing', async () => {
      log(1, directory)
      await phases.stop?.()
      expect(lines[0]?.fields.dropped).equal(1)
      await chmod(directory, 0o755)
    })
  })
})

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { systemRandom } from '../../../src/base/random.ts'
import { keepName, PidFile, prepareWorkingDir, runningPid } from '../../../src/node/working-dir.ts'

describe('a working directory', () => {
  let dir: string
  let pidFile: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'troop-dir-'))
    pidFile = join(dir, 'troop.pid')
  })
  afterEach(() => rm(dir, { recursive: true }))

  it('is made with its directory for logs, and told apart from one that was there', async () => {
    const path = join(dir, 'a', 'b')
    expect(await prepareWorkingDir(path, systemRandom)).to.equal(true)
    expect((await stat(join(path, 'logs'))).isDirectory()).to.equal(true)
    expect(await prepareWorkingDir(path, systemRandom)).to.equal(false)
  })

  it('is refused when it is a file', async () => {
    await writeFile(join(dir, 'file'), '')
    const error = await prepareWorkingDir(join(dir, 'file'), systemRandom).catch((thrown) => thrown)
    expect(error.message).to.equal(`working directory ${dir}/file is not a directory`)
    const below = await prepareWorkingDir(join(dir, 'file', 'x'), systemRandom).catch((thrown) => thrown)
    expect(below.code).to.equal('working-dir-unusable')
  })

  it('keeps the name of its node', async () => {
    const file = join(dir, 'node-name')
    expect(await keepName(file, 'first', systemRandom)).to.equal('first')
    expect(await keepName(file, 'second', systemRandom)).to.equal('first')
  })

  describe('pid file', () => {
    it('lets one node in, and the next when it has left', async () => {
      const first = await PidFile.claim(pidFile, systemRandom)
      expect(await readFile(pidFile, 'utf8')).to.equal(`${process.pid}\n`)
      expect(await runningPid(pidFile)).to.equal(process.pid)
      const error = await PidFile.claim(pidFile, systemRandom).catch((thrown) => thrown)
      expect(error.code).to.equal('node-running')
      await first.release()
      expect(await readdir(dir)).to.deep.equal([])
      await (await PidFile.claim(pidFile, systemRandom)).release()
    })

    it('of a process that is gone counts for nothing', async () => {
      const child = spawn(process.execPath, ['-e', ''])
      await once(child, 'exit')
      await writeFile(pidFile, `${child.pid}\n`)
      expect(await runningPid(pidFile)).to.equal(undefined)
      const claimed = await PidFile.claim(pidFile, systemRandom)
      expect(await runningPid(pidFile)).to.equal(process.pid)
      await claimed.release()
    })

    it('of a process that is another one counts for nothing', async function () {
      if (process.platform !== 'linux') this.skip()
      const child: ChildProcess = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
      try {
        await writeFile(pidFile, `${child.pid}\n`)
        expect(await runningPid(pidFile)).to.equal(undefined)
        // Its own pid, as in a container where it is the same each time.
        await writeFile(pidFile, `${process.pid}\n`)
        await (await PidFile.claim(pidFile, systemRandom)).release()
      } finally {
        child.kill('SIGKILL')
      }
    })

    it('that another process put in its place is left alone on release', async () => {
      const mine = await PidFile.claim(pidFile, systemRandom)
      await rm(pidFile)
      await writeFile(pidFile, '1\n')
      await mine.release()
      expect(await readFile(pidFile, 'utf8')).to.equal('1\n')
    })

    it('that holds no number counts for nothing', async () => {
      for (const text of ['', 'abc', '0', '-1']) {
        await writeFile(pidFile, text)
        expect(await runningPid(pidFile), text).to.equal(undefined)
      }
    })
  })
})

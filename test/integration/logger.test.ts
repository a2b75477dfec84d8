// The node's own log on a disk that is full: /dev/full takes nothing.
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { type LogFile, openLog } from '../../src/base/logger.ts'

describe('the log of a node', () => {
  let directory: string
  let path: string

  beforeEach(async function () {
    if (!existsSync('/dev/full')) this.skip()
    directory = await mkdtemp(join(tmpdir(), 'troop-log-'))
    path = join(directory, 'troop.log')
    await symlink('/dev/full', path)
  })

  afterEach(() => rm(directory, { recursive: true, force: true }))

  /** The disk has room again, and the file is begun anew. */
  async function makeRoom(log: LogFile): Promise<void> {
    await rm(path)
    log.reopen()
  }

  const lines = async () =>
    (await readFile(path, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))

  it('keeps what a full disk does not take, and writes it when there is room', async () => {
    const log = openLog(path)
    for (const n of [1, 2, 3]) log.logger.info('told', { n })
    log.flush()
    await makeRoom(log)
    log.logger.info('told', { n: 4 })
    log.flush()
    expect((await lines()).map(({ n }) => n)).to.deep.equal([1, 2, 3, 4])
  })

  it('says how many lines there was no room for', async () => {
    const log = openLog(path)
    const text = 'x'.repeat(1024 * 1024)
    for (const n of [1, 2, 3, 4, 5, 6]) log.logger.info('told', { n, text })
    await makeRoom(log)
    log.logger.info('told', { n: 7 })
    const told = await lines()
    expect(told.map(({ n }) => n)).to.deep.equal([1, 2, 3, 7, undefined])
    expect(told.at(-1)).to.include({ dropped: 3, msg: 'log lines were dropped: they could not be written' })
  })

  it('goes on with the old file when no new one can be begun', async () => {
    const log = openLog(path)
    await makeRoom(log)
    log.logger.info('told', { n: 1 })
    await rm(directory, { recursive: true })
    log.reopen()
    log.logger.info('told', { n: 2 })
    log.flush()
    expect(existsSync(path)).to.equal(false)
  })
})

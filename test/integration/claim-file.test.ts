import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { ClaimFile, claimantOf, takeoverPath } from '../../src/base/claim-file.ts'
import { systemRandom } from '../../src/base/random.ts'

const processes = 6
const rounds = 25

/** Claims the path that it is sent, says whether it won, and gives it up when told `release`. */
const claimant = `
  import { ClaimFile } from './src/base/claim-file.ts'
  import { systemRandom } from './src/base/random.ts'
  let claim
  process.on('message', async (message) => {
    if (message === 'release') await claim?.release()
    else claim = await ClaimFile.claim(message, systemRandom)
    process.send(claim !== undefined)
  })
  process.send('ready')`

describe('a claim file', () => {
  let dir: string
  let path: string
  let dead: number
  const children: ChildProcess[] = []

  before(async () => {
    const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' })
    await once(child, 'exit')
    dead = child.pid as number
    for (let i = 0; i < processes; i++) {
      children.push(
        spawn(process.execPath, ['--input-type=module-typescript', '--eval', claimant], {
          stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        }),
      )
    }
    await Promise.all(children.map((child) => once(child, 'message')))
  })

  after(() => {
    for (const child of children) child.kill('SIGKILL')
  })

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'troop-claim-'))
    path = join(dir, 'claim')
  })
  afterEach(() => rm(dir, { recursive: true }))

  async function tell(message: string): Promise<boolean[]> {
    const answers = children.map((child) => once(child, 'message'))
    for (const child of children) child.send(message)
    return (await Promise.all(answers)).map(([answer]) => answer)
  }

  /** How many of the processes won, round by round. */
  async function race(prepare: () => Promise<unknown>): Promise<number[]> {
    const winners: number[] = []
    for (let round = 0; round < rounds; round++) {
      await prepare()
      winners.push((await tell(path)).filter(Boolean).length)
      await tell('release')
    }
    return winners
  }

  const leave = (file: string) => writeFile(file, `${dead}\n`)
  const oneEach = Array(rounds).fill(1)

  it('is won by exactly one of many processes', async () => {
    expect(await race(async () => {})).to.deep.equal(oneEach)
    expect(await readdir(dir)).to.deep.equal([])
  })

  it('that a dead process left is won by exactly one of many', async () => {
    expect(await race(() => leave(path))).to.deep.equal(oneEach)
    expect(await readdir(dir)).to.deep.equal([])
  })

  it('that a dead process left is won by one even if the one that took it over before died at it', async () => {
    const both = () => Promise.all([leave(path), leave(takeoverPath(path))])
    expect(await race(both)).to.deep.equal(oneEach)
    expect(await readdir(dir)).to.deep.equal([])
  })

  it('is won by one of several in the same process, whose own pid a dead one had', async () => {
    await writeFile(path, `${process.pid}\n`)
    const claims = await Promise.all([1, 2, 3, 4].map(() => ClaimFile.claim(path, systemRandom)))
    const won = claims.filter((claim) => claim !== undefined)
    expect(won).to.have.length(1)
    await won[0]?.release()
  })

  it('is not taken for claimed by a process that only reads it', async () => {
    await leave(path)
    expect(await claimantOf(path)).to.equal(undefined)
    const claim = await ClaimFile.claim(path, systemRandom)
    expect(await claimantOf(path)).to.equal(process.pid)
    await claim?.release()
    expect(await claimantOf(path)).to.equal(undefined)
  })
})

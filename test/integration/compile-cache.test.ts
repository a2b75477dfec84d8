// What the program compiles is kept for the next call.
import { execFile } from 'node:child_process'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { root } from '../support/sources.ts'

describe('the compile cache', () => {
  it('lies with the program, unless nothing is to be kept', async () => {
    const place = join(root, 'node_modules', '.cache', 'compiled')
    await rm(place, { recursive: true, force: true })
    const { NODE_COMPILE_CACHE: _, ...env } = process.env
    await version({ ...env, NODE_DISABLE_COMPILE_CACHE: '1' })
    expect(await readdir(place).catch(() => [])).deep.equal([])
    await version(env)
    expect(await readdir(place)).to.have.length(1)
  })
})

async function version(env: NodeJS.ProcessEnv): Promise<void> {
  await promisify(execFile)(process.execPath, [join(root, 'src', 'bin.ts'), 'version'], { env })
}

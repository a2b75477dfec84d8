import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect } from 'chai'
import { fingerprintOf } from '../../../src/plugins/fingerprint.ts'

describe('the fingerprint of a plugin', () => {
  let folder: string
  const write = async (path: string, text: string) => {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  const fingerprint = () => fingerprintOf(join(folder, 'mine.ts'))

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'troop-fingerprint-'))
    await write('mine.ts', 'a')
    await write('parts/part.ts', 'b')
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  it('is another one when a source beside or below it is changed, added or removed', async () => {
    const seen = [await fingerprint()]
    await write('parts/part.ts', 'c')
    seen.push(await fingerprint())
    await write('other.json', '{}')
    seen.push(await fingerprint())
    await rm(join(folder, 'parts'), { recursive: true })
    seen.push(await fingerprint())
    expect(new Set(seen).size).to.equal(4)
  })

  it('is the same for the same sources, whatever was in between', async () => {
    const first = await fingerprint()
    await write('mine.ts', 'z')
    await write('mine.ts', 'a')
    expect(await fingerprint()).to.equal(first)
  })

  it('does not depend on what is no source, or not its own', async () => {
    const first = await fingerprint()
    await write('notes.txt', 'n')
    await write('node_modules/dependency/index.js', 'x')
    await write('.git/hooks.js', 'x')
    expect(await fingerprint()).to.equal(first)
  })

  it('looks at the plugin itself in a folder with more than it would look through', async () => {
    for (const name of ['a.txt', 'b.txt', 'c.txt']) await write(name, '')
    const first = await fingerprintOf(join(folder, 'mine.ts'), 2)
    await write('mine.ts', 'b')
    expect(await fingerprintOf(join(folder, 'mine.ts'), 2)).not.to.equal(first)
  })
})

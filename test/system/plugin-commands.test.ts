// `troop plugin create` and `troop plugin test`, where they refuse and where tests fail; dev.test.ts has the good way.
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { root } from '../support/sources.ts'

describe('troop plugin', function () {
  this.timeout(60_000)
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'troop-plugin-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  /** As somebody types it who is in `folder`. */
  function troop(...words: string[]): Promise<{ code: number; stdout: string }> {
    const env = { ...process.env, NO_COLOR: '1', INIT_CWD: undefined, NODE_TEST_CONTEXT: undefined }
    return new Promise((resolve) => {
      const args = [join(root, 'src', 'bin.ts'), 'plugin', ...words]
      execFile(process.execPath, args, { cwd: folder, env }, (error, stdout) => {
        resolve({ code: Number(error?.code ?? 0), stdout })
      })
    })
  }

  it('create makes a plugin of JavaScript where the person is, which passes its tests there', async () => {
    const made = await troop('create', 'my-plugin', '--language', 'js')
    expect(made.code, made.stdout).to.equal(0)
    expect((await readdir(join(folder, 'my-plugin'))).sort()).to.deep.equal([
      'README.md',
      'my-plugin.js',
      'my-plugin.test.js',
      'package.json',
    ])
    expect(made.stdout).to.include(`npm --prefix ${root} run -s troop -- plugin test ${folder}/my-plugin\n`)
    const ran = await troop('test', 'my-plugin')
    expect(ran.stdout).to.match(/pass 3\n/)
    expect(ran.code).to.equal(0)
  })

  it('create leaves what is there as it is', async () => {
    await writeFile(join(folder, 'mine'), 'precious')
    const { code, stdout } = await troop('create', 'mine')
    expect(code).to.equal(1)
    expect(stdout).to.match(/mine is there already.*\n.*another name, or another --directory\n$/)
    expect(await readFile(join(folder, 'mine'), 'utf8')).to.equal('precious')
  })

  for (const [name, said] of [
    ['Office Hours', /more than lower-case letters, digits and -\n +office-hours can\n$/],
    ['key-auth', /Troop has one of that name\n +choose another one/],
    ['../up', /more than lower-case letters, digits and -\n +up can\n$/],
  ] as const) {
    it(`create refuses the name ${name}, and says what could be`, async () => {
      const { code, stdout } = await troop('create', name)
      expect({ code, made: await readdir(folder) }).to.deep.equal({ code: 1, made: [] })
      expect(stdout).to.match(said)
    })
  }

  it('test fails when a test does, and when there is nothing at the path', async () => {
    const text =
      "import { test } from 'node:test'\nimport 'troop'\ntest('no', () => { throw new Error('it is so') })\n"
    await writeFile(join(folder, 'wrong.test.mjs'), text)
    const ran = await troop('test')
    expect(ran.code).to.equal(1)
    expect(ran.stdout)
      .to.match(/fail 1\n/)
      .match(/it is so/)
    expect((await troop('test', 'elsewhere')).code).to.equal(1)
  })
})

// A plugin that lies anywhere on the disk, on a real node: it finds Troop, and a reload takes its code anew or not at all.
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { Upstream } from '../../src/testing/upstream.ts'
import { NodeProcess } from '../support/node-process.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { root } from '../support/sources.ts'

describe('a custom plugin in a folder of its own', function () {
  this.timeout(60_000)
  let folder: string
  let database: TestDatabase
  let upstream: Upstream
  let node: NodeProcess

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'troop-custom-'))
    database = await testDatabase()
    upstream = await new Upstream().start()
    await write('greeting.ts', greeting())
    await write('words/word.ts', word('hello'))
    await write('words/spare.cjs', "module.exports = 'spare'")
    node = await NodeProcess.start(database, { workers: 2, custom_plugins: [join(folder, 'greeting.ts')] })
    await node.ask('POST', '/apis', { name: 'a', request_path: '/a', upstream_url: upstream.url })
    await node.ask('POST', '/apis/a/plugins', { name: 'greeting', config: { mark: '!' } })
  })
  after(async () => {
    await node?.remove()
    await upstream?.stop()
    await database?.drop()
    await rm(folder, { recursive: true, force: true })
  })

  async function write(path: string, text: string): Promise<void> {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }

  /** What is told upstream, by either worker: each call has a connection of its own. */
  async function told(): Promise<string[]> {
    const calls = Array.from({ length: 12 }, () => node.call('/a', { headers: { connection: 'close' } }))
    return [...new Set((await Promise.all(calls)).map(({ body }) => body?.headers['x-greeting']))]
  }

  async function reload(): Promise<{ code: number; stdout: string }> {
    const args = [join(root, 'src', 'bin.ts'), 'reload', '-c', node.configPath]
    const ran = promisify(execFile)(process.execPath, args, { env: { ...process.env, NO_COLOR: '1' } })
    return ran.then(
      ({ stdout }) => ({ code: 0, stdout }),
      ({ code, stdout }) => ({ code, stdout }),
    )
  }

  it('imports troop, and files of its own, from wherever it lies', async () => {
    expect(await told()).to.deep.equal(['hello spare !'])
  })

  it('is read anew by a reload, in every worker, with what it imports and requires', async () => {
    await write('words/word.ts', word('good day'))
    await write('words/spare.cjs', "module.exports = 'to all'")
    const { code, stdout } = await reload()
    expect({ code, stdout }).to.deep.include({ code: 0 })
    expect(stdout).to.match(/\[INFO\] the code of \S+greeting\.ts changed\n\[OK\] Reloaded\n$/)
    expect(await told()).to.deep.equal(['good day to all !'])
  })

  it('that nobody changed is the same after a reload', async () => {
    const { stdout } = await reload()
    expect(stdout).not.to.match(/changed/)
    expect(await told()).to.deep.equal(['good day to all !'])
  })

  const faults: Record<string, [code: string, said: RegExp]> = {
    'does not load': ['export const word = {{', /it failed to load at \S+word\.ts:1/],
    'can be opened in one worker only': [
      `import { threadId } from 'node:worker_threads'
       export const word = 'half'
       export const opened = () => { if (threadId % 2) throw new Error('not here') }`,
      /greeting.*not here/,
    ],
  }
  for (const [name, [code, said]] of Object.entries(faults)) {
    it(`that ${name} is refused, and all workers go on with the code that they had`, async () => {
      await write('words/word.ts', code)
      const ran = await reload()
      expect(ran.code).to.equal(1)
      expect(ran.stdout).to.match(said)
      expect(await told()).to.deep.equal(['good day to all !'])
      const plugins = await node.ask('GET', '/plugins/schema/greeting')
      expect(Object.keys(plugins.body.fields)).to.deep.equal(['mark'])
    })
  }

  it('brings an entity with its table and its routes by a reload, and a field of its configuration', async () => {
    await write('words/word.ts', word('welcome'))
    await write('greeting.ts', greeting({ field: "name: { type: 'string' },", more: stored('word') }))
    expect((await reload()).code).to.equal(0)
    expect(await told()).to.deep.equal(['welcome to all !'])
    await node.ask('POST', '/consumers', { username: 'bob' })
    const made = await node.ask('POST', '/consumers/bob/greetings', { word: 'moin' })
    expect(made.status, made.text).to.equal(201)
    const schema = await node.ask('GET', '/plugins/schema/greeting')
    expect(Object.keys(schema.body.fields)).to.deep.equal(['mark', 'name'])
  })

  it('whose entity is looked up by other columns is refused with the remedy', async () => {
    await write('greeting.ts', greeting({ more: stored('consumer_id') }))
    const { code, stdout } = await reload()
    expect(code).to.equal(1)
    expect(stdout).to.match(/the lookups of the entity greetings are not .*\n.*restart the node/)
    expect(await told()).to.deep.equal(['welcome to all !'])
  })
})

function word(text: string): string {
  return `export const word: string = ${JSON.stringify(text)}\nexport const opened = () => {}`
}

function greeting({ field = '', more = '' } = {}): string {
  return `import { definePlugin, defineEntity, sql } from 'troop'
import { word, opened } from './words/word.ts'
import spare from './words/spare.cjs'

export default definePlugin({
  name: 'greeting',
  config: { mark: { type: 'string', default: '.' }, ${field} },
  ${more}
  open() {
    opened()
    return {
      access(request, config) {
        request.headers.set('X-Greeting', word + ' ' + spare + ' ' + config.mark)
        return undefined
      },
    }
  },
})
`
}

/** An entity that is looked up by a column. */
function stored(column: string): string {
  return `entities: [defineEntity({
    name: 'greetings',
    fields: {
      id: { type: 'id', readOnly: true },
      created_at: { type: 'timestamp', readOnly: true },
      consumer_id: { type: 'id', required: true, references: 'consumers' },
      word: { type: 'string' },
    },
    lookups: [{ prefix: 'greetings', by: ['${column}'] }],
    owner: { column: 'consumer_id', path: 'greetings' },
  })],
  migrations: {
    '0001_greetings': {
      async up(db) {
        await sql\`create table greetings (
          id uuid primary key default gen_random_uuid(),
          created_at bigint not null default created_now(),
          consumer_id uuid not null references consumers on delete cascade,
          word text)\`.execute(db)
        await sql\`select log_changes('greetings'::regclass)\`.execute(db)
      },
    },
  },`
}

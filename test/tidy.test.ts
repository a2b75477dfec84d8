// What the repository promises about itself, held against its text.
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect } from 'chai'
import { configurationTable } from '../src/config/config.ts'
import { generatedPages } from './support/docs.ts'
import { readSources, root, type Source, withoutComments } from './support/sources.ts'

/**
 * Who may import whom: the table of the layers. `x (types)` allows `import type` only; `folder/file` allows that
 * file only. docs/architecture.md shows it with its reasons.
 */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  config: ['base'],
  entities: ['base'],
  database: ['base', 'migrations'],
  'event-log': ['base', 'database'],
  rpc: ['base'],
  store: ['base', 'entities', 'database', 'event-log (types)'],
  cache: ['base'],
  catalog: ['base', 'entities', 'store', 'cache', 'event-log (types)'],
  cluster: ['base', 'database', 'event-log', 'rpc'],
  plugins: ['base', 'entities', 'catalog (types)'],
  proxy: ['base', 'entities', 'catalog', 'plugins/plugin.ts'],
  admin: ['base', 'entities', 'store', 'plugins', 'catalog (types)', 'cluster (types)'],
  control: ['base', 'rpc'],
  dev: ['base', 'config', 'control', 'node'],
  node: [
    'base',
    'config',
    'entities',
    'database',
    'event-log',
    'rpc',
    'store',
    'cache',
    'catalog',
    'cluster',
    'plugins',
    'proxy',
    'admin',
    'control',
  ],
  testing: ['base', 'entities', 'store', 'catalog', 'plugins', 'proxy', 'admin', 'node'],
  commands: ['base', 'config', 'control', 'database', 'plugins/module-addresses.ts', 'node', 'dev'],
  migrations: [],
  'bin.ts': [],
  'index.ts': ['base', 'entities', 'plugins', 'proxy', 'catalog', 'config', 'node'],
}

/**
 * Files besides a folder's door (the file with its name) and its errors that others may enter by: the data that
 * a folder speaks in, where the door would pull its machinery along.
 */
const sideDoors: readonly string[] = [
  'migrations/migrations.ts',
  'src/catalog/keys.ts',
  'src/database/migrate.ts',
  'src/database/tables.ts',
  'src/dev/shell.ts',
  'src/event-log/digest.ts',
  'src/event-log/event.ts',
  'src/node/certificates.ts',
  'src/node/datastore.ts',
  'src/node/plugins.ts',
  'src/node/working-dir.ts',
  'src/plugins/config-type.ts',
  'src/plugins/counter-table.ts',
  'src/plugins/identity.ts',
  'src/plugins/module-addresses.ts',
  'src/plugins/plugin.ts',
  'src/plugins/query.ts',
]
const allDoor = ['base', 'entities']
const mayUseAnyFile = ['node', 'testing']

const sources = readSources('src', 'commands', 'migrations')

describe('the repository', () => {
  it('imports across folders only along the arrows of the layering table', () => {
    expect(crossings(sources).filter(({ wrong }) => wrong !== undefined)).to.deep.equal([])
  })

  it('enters each folder by its door', () => {
    const entries = sources.flatMap((source) =>
      source.imports
        .filter(({ path }) => folderOf(path) !== folderOf(source.path))
        .filter(({ path }) => !mayUseAnyFile.includes(folderOf(source.path)) && !isDoor(path))
        .map(({ path }) => `${source.path} → ${path}`),
    )
    expect(entries).to.deep.equal([])
  })

  it('has no import cycle, type imports included', () => {
    expect(cycles(sources)).to.deep.equal([])
  })

  it('asks for time and chance only in src/base', () => {
    const forbidden =
      /\bDate\.now\b|\bnew Date\(\)|\bperformance\b|\bhrtime\b|\bset(Timeout|Interval|Immediate)\b|\bMath\.random\b|\brandom(UUID|Bytes|Int)\b|'node:timers/
    expect(linesWith(forbidden, (path) => !path.startsWith('src/base/'))).to.deep.equal([])
  })

  it('does nothing and keeps nothing on import: no module-level let', () => {
    expect(linesWith(/^(export )?(let|var) /)).to.deep.equal([])
  })

  it('imports nothing but types of node:http: src/base/http.ts says why', () => {
    expect(linesWith(/^import (?!type ).*'node:http'$/)).to.deep.equal([])
  })

  it('has no barrels: every name is imported from where it is made', () => {
    const reexports = /^export (\*|(type )?\{[^}]*\}) from /
    expect(linesWith(reexports, (path) => path !== 'src/index.ts')).to.deep.equal([])
  })

  it('names files with nouns in kebab-case', () => {
    const paths = [...sources, ...readSources('test')].map(({ path }) => path)
    const wrong = paths.filter((path) => {
      const name = basename(path).replace(/(\.test)?\.ts$/, '')
      const isMigration = path.startsWith('migrations/') && /^\d{4}_[a-z0-9_]+$/.test(name)
      const isKebab = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name)
      return !(isMigration || isKebab) || /\b(utils?|helpers?|managers?|common)\b/.test(path)
    })
    expect(wrong).to.deep.equal([])
  })

  it('leaves nothing to do later in a comment', () => {
    expect(linesWith(/\b(TODO|FIXME|XXX)\b/, () => true, 'with comments')).to.deep.equal([])
  })

  it('has nothing at its top but what is on this list', () => {
    const ignored = ['.git', 'node_modules', 'dist']
    const found = readdirSync(root).filter((name) => !ignored.includes(name) && !/\.(log|tgz)$/.test(name))
    expect(found.sort()).to.deep.equal(
      [
        '.ci',
        '.editorconfig',
        '.gitignore',
        '.mocharc.json',
        'CHANGELOG.md',
        'LICENSE',
        'README.md',
        'biome.json',
        'commands',
        'docs',
        'migrations',
        'package-lock.json',
        'package.json',
        'src',
        'test',
        'tsconfig.json',
      ].sort(),
    )
  })

  it('explains every error code in docs/errors.md, and no others', () => {
    const explained = [...read('docs/errors.md').matchAll(/^\| `([a-z0-9-]+)` \|/gm)].map(([, code]) => code)
    // A code that is put together, `upstream-${kind}`, is held against its beginning.
    const raised = sources.flatMap(({ text }) =>
      [
        ...withoutComments(text).matchAll(/\b(?:super|new TroopError)\(\s*['`]([a-z][a-z0-9-]*)(['`]|\$\{)/g),
      ].map(([, code, end]) => ({ code: code as string, whole: end !== '${' })),
    )
    const same = (page: string | undefined, { code, whole }: { code: string; whole: boolean }) =>
      whole ? page === code : page?.startsWith(code)
    const missing = raised.filter((one) => !explained.some((page) => same(page, one)))
    const outdated = explained.filter((page) => !raised.some((one) => same(page, one)))
    expect({ missing: missing.map(({ code }) => code), outdated }).to.deep.equal({
      missing: [],
      outdated: [],
    })
  })

  it('cites in docs/cluster.md only tests that there are, for each of the 59 weaknesses', () => {
    const page = read('docs/cluster.md')
    const rows = [...page.matchAll(/^\| ([DRKMPS]\d+) \|/gm)].map(([, id]) => id)
    const counts = { D: 13, R: 8, K: 8, M: 22, P: 4, S: 4 }
    const all = Object.entries(counts).flatMap(([kind, count]) =>
      Array.from({ length: count }, (_, i) => `${kind}${i + 1}`),
    )
    expect(rows).to.deep.equal(all)
    const wrong = [...page.matchAll(/`([\w/.-]+\.test\.ts)`(?: "([^"]+)")?/g)].filter(
      ([, path, name = '']) =>
        !read(`test/${path}`)
          .replaceAll("\\'", "'")
          .includes(name || 'describe('),
    )
    expect(wrong.map(([cited]) => cited)).to.deep.equal([])
  })

  it('explains every setting in docs/configuration.md', () => {
    const documented = read('docs/configuration.md')
    const missing = configurationTable().filter(({ name }) => !documented.includes(`\`${name}\``))
    expect(missing.map(({ name }) => name)).to.deep.equal([])
  })

  for (const { path, make } of generatedPages) {
    it(`has an up-to-date ${path} (npm run docs makes it)`, () => {
      expect(read(path) === make(), 'as generated now').to.equal(true)
    })
  }
})

/** Imports that leave their folder, with what is wrong about each. */
function crossings(all: readonly Source[]): { from: string; to: string; wrong: string | undefined }[] {
  return all.flatMap((source) =>
    source.imports
      .filter(({ path }) => folderOf(path) !== folderOf(source.path))
      .map(({ path, typeOnly }) => ({
        from: source.path,
        to: path,
        wrong: whatIsWrong(folderOf(source.path), path, typeOnly),
      })),
  )
}

function whatIsWrong(from: string, path: string, typeOnly: boolean): string | undefined {
  const allowed = mayImport[from]
  if (!allowed) return `the table has no row for ${from}`
  const to = folderOf(path)
  if (allowed.includes(to) || allowed.includes(path.replace(/^src\//, ''))) return undefined
  if (allowed.includes(`${to} (types)`)) return typeOnly ? undefined : 'must be import type'
  return `${from} may not import ${to}`
}

/** `src/cache/floor.ts` is in cache, `commands/start.ts` in commands, `src/bin.ts` is by itself. */
function folderOf(path: string): string {
  const [top, next] = path.split('/') as [string, string]
  return top === 'src' ? next : top
}

function isDoor(path: string): boolean {
  const folder = folderOf(path)
  const name = path.replace(/^src\//, '')
  return (
    allDoor.includes(folder) ||
    name === `${folder}/${folder}.ts` ||
    name === `${folder}/errors.ts` ||
    sideDoors.includes(path)
  )
}

/** Each cycle once, as the files on it; found depth first. */
function cycles(all: readonly Source[]): string[] {
  const importsOf = new Map(all.map(({ path, imports }) => [path, imports.map((one) => one.path)]))
  const found: string[] = []
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]) => {
    if (trail.includes(path)) {
      found.push([...trail.slice(trail.indexOf(path)), path].join(' → '))
      return
    }
    if (done.has(path)) return
    for (const next of importsOf.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  for (const { path } of all) visit(path, [])
  return found
}

/** `path:line: text` of every line that matches. */
function linesWith(
  pattern: RegExp,
  where: (path: string) => boolean = () => true,
  comments: 'with comments' | 'without comments' = 'without comments',
): string[] {
  return sources
    .filter(({ path }) => where(path))
    .flatMap(({ path, text }) =>
      (comments === 'with comments' ? text : withoutComments(text))
        .split('\n')
        .map((line, i) => ({ line, place: `${path}:${i + 1}` }))
        .filter(({ line }) => pattern.test(line))
        .map(({ line, place }) => `${place}: ${line.trim()}`),
    )
}

function read(path: string): string {
  try {
    return readFileSync(join(root, path), 'utf8')
  } catch {
    return ''
  }
}

// The files that a new plugin begins with: one that works, and the test that shows it.

export type Language = 'ts' | 'js'

export interface SkeletonOptions {
  readonly name: string
  readonly language: Language
  /** Where editors find what `troop` and `troop/testing` offer; undefined where types are not wanted. */
  readonly types: EditorTypes | undefined
}

export interface EditorTypes {
  readonly troop: string
  readonly testing: string
  /** With the folder `node` in it, that of Node's own types; undefined where there is none. */
  readonly roots: string | undefined
}

/** By their paths in the plugin's folder. */
export function skeletonOf({ name, language, types }: SkeletonOptions): Readonly<Record<string, string>> {
  return {
    [`${name}.${language}`]: plugin(name),
    [`${name}.test.${language}`]: test(name, language),
    'package.json': json({ name, version: '0.0.0', private: true, type: 'module' }),
    ...(language === 'ts' && types && { 'tsconfig.json': compilerOptions(types) }),
    'README.md': readme(name, language),
  }
}

/** The header by which it can be seen: `office-hours` → `X-Office-Hours`. */
function headerOf(name: string): string {
  return `X-${name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase())}`
}

function plugin(name: string): string {
  return `// Tells the upstream a greeting, and refuses those who do not want one.
import { definePlugin, Refusal } from 'troop'

export default definePlugin({
  name: '${name}',
  // Higher runs earlier. Who calls is known below 1000, when the plugins that authenticate have run.
  priority: 500,
  config: {
    greeting: { type: 'string', default: 'hello', help: 'what the upstream is told' },
    refuse_from: { type: 'array', default: [], help: 'user agents that are refused' },
  },
  phases: {
    access(request, config) {
      const agent = request.headers.get('User-Agent') ?? ''
      if (config.refuse_from.includes(agent)) throw new Refusal(403, 'not you')
      request.headers.set('${headerOf(name)}', config.greeting)
      return undefined
    },
    headers(response) {
      response.headers.set('${headerOf(name)}', 'seen')
    },
  },
})
`
}

function test(name: string, language: Language): string {
  const header = headerOf(name)
  return `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startBench } from 'troop/testing'
import plugin from './${name}.${language}'

test('the upstream is told the greeting, and the client that it was seen', async () => {
  await using bench = await startBench({ plugins: [plugin] })
  await bench.configure('${name}', { greeting: 'good day' })
  const response = await bench.fetch('/anything')
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('${header}'), 'seen')
  assert.equal(bench.upstream.seen.at(-1)?.headers['${header.toLowerCase()}'], 'good day')
})

test('a user agent that is not wanted is refused, and nothing goes upstream', async () => {
  await using bench = await startBench({ plugins: [plugin] })
  await bench.configure('${name}', { refuse_from: ['robot'] })
  const response = await bench.fetch('/anything', { headers: { 'User-Agent': 'robot' } })
  assert.equal(response.status, 403)
  assert.deepEqual(await response.json(), { message: 'not you' })
  assert.equal(bench.upstream.requests, 0)
})

test('a configuration with a word that the plugin does not know is refused', async () => {
  await using bench = await startBench({ plugins: [plugin] })
  await assert.rejects(bench.configure('${name}', { greting: 'x' }), /greting/)
})
`
}

function compilerOptions({ troop, testing, roots }: EditorTypes): string {
  return json({
    compilerOptions: {
      ...{ target: 'es2024', module: 'nodenext', lib: ['es2024', 'esnext.disposable', 'esnext.iterator'] },
      ...{ strict: true, exactOptionalPropertyTypes: true, noEmit: true, skipLibCheck: true },
      ...{ allowImportingTsExtensions: true, erasableSyntaxOnly: true, verbatimModuleSyntax: true },
      paths: { troop: [troop], 'troop/testing': [testing] },
      ...(roots === undefined ? {} : { typeRoots: [roots], types: ['node'] }),
    },
    include: ['*.ts'],
  })
}

function readme(name: string, language: Language): string {
  return `# ${name}

A plugin for Troop.

* \`troop plugin test\` in this folder runs its tests. Nothing has to be installed or built: \`troop\` and
  \`troop/testing\` are those of the Troop that runs the plugin.
* \`custom_plugins: [ /the/path/to/${name}.${language} ]\` in the configuration of a node, or \`TROOP_CUSTOM_PLUGINS\` in its environment,
  makes it known there. \`troop reload\` takes changed code anew.
* A node does not start without a plugin that some API is configured with: delete those configurations first.
${language === 'ts' ? forEditors : ''}`
}

const forEditors = `* \`tsconfig.json\` is for editors; it says where the Troop lies that made this folder. The types of Node itself are those
  of \`@types/node\`, where that is installed.
`

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

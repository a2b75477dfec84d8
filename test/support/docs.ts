// Makes the pages of docs/ that come from code: `npm run docs`. tidy.test.ts refuses outdated ones.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configurationTable, type SettingRow } from '../../src/config/config.ts'
import { otherVariables } from '../../src/config/parse.ts'
import { type Family, familyGroups } from '../../src/node/metric-families.ts'
import { hostileAnswers } from '../integration/hostile/hostile-answers.ts'
import type { HostileClass, HostileRequest } from '../integration/hostile/hostile-request.ts'
import { hostileRequests } from '../integration/hostile/hostile-requests.ts'
import { contractLines, deviations } from './contract-lines.ts'
import { readSources, root, type Source } from './sources.ts'

export interface GeneratedPage {
  readonly path: string
  make(): string
}

export const generatedPages: readonly GeneratedPage[] = [
  { path: 'docs/configuration.md', make: configurationPage },
  { path: 'docs/contract-coverage.md', make: contractPage },
  { path: 'docs/hostile-requests.md', make: hostilePage },
  { path: 'docs/operating.md', make: operatingPage },
  { path: 'docs/writing-plugins.md', make: writingPage },
]

if (import.meta.main) {
  for (const { path, make } of generatedPages) writeFileSync(join(root, path), make())
}

function configurationPage(): string {
  const rows = configurationTable()
  const groups = Map.groupBy(rows, ({ name }) => (name.includes('.') ? (name.split('.')[0] as string) : ''))
  const ignored = rows.filter(({ type }) => type === 'anything')
  const sections = [...groups]
    .map(([group, own]) =>
      section(
        group,
        own.filter((row) => !ignored.includes(row)),
      ),
    )
    .filter((text) => text !== '')
  return `# Configuration

<!-- Made from src/config/settings.ts by "npm run docs". -->

A node reads one YAML file: the one that \`-c\` names, else the one that \`TROOP_CONFIG\` names, else
\`/etc/troop/troop.yml\` if it exists. The environment goes over the file, and everything has a default, so no file is
needed at all. \`troop check\` says what is wrong with a configuration, all of it at once, and what has no effect;
\`troop check --json\` prints what is in effect.

* **Unknown properties are refused**, with the nearest known name.
* **Values of the file are not coerced**: \`"8"\` in quotes is a text, not a number.
* **The environment**: \`postgres.host\` is \`TROOP_POSTGRES_HOST\`; \`.\` and \`-\` become \`_\`. Lists are separated by
  commas; an empty variable counts as not set. Other variables that begin with \`TROOP_\` are refused like unknown
  properties, except ${Object.entries(otherVariables)
    .map(([name, use]) => `\`${name}\` (${use})`)
    .join(', ')} and those that Kubernetes sets for services of that name.
* **Durations** have a unit: \`250ms\`, \`1s\`, \`2m\`, \`1h\`.
* **Addresses** are \`host:port\`; with port 0 the system chooses one.
* **Paths** may begin with \`~/\`; other relative ones start at the current directory.
* **Reload**: settings marked *reload* are applied by \`troop reload\`; the others wait for a restart, and the command
  names them.
* **Secrets** are shown as \`******\` wherever a configuration is shown.

${sections.join('\n')}
## From Kong 0.8, without effect

A configuration that was written for Kong 0.8 loads. These properties are accepted and not read:

| property | why |
|---|---|
${ignored.map(({ name, inert }) => `| \`${name}\` | ${inert} |`).join('\n')}

\`nginx_working_dir\` is read as \`working_dir\`. \`database: cassandra\` is refused.
`
}

function section(group: string, rows: readonly SettingRow[]): string {
  if (rows.length === 0) return ''
  const title = group === '' ? 'The node and its listeners' : `\`${group}.*\``
  return `## ${title}

| property | type | default | what it does |
|---|---|---|---|
${rows.map(settingLine).join('\n')}
`
}

function settingLine(row: SettingRow): string {
  const marks = [row.reload ? '*reload*' : '', row.secret ? '*secret*' : ''].filter((mark) => mark !== '')
  const alias = row.alias === undefined ? '' : ` Also read as \`${row.alias}\`.`
  const inert = row.inert === undefined ? '' : ` No effect: ${row.inert}.`
  const help = `${row.help}${alias}${inert}${marks.length > 0 ? ` ${marks.join(' ')}` : ''}`
  return `| \`${row.name}\` | ${row.type} | ${row.default} | ${help} |`
}

/** As it is, with the tables of metrics anew between their two comments. */
function operatingPage(): string {
  const page = readFileSync(join(root, 'docs/operating.md'), 'utf8')
  const made = /(?<=<!-- [^\n]*metric-families\.ts[^\n]* -->\n).*?(?=<!-- The end of the section\. -->)/s
  if (!made.test(page)) throw new Error('docs/operating.md has no place for the tables of metrics')
  const tables = familyGroups.map(
    ({ title, families }) =>
      `### ${title}\n\n| metric | type | labels | what it says |\n|---|---|---|---|\n${families.map(familyLine).join('\n')}\n`,
  )
  return page.replace(made, () => `\n${tables.join('\n')}\n`)
}

/** As it is, with each file of code anew between its two comments. */
function writingPage(): string {
  const page = readFileSync(join(root, 'docs/writing-plugins.md'), 'utf8')
  const files = /(<!-- (test\/examples\/\S+), by "npm run docs" -->\n).*?(<!-- The end of the file\. -->)/gs
  return page.replaceAll(files, (_, begin, path, end) => {
    return `${begin}\n\`\`\`ts\n${readFileSync(join(root, path), 'utf8')}\`\`\`\n\n${end}`
  })
}

function familyLine({ name, type, labels, help }: Family): string {
  return `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`
}

function contractPage(): string {
  const covered = coverage(readSources('test'))
  const all = contractLines.flatMap(({ from, to }) => range(from, to))
  const known = all.filter((line) => covered.has(line) || line in deviations)
  return `# Contract coverage

<!-- Made from the names of the tests by "npm run docs". -->

Kong 0.8's own specs assert ${all.length} behaviours that can be seen from outside. Tests cite their numbers; this page is
made from the tests' names. Covered, or left out on purpose: ${known.length} of ${all.length}.

${contractLines.map((group) => contractSection(group, covered)).join('\n')}`
}

function contractSection(
  { from, to, subject }: (typeof contractLines)[number],
  covered: ReadonlyMap<number, readonly string[]>,
): string {
  const lines = range(from, to)
  const missing = lines.filter((line) => !covered.has(line) && !(line in deviations))
  const rows = lines
    .filter((line) => !missing.includes(line))
    .map((line) => `| ${line} | ${covered.get(line)?.join('<br>') ?? `left out: ${deviations[line]}`} |`)
  const table = rows.length === 0 ? '' : `| line | test |\n|---|---|\n${rows.join('\n')}\n\n`
  const rest = missing.length === 0 ? '' : `Not yet: ${inRanges(missing)}.\n`
  return `## ${from === to ? from : `${from}–${to}`} ${subject}\n\n${`${table}${rest}`.trimEnd()}\n`
}

function hostilePage(): string {
  const count = hostileRequests.reduce((sum, { requests }) => sum + requests.length, 0)
  return `# Hostile requests

<!-- Made from test/integration/hostile/ by "npm run docs". -->

What becomes of ${count} requests that mean harm, or are taken for something else by other servers. Each is sent byte for byte
over a socket of its own by \`test/integration/hostile-requests.test.ts\`, on an upstream that reads by the letter of RFC 9112:
it has to see what stands here and nothing else. The rules behind it:

* **What can be read in two ways is refused** (400 and the like, a JSON body with the reason), never repaired, and nothing of it
  reaches an upstream; a body that turns out to be broken is broken off there, so that it can't pass for a whole one.
* **What follows is nobody's**: the connection ends with the refusal. Requests before it get their answers first.
* **What goes upstream is written anew**: one Host, one length or chunks, no extensions of chunks, no blanks of the client's.
* **Paths are literal**: compared and passed on as they came, never decoded nor normalised. Hence an upstream that decodes them must
  not rely on the gateway's idea of a path.

*Upstream* is what it sees: \`–\` for nothing, *broken off* for what never comes to its end. *Connection* says whether the gateway closes it.
The line \`Host: test\` is left out of the bytes where it is the only one.

${hostileRequests.map(hostileSection).join('\n')}
## What upstreams answer

Told by \`test/integration/hostile-answers.test.ts\`. None of these connections carries another request, nor does one on which anything
comes behind an answer. *cut*: the client's connection ends before the end of the answer.

| what | bytes | the client gets |
|---|---|---|
${hostileAnswers.map(({ name, bytes, status }) => `| ${cell(name)} | ${bytes === '' ? '–' : inCode(bytes)} | ${status} |`).join('\n')}
`
}

function hostileSection({ title, requests }: HostileClass): string {
  return `## ${title}

| what | bytes | answer | upstream | connection |
|---|---|---|---|---|
${requests.map(hostileLine).join('\n')}
`
}

function hostileLine({ name, bytes, statuses, passed, closes }: HostileRequest): string {
  const arrived = passed.map(({ line, whole }) => `${inCode(line)}${whole === false ? ' broken off' : ''}`)
  const upstream = arrived.length > 3 ? `${arrived.length} × ${arrived[0]}` : arrived.join(', ') || '–'
  const answers = statuses.length > 3 ? `${statuses.length} × ${statuses[0]}` : statuses.join(', ')
  return `| ${cell(name)} | ${inCode(bytes)} | ${answers} | ${upstream} | ${closes ? 'closed' : 'kept'} |`
}

/** In short, as code in a table: what repeats itself is said once, what can't be printed by its number. */
function inCode(bytes: string): string {
  const one = /host/gi
  const told = (bytes.match(one)?.length === 1 ? bytes.replace('Host: test\r\n', '') : bytes)
    .replaceAll(/(.{1,34}?)\1{9,}/gs, (all, unit: string) => `${unit}…(${all.length})…`)
    .replaceAll('\\', '\\\\')
    .replaceAll('\r', '\\r')
    .replaceAll('\n', '\\n')
    .replaceAll('\t', '\\t')
    .replaceAll(/[^\x20-\x7e…]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
  const short = told.length > 120 ? `${told.slice(0, 120)}…` : told
  return short.includes('`') ? `\`\` ${cell(short)} \`\`` : `\`${cell(short)}\``
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

/**
 * Which tests cite which line.
 * @throws {Error} when a citation can't be read, or cites a number that there is not
 */
export function coverage(tests: readonly Source[]): Map<number, string[]> {
  const covered = new Map<number, string[]>()
  for (const { path, text } of tests) {
    for (const [, , name = '', cited = ''] of text.matchAll(
      /\bit\(\s*(['"`])((?:(?!\1).)*?)\s*\[contract ([^\]]*)\]\1/g,
    )) {
      const test = `${path.replace(/^test\//, '')}: ${name.replaceAll('|', '\\|').replaceAll("\\'", "'")}`
      for (const line of parseCitation(cited, path)) {
        covered.set(line, [...(covered.get(line) ?? []), test])
      }
    }
  }
  return covered
}

function parseCitation(cited: string, path: string): number[] {
  return cited.split(',').flatMap((part) => {
    const match = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part)
    const from = Number(match?.[1])
    const to = Number(match?.[2] ?? match?.[1])
    if (!match || to < from || !isContractLine(from) || !isContractLine(to)) {
      throw new Error(`${path}: expected numbers of the contract such as "7, 12-14", got "${cited}"`)
    }
    return range(from, to)
  })
}

function isContractLine(line: number): boolean {
  return contractLines.some(({ from, to }) => line >= from && line <= to)
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

/** 1, 2, 3, 7 as `1–3, 7`. */
function inRanges(lines: readonly number[]): string {
  const ranges: [number, number][] = []
  for (const line of lines) {
    const last = ranges.at(-1)
    if (last && last[1] === line - 1) last[1] = line
    else ranges.push([line, line])
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(', ')
}

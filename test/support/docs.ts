// Makes the pages of docs/ that come from code: `npm run docs`. tidy.test.ts refuses outdated ones.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configurationTable, type SettingRow } from '../../src/config/config.ts'
import { otherVariables } from '../../src/config/parse.ts'
import { type Family, familyGroups } from '../../src/node/metric-families.ts'
import { contractLines, deviations } from './contract-lines.ts'
import { readSources, root, type Source } from './sources.ts'

export interface GeneratedPage {
  readonly path: string
  make(): string
}

export const generatedPages: readonly GeneratedPage[] = [
  { path: 'docs/configuration.md', make: configurationPage },
  { path: 'docs/contract-coverage.md', make: contractPage },
  { path: 'docs/operating.md', make: operatingPage },
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

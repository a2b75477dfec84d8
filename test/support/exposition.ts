// Reads Prometheus' text format as strictly as its page says that it is to be written, and more: what a server would
// put up with is refused too. https://prometheus.io/docs/instrumenting/exposition_formats/
import { expect } from 'chai'

export interface ParsedFamily {
  readonly type: string
  readonly help: string
  readonly samples: readonly Sample[]
}

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export class Exposition {
  readonly families: ReadonlyMap<string, ParsedFamily>

  /** @throws {Error} with the line that is wrong */
  constructor(text: string) {
    this.families = parse(text)
    for (const [name, family] of this.families) check(name, family)
  }

  /** The value of one series; all of its labels must be given. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const found = this.samples(name).filter((sample) => keyOf(sample) === keyOf({ name, labels }))
    expect(found, `${name} ${JSON.stringify(labels)}`).to.have.length(1)
    return (found[0] as Sample).value
  }

  /** All series of that name, also such as `…_count`. */
  samples(name: string): readonly Sample[] {
    return [...this.families.values()].flatMap(({ samples }) => samples).filter((one) => one.name === name)
  }

  /** What must never fall while a process lives: counters, buckets, counts and sums. */
  get rising(): ReadonlyMap<string, number> {
    const rising = [...this.families.values()].filter(({ type }) => type !== 'gauge')
    return new Map(rising.flatMap(({ samples }) => samples.map((one) => [keyOf(one), one.value])))
  }
}

function parse(text: string): Map<string, ParsedFamily> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const families = new Map<string, ParsedFamily & { samples: Sample[] }>()
  const seen = new Set<string>()
  let help: { name: string; text: string } | undefined
  let open: { name: string; samples: Sample[] } | undefined
  for (const line of text.split('\n')) {
    if (line === '') continue
    const comment = /^# (HELP|TYPE) ([a-z_]+) (.+)$/.exec(line) as [string, string, string, string] | null
    if (comment?.[1] === 'HELP') {
      help = { name: comment[2], text: unescaped(comment[3], /\\[\\n]/g) }
      open = undefined
    } else if (comment) {
      const [, , name, type] = comment
      if (help?.name !== name || families.has(name)) throw new Error(`out of order: ${line}`)
      if (!['counter', 'gauge', 'histogram'].includes(type)) throw new Error(`unknown type: ${line}`)
      open = { name, samples: [] }
      families.set(name, { type, help: help.text, samples: open.samples })
    } else {
      const sample = parseSample(line)
      const isOwn = new RegExp(`^${open?.name}(_bucket|_sum|_count)?$`).test(sample.name)
      if (!open || !isOwn) throw new Error(`not of the family before it: ${line}`)
      if (seen.has(keyOf(sample))) throw new Error(`said twice: ${line}`)
      seen.add(keyOf(sample))
      open.samples.push(sample)
    }
  }
  return families
}

function parseSample(line: string): Sample {
  const pair = /([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"/.source
  const match = new RegExp(`^([a-z_]+)(?:\\{(${pair}(?:,${pair})*)\\})? (\\S+)$`).exec(line)
  const value = Number(match?.at(-1)?.replace('Inf', 'Infinity'))
  if (!match || Number.isNaN(value)) throw new Error(`no sample: ${line}`)
  const pairs = [...(match[2] ?? '').matchAll(new RegExp(pair, 'g'))]
  const labels = Object.fromEntries(
    pairs.map(([, name, value]) => [name, unescaped(value as string, /\\[\\"n]/g)]),
  )
  if (Object.keys(labels).length !== pairs.length) throw new Error(`a label twice: ${line}`)
  return { name: match[1] as string, labels, value }
}

function unescaped(text: string, escapes: RegExp): string {
  return text.replace(escapes, (found) => (found === '\\n' ? '\n' : found.slice(1)))
}

function check(name: string, { type, samples }: ParsedFamily): void {
  const fail = (why: string) => {
    throw new Error(`${name}: ${why}`)
  }
  if ((type === 'counter') !== name.endsWith('_total')) fail('only a counter ends in _total')
  if (type === 'gauge') return
  if (samples.some(({ value }) => !(value >= 0))) fail('below zero')
  if (type === 'counter') return
  for (const { labels, value: count } of samples.filter((one) => one.name === `${name}_count`)) {
    const own = keyOf({ name, labels: { ...labels, le: '' } })
    const buckets = samples
      .filter((one) => one.name === `${name}_bucket`)
      .filter((one) => keyOf({ name, labels: { ...one.labels, le: '' } }) === own)
    const bounds = buckets.map((one) => Number(one.labels.le?.replace('Inf', 'Infinity')))
    const values = buckets.map(({ value }) => value)
    if (!isRising(bounds, true) || bounds.at(-1) !== Number.POSITIVE_INFINITY) fail('buckets out of order')
    if (!isRising(values, false) || values.at(-1) !== count) fail('buckets that do not add up')
    if (!samples.some((one) => keyOf(one) === keyOf({ name: `${name}_sum`, labels }))) fail('no sum')
  }
}

function isRising(numbers: readonly number[], strictly: boolean): boolean {
  return numbers.every((number, i) => {
    const before = numbers[i - 1] ?? Number.NEGATIVE_INFINITY
    return strictly ? number > before : number >= before
  })
}

function keyOf({ name, labels }: Pick<Sample, 'name' | 'labels'>): string {
  const pairs = Object.entries(labels).sort(([one], [other]) => (one < other ? -1 : 1))
  return `${name}${JSON.stringify(pairs)}`
}

// Whether what the fast lane takes is what the ordinary one takes, and the same to both: method, target, fields, where the
// body ends, and whether another request may follow.
import type { Random } from '../../../src/base/random.ts'
import { type FastHead, FastHeadReader } from '../../../src/proxy/inbound/fast-head.ts'
import { defaultLimits } from '../../../src/proxy/inbound/limits.ts'
import { faultOf } from '../../../src/proxy/inbound/strictness.ts'
import { pick } from '../../simulation/chance.ts'
import { HeadMaker } from './head-maker.ts'
import { OrdinaryParser, type OrdinaryReading, type OrdinaryRequest } from './ordinary-parser.ts'

export interface Disagreement {
  /** As it was given to both. */
  readonly head: Buffer
  readonly fast: FastHead
  readonly ordinary: OrdinaryReading
}

export interface ComparisonReport {
  readonly cases: number
  /** Of which the fast lane took so many. */
  readonly taken: number
  readonly disagreements: readonly Disagreement[]
  /** Heads of which something was made that nothing was made of before. */
  readonly novel: readonly Buffer[]
}

export interface ComparisonOptions {
  readonly cases: number
  readonly random: Random
  /** To begin with. */
  readonly corpus: readonly Buffer[]
  /** Takes the fast lane's place, to see that a fault in it would be found. */
  readonly reader?: Pick<FastHeadReader, 'read'>
}

interface Taken {
  readonly head: Buffer
  readonly fast: FastHead
}

/** Made and compared at once. */
const roundCases = 1000
/** Of the heads that the fast lane leaves, how many are shown to the ordinary one, to find what is new. */
const leftPerRound = 10
/** Bodies that are longer are not sent to their end. */
const bodyBytesMax = 1000
/** Ends each stream: where it begins is where the one before it ended. */
const last = 'GET /last HTTP/1.1\r\nHost: last\r\n\r\n'

/** Resolves at the first round in which they disagree, else when all cases were tried. */
export async function compare({
  cases,
  random,
  corpus,
  reader,
}: ComparisonOptions): Promise<ComparisonReport> {
  const fast = reader ?? new FastHeadReader(defaultLimits)
  const parser = new OrdinaryParser()
  const kept = [...corpus]
  const maker = new HeadMaker(random, kept)
  const signatures = new Set<string>()
  const novel: Buffer[] = []
  const note = (signature: string, head: Buffer, isKnown = false) => {
    if (signatures.has(signature)) return
    signatures.add(signature)
    if (isKnown) return
    kept.push(head)
    novel.push(head)
  }
  let tried = 0
  let taken = 0
  while (tried < cases) {
    const isFirst = tried === 0 && corpus.length > 0
    const heads = isFirst
      ? [...corpus]
      : Array.from({ length: Math.min(roundCases, cases - tried) }, () => maker.make())
    tried += heads.length
    const read = heads.map((head) => ({ head, fast: fast.read(head, 0) }))
    const both = read.filter((one): one is Taken => one.fast !== undefined)
    const others = read.filter(({ fast }) => fast === undefined).map(({ head }) => head)
    taken += both.length
    const disagreements = await disagreementsOf(parser, both)
    if (disagreements.length > 0) return { cases: tried, taken, disagreements, novel }
    for (const { head, fast } of both) note(`fast ${shapeOf(fast)}`, head, isFirst)
    const shown = isFirst ? others : Array.from({ length: leftPerRound }, () => pick(random, others))
    for (const [i, reading] of (await parser.read(shown)).entries())
      note(`ordinary ${outcomeOf(reading)}`, shown[i] as Buffer, isFirst)
  }
  return { cases: tried, taken, disagreements: [], novel }
}

async function disagreementsOf(parser: OrdinaryParser, all: readonly Taken[]): Promise<Disagreement[]> {
  // One whose connection ends with it, or whose body does not end, has a connection of its own.
  const alone = all.filter(({ fast }) => !fast.keepsAlive || fast.bodyBytes > bodyBytesMax)
  const together = all.filter((one) => !alone.includes(one))
  const [inOne, ...each] = await parser.read([streamOf(together), ...alone.map((one) => streamOf([one]))])
  const suspects = alone.filter((one, i) => !isSame([one], each[i] as OrdinaryReading))
  if (!isSame(together, inOne as OrdinaryReading)) suspects.push(...together)
  const readings = await parser.read(suspects.map((one) => streamOf([one])))
  return suspects.flatMap((one, i) => {
    const ordinary = readings[i] as OrdinaryReading
    return isSame([one], ordinary) ? [] : [{ ...one, ordinary }]
  })
}

function streamOf(all: readonly Taken[]): Buffer {
  const parts = all.flatMap(({ head, fast }) => [head.subarray(0, fast.bytes), bodyOf(fast)])
  const isEndless = (all.at(-1)?.fast.bodyBytes ?? 0) > bodyBytesMax
  return Buffer.concat(isEndless ? parts : [...parts, Buffer.from(last)])
}

/** Looks like a request, so that what is taken for the next one is seen. */
function bodyOf({ bodyBytes }: FastHead): Buffer {
  return Buffer.alloc(Math.min(bodyBytes, bodyBytesMax), 'GET /body HTTP/1.1\r\nHost: body\r\n\r\n')
}

function isSame(all: readonly Taken[], { requests, error }: OrdinaryReading): boolean {
  const end = all.at(-1)
  const isEndless = end !== undefined && end.fast.bodyBytes > bodyBytesMax
  const closes = end !== undefined && !end.fast.keepsAlive
  const isLastRead = !isEndless && !closes
  if (requests.length !== all.length + (isLastRead ? 1 : 0)) return false
  if (closes && !isEndless ? !error?.startsWith('HPE_CLOSED_CONNECTION') : error !== undefined) return false
  if (isLastRead && requests.at(-1)?.target !== '/last') return false
  return all.every(({ fast }, i) => isSameRequest(fast, requests[i] as OrdinaryRequest))
}

function isSameRequest(fast: FastHead, ordinary: OrdinaryRequest): boolean {
  const { event, method, target, httpVersion, rawHeaders, keepsAlive, body, isWhole } = ordinary
  const isEndless = fast.bodyBytes > bodyBytesMax
  const read = fast.headers.raw()
  const fault = faultOf({ method, url: target, httpVersion, rawHeaders: [...rawHeaders] }, defaultLimits)
  return (
    event === 'request' &&
    fault === undefined &&
    httpVersion === '1.1' &&
    method === fast.method &&
    target === fast.target &&
    rawHeaders.length === read.length &&
    rawHeaders.every((text, i) => text === read[i]) &&
    keepsAlive === fast.keepsAlive &&
    isWhole === !isEndless &&
    body.equals(bodyOf(fast))
  )
}

/** What is of one shape is not new. */
function shapeOf({ method, headers, bodyBytes, keepsAlive }: FastHead): string {
  const rawHeaders = headers.raw()
  const text = rawHeaders.join('\n')
  const told = ['\t', '\xff', ',', '""'].filter((some) => text.includes(some))
  const size = Math.ceil(Math.log2(rawHeaders.length))
  const body = bodyBytes === 0 ? 'none' : bodyBytes > bodyBytesMax ? 'endless' : 'some'
  return [method, size, body, keepsAlive, ...told].join(' ')
}

function outcomeOf({ requests, error }: OrdinaryReading): string {
  const [first] = requests
  const fault =
    first && faultOf({ ...first, url: first.target, rawHeaders: [...first.rawHeaders] }, defaultLimits)
  return [first?.event, fault, first?.keepsAlive, first?.isWhole, requests.length > 1, error].join(' ')
}
